//! A stand-in for the module's home, where no MetWork is loaded: `{{MFSERV_HOME}}/bin/cronwrap.sh` of a crontab.
//!
//! Cron gives a job a bare environment. Each script in `bin/` sets up the module's as it was when the crontab was last
//! written, and becomes the command of its name. The directory is complete at every moment, and made again when the
//! program, the homes or the search path are other ones.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::env::quoted;
use crate::error::Result;
use crate::fs;
use crate::plugin::Module;
use crate::shims;
use crate::site::{Environment, Site};

/// What steers `mwp` and layers; passed on as far as it is set.
const PASSED_ON: [&str; 14] = [
    "HOME",
    "LANG",
    "LC_ALL",
    "LAYERAPI2_LAYERS_PATH",
    "MFCONFIG",
    "MFEXT_HOME",
    "MFEXT_VERSION",
    "MFHOSTNAME",
    "MFHOSTNAME_FULL",
    "MFMODULE_VERSION",
    "MWP_ETC_DIR",
    "TZ",
    "XDG_CACHE_HOME",
    "XDG_DATA_HOME",
];

/// The directory for a module and a base.
#[derive(Debug)]
pub(super) struct Home<'a> {
    dir: PathBuf,
    module: &'a Module,
    base: &'a Path,
    site: &'a Site,
}

impl<'a> Home<'a> {
    pub(super) fn new(module: &'a Module, base: &'a Path, site: &'a Site) -> Home<'a> {
        let runtime_home = site.runtime_home(module);
        let name = if base == runtime_home.join("var/plugins") {
            module.as_str().to_owned()
        } else {
            // Another base is another environment.
            let digest = Sha256::digest(base.as_os_str().as_bytes());
            format!("{module}-{:02x}{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2], digest[3])
        };
        Home { dir: runtime_home.join("var/metwork").join(name), module, base, site }
    }

    /// The variables that hold the module's home, and which of them are ours to give.
    fn variables(&self) -> [(String, bool); 3] {
        let own = format!("{}_HOME", self.module.upper());
        [own, "MFMODULE_HOME".to_owned(), "MFEXT_HOME".to_owned()].map(|name| {
            let is_ours = match self.site.environment.path(&name) {
                None => true,
                Some(home) => home == self.dir || is_ours(&home, self.site),
            };
            (name, is_ours)
        })
    }

    /// Gives the variables that are not set. Their value is a word for the shell: it is there to be written into a
    /// command.
    pub(super) fn provide(&self, environment: &mut Environment) {
        for (name, is_ours) in self.variables() {
            if is_ours {
                environment.set(name, word(self.dir.as_os_str()));
            }
        }
    }

    /// Makes the directory what it is to be; the caller holds the lock of the user's crontab.
    pub(super) fn write(&self) -> Result<()> {
        let program = self.site.program.as_deref().ok_or_else(shims::no_program)?;
        if self.variables().iter().all(|(_, is_ours)| !is_ours) || self.is_up_to_date(program) {
            return Ok(());
        }
        // One process at a time is here: what a killed one left is replaced.
        let new = self.dir.with_extension("new");
        fs::remove_tree(&new)?;
        for dir in ["bin", "libexec"] {
            fs::create_own_dir_all(&new.join(dir))?;
        }
        for name in commands() {
            let script = new.join("bin").join(name);
            fs::write_atomic(&script, &self.script(name))?;
            fs::set_mode(&script, 0o755)?;
            fs::symlink(program, &new.join("libexec").join(name))?;
        }
        fs::put_in_place(&new, &self.dir).map(drop)
    }

    fn is_up_to_date(&self, program: &Path) -> bool {
        commands().all(|name| {
            let script = fs::read(&self.dir.join("bin").join(name));
            let link = std::fs::read_link(self.dir.join("libexec").join(name));
            script.is_ok_and(|script| script == self.script(name)) && link.is_ok_and(|link| link == program)
        })
    }

    fn script(&self, name: &str) -> Vec<u8> {
        let mut script = OsString::from(
            "#!/bin/sh\n# Made by mwp for jobs of cron: the module's environment, then the command. Edits are lost.\n",
        );
        for (name, value) in self.environment() {
            script.push(&name);
            script.push("=");
            script.push(quoted(&value));
            script.push("; export ");
            script.push(name);
            script.push("\n");
        }
        script.push("exec ");
        script.push(quoted(self.dir.join("libexec").join(name).as_os_str()));
        script.push(" \"$@\"\n");
        script.into_vec()
    }

    fn environment(&self) -> BTreeMap<String, OsString> {
        let set = &self.site.environment;
        let passed =
            PASSED_ON.iter().filter_map(|name| Some(((*name).to_owned(), set.get(name)?.to_owned())));
        let mut environment: BTreeMap<String, OsString> = passed.collect();
        for (name, is_ours) in self.variables() {
            let home = if is_ours { Some(self.dir.as_os_str()) } else { set.get(&name) };
            environment.extend(home.map(|home| (name, home.to_owned())));
        }
        environment.extend([
            ("MFMODULE".to_owned(), self.module.upper().into()),
            ("MFMODULE_LOWERCASE".to_owned(), self.module.as_str().into()),
            ("MFMODULE_RUNTIME_HOME".to_owned(), self.site.runtime_home(self.module).into()),
            ("MFMODULE_PLUGINS_BASE_DIR".to_owned(), self.base.into()),
            ("MWP_CACHE_DIR".to_owned(), self.site.cache.clone().into()),
            ("PATH".to_owned(), self.search_path()),
        ]);
        environment
    }

    /// The commands first, then what there was.
    fn search_path(&self) -> OsString {
        let bin = self.dir.join("bin");
        let path = self.site.environment.get("PATH").unwrap_or(OsStr::new("/usr/bin:/bin"));
        let others = std::env::split_paths(path).filter(|dir| dir.is_absolute() && *dir != bin);
        let all: Vec<PathBuf> = std::iter::once(bin.clone()).chain(others).collect();
        // A colon in our own path cannot be written there; the commands are then found as any other.
        std::env::join_paths(all).unwrap_or_else(|_| path.to_owned())
    }
}

fn commands() -> impl Iterator<Item = &'static str> {
    shims::COMMANDS.into_iter().chain(["mwp"])
}

/// A home of commands that are links to this program, as `mwp shims` makes it: they know nothing of the module's
/// environment.
fn is_ours(home: &Path, site: &Site) -> bool {
    let program = site.program.as_deref().and_then(|program| std::fs::canonicalize(program).ok());
    let command = std::fs::canonicalize(home.join("bin/cronwrap.sh")).ok();
    program.is_some() && program == command
}

/// As it is where the shell reads nothing into it, else quoted; `%` for cron.
fn word(value: &OsStr) -> OsString {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._+@:,=-".contains(byte);
    if value.as_bytes().iter().all(is_plain) { value.to_owned() } else { quoted(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(root: &Path, variables: &[(&str, &str)]) -> Site {
        let mut environment = Environment::default();
        environment.set("HOME", root);
        for (name, value) in variables {
            environment.set(*name, *value);
        }
        let mut site = Site::new(environment);
        site.program = Some(PathBuf::from("/opt/mwp"));
        site
    }

    #[test]
    fn an_installed_metwork_keeps_its_own_homes() {
        let root = tempfile::tempdir().unwrap();
        let site = site(root.path(), &[("MFSERV_HOME", "/opt/mfserv")]);
        let module = Module::parse("mfserv").unwrap();
        let base = site.plugins_base(&module);
        let home = Home::new(&module, &base, &site);
        let mut environment = site.environment.clone();
        home.provide(&mut environment);
        assert_eq!(environment.text("MFSERV_HOME"), Some("/opt/mfserv"));
        assert_eq!(environment.path("MFMODULE_HOME"), Some(home.dir.clone()));
    }

    #[test]
    fn a_script_is_made_again_when_the_program_or_the_search_path_is_another() {
        let root = tempfile::tempdir().unwrap();
        let module = Module::parse("mfserv").unwrap();
        let mut site = site(root.path(), &[("PATH", "/usr/bin")]);
        let base = site.plugins_base(&module);
        let write = |site: &Site| {
            let home = Home::new(&module, &base, site);
            home.write().unwrap();
            (fs::read_text(&home.dir.join("bin/cronwrap.sh")).unwrap(), home.dir)
        };
        let (script, dir) = write(&site);
        assert!(
            script.contains(&format!("PATH='{0}/bin:/usr/bin'; export PATH\n", dir.display())),
            "{script}"
        );
        assert!(script.ends_with(&format!("exec '{}/libexec/cronwrap.sh' \"$@\"\n", dir.display())));
        site.program = Some(PathBuf::from("/usr/local/bin/mwp"));
        write(&site);
        let target = std::fs::read_link(dir.join("libexec/plugin_wrapper")).unwrap();
        assert_eq!(Some(target), site.program);
        site.environment.set("PATH", "/bin:.:relative");
        assert!(write(&site).0.contains("/bin:/bin'; export PATH\n"));
        assert_eq!(fs::list(dir.parent().unwrap()).unwrap(), [dir]);
    }

    #[test]
    fn another_base_is_another_home() {
        let root = tempfile::tempdir().unwrap();
        let site = site(root.path(), &[]);
        let module = Module::parse("mfserv").unwrap();
        let own = site.plugins_base(&module);
        assert!(Home::new(&module, &own, &site).dir.ends_with("var/metwork/mfserv"));
        let other = Home::new(&module, Path::new("/b"), &site).dir;
        assert!(other.file_name().unwrap().to_str().unwrap().starts_with("mfserv-"), "{other:?}");
    }

    #[test]
    fn a_home_in_a_command_is_one_word() {
        assert_eq!(word(OsStr::new("/home/me/x-1")), "/home/me/x-1");
        assert_eq!(word(OsStr::new("/home/my self")), "'/home/my self'");
    }
}
