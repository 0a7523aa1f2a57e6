//! Files that stand in for those of an installed MetWork, so that what existing plugins refer to is there.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::embedded;
use crate::error::{At, Error, Result};
use crate::fs;
use crate::site::{Environment, Site};
use crate::text;

const FILES: [(&str, &str); 2] = [
    ("share/plugin.mk", include_str!("../templates/shims/share/plugin.mk")),
    ("opt/misc/share/plugin.mk", include_str!("../templates/shims/opt/misc/share/plugin.mk")),
];

/// The existing commands: under one of these names, `mwp` is that command.
pub const COMMANDS: [&str; 24] = [
    "_make_and_install_crontab.sh",
    "bootstrap_plugin.py",
    "cronwrap.sh",
    "get_layer_home",
    "inject_file",
    "is_layer_installed",
    "is_layer_loaded",
    "layer_load_bash_cmds",
    "layer_unload_bash_cmds",
    "layer_wrapper",
    "layers",
    "plugin_env",
    "plugin_wrapper",
    "plugins.check",
    "plugins.develop",
    "plugins.hash",
    "plugins.hotswap",
    "plugins.info",
    "plugins.install",
    "plugins.list",
    "plugins.make",
    "plugins.repackage",
    "plugins.uninstall",
    "plugins.validate_name",
];

/// What commands of plugins run that only MetWork ships.
const PROGRAMS: [(&str, &str); 19] = [
    ("_mwp_http.py", include_str!("../templates/shims/bin/_mwp_http.py")),
    ("archive_step", STEP_COMMAND),
    ("bjoern_wrapper.py", include_str!("../templates/shims/bin/bjoern_wrapper.py")),
    ("copy_step", STEP_COMMAND),
    ("delete_step", STEP_COMMAND),
    ("fork_step", STEP_COMMAND),
    ("generate_random_files.py", include_str!("../templates/shims/bin/generate_random_files.py")),
    ("get_tag", STEP_COMMAND),
    ("inject_file", STEP_COMMAND),
    ("move_step", STEP_COMMAND),
    ("php_wrapper", include_str!("../templates/shims/bin/php_wrapper")),
    ("print_tags", STEP_COMMAND),
    ("redis", include_str!("../templates/shims/bin/redis")),
    ("reinject_step", STEP_COMMAND),
    ("set_tag", STEP_COMMAND),
    ("signal_wrapper.py", include_str!("../templates/shims/bin/signal_wrapper.py")),
    ("switch_step", STEP_COMMAND),
    ("unbzip2_step", STEP_COMMAND),
    ("ungzip_step", STEP_COMMAND),
];

/// What it does it tells by its name.
const STEP_COMMAND: &str = include_str!("../templates/shims/bin/_step_command");

/// What steps import that only MetWork ships.
const MODULES: &str = "shims/python";

/// The homes that Makefiles of plugins, old and new, include `plugin.mk` from.
const HOMES: [&str; 2] = ["MFEXT_HOME", "MFCOM_HOME"];

/// A directory to take for `MFEXT_HOME` where no MetWork is installed. It lies in the cache and is complete
/// when this returns.
pub fn home(site: &Site) -> Result<PathBuf> {
    let home = site.cache.join("shims").join(env!("CARGO_PKG_VERSION"));
    write_to(&home)?;
    Ok(home)
}

/// A directory for the end of the PATH of plugins' commands: programs that stand for those of MetWork, which win where
/// they are. It lies in the cache and is complete when this returns.
pub fn programs(site: &Site) -> Result<PathBuf> {
    let dir = site.cache.join("shims").join(env!("CARGO_PKG_VERSION")).join("programs");
    fs::create_dir_all(&dir)?;
    for (name, content) in PROGRAMS {
        let path = dir.join(name);
        let is_executable = path.metadata().is_ok_and(|stat| stat.permissions().mode() & 0o100 != 0);
        if is_executable && fs::read_optional(&path)?.is_some_and(|present| present == content.as_bytes()) {
            continue;
        }
        fs::sweep(&dir);
        let mut file = fs::AtomicFile::create(&path, 0o777)?;
        file.write_all(content.as_bytes()).at("write", &path)?;
        file.commit_without_sync()?;
    }
    Ok(dir)
}

/// A directory for the end of PYTHONPATH: modules that stand for those of MetWork's steps. It lies in the cache, beside
/// that of the programs, and is complete when this returns.
pub fn modules(site: &Site) -> Result<PathBuf> {
    let home = site.cache.join("shims").join(env!("CARGO_PKG_VERSION")).join("python");
    embedded::below(MODULES).try_for_each(|(path, content)| write(&home.join(path), content))?;
    Ok(home)
}

/// Whether there is such a program among [`programs`].
pub fn stands_for(name: &str) -> bool {
    PROGRAMS.iter().any(|(known, _)| *known == name)
}

/// Points the homes that the Makefile in `dir` may include `plugin.mk` from at ours, where they hold none: an
/// installed MetWork keeps its own. `make` is to run in `dir`; `scratch` is a directory of ours there, by name.
pub fn provide_make_fragment(
    dir: &Path,
    scratch: &str,
    site: &Site,
    environment: &mut Environment,
) -> Result<()> {
    let absent =
        |name: &&str| !site.environment.path(name).is_some_and(|home| home.join("share/plugin.mk").is_file());
    let absent: Vec<_> = HOMES.into_iter().filter(absent).collect();
    if !absent.is_empty() {
        let home = home_for_make(dir, scratch, site)?;
        for name in absent {
            environment.set(name, home.as_os_str());
        }
    }
    Ok(())
}

/// `include` splits at white space and knows no quotes: where the cache has such a path, or cannot be written, the files
/// go into the scratch directory, named relative to the plugin.
fn home_for_make(dir: &Path, scratch: &str, site: &Site) -> Result<PathBuf> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._+@-".contains(byte);
    match home(site) {
        Ok(home) if home.as_os_str().as_encoded_bytes().iter().all(is_plain) => return Ok(home),
        // A cache that cannot be written fails nothing.
        Ok(_) | Err(_) => {}
    }
    let relative = Path::new(scratch).join("shims");
    write_to(&dir.join(&relative))?;
    Ok(relative)
}

/// Fills a directory with commands that are all links to `program`, which tells by its name what it is to be, and
/// with the files for Makefiles. The directory can be on PATH and can be anyone's home: its `bin` is itself.
pub fn write_commands(dir: &Path, program: &Path, names: &[&str]) -> Result<()> {
    fs::create_dir_all(dir)?;
    for name in names.iter().chain(&["mwp"]) {
        link(program, &dir.join(name))?;
    }
    link(Path::new("."), &dir.join("bin"))?;
    write_to(dir)
}

fn link(target: &Path, link: &Path) -> Result<()> {
    if std::fs::read_link(link).is_ok_and(|present| present == target) || is_same_file(target, link) {
        return Ok(());
    }
    if fs::exists(link) && !link.is_symlink() {
        return Err(Error::input(format!("{} is there, and is no link of ours", text::path(link)))
            .hint("name a directory of its own for the commands"));
    }
    fs::remove_file(link)?;
    fs::symlink(target, link)
}

/// The program may lie in that very directory.
fn is_same_file(target: &Path, link: &Path) -> bool {
    target.is_absolute() && !link.is_symlink() && std::fs::canonicalize(link).is_ok_and(|link| link == target)
}

fn write_to(home: &Path) -> Result<()> {
    FILES.iter().try_for_each(|(name, content)| write(&home.join(name), content.as_bytes()))
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    if fs::read_optional(path)?.is_some_and(|present| present == content) {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
        fs::sweep(parent);
    }
    fs::write_atomic(path, content)
}

/// The program that commands are to be is not known.
pub fn no_program() -> Error {
    Error::machine("cannot find the file of the running `mwp`").hint("is /proc mounted?")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(cache: &Path, mfext_home: &Path) -> Site {
        let mut environment = Environment::default();
        environment.set("MWP_CACHE_DIR", cache);
        environment.set("MFEXT_HOME", mfext_home);
        Site::new(environment)
    }

    #[test]
    fn an_installed_metwork_keeps_its_own_makefile() {
        let root = tempfile::tempdir().unwrap();
        let metwork = root.path().join("metwork");
        let site = site(root.path(), &metwork);
        let ours = home(&site).unwrap();
        let provided = |name: &str| {
            let mut environment = site.environment.clone();
            provide_make_fragment(Path::new("/nowhere"), ".mwp", &site, &mut environment).unwrap();
            environment.path(name).unwrap()
        };
        assert_eq!((provided("MFEXT_HOME"), provided("MFCOM_HOME")), (ours.clone(), ours.clone()));
        fs::create_dir_all(&metwork.join("share")).unwrap();
        fs::write_atomic(&metwork.join("share/plugin.mk"), b"").unwrap();
        assert_eq!((provided("MFEXT_HOME"), provided("MFCOM_HOME")), (metwork.clone(), ours));
    }

    #[test]
    fn make_finds_its_files_where_the_cache_has_a_space() {
        let root = tempfile::tempdir().unwrap();
        let (cache, plugin) = (root.path().join("my cache"), root.path().join("my plugin"));
        fs::create_dir_all(&plugin).unwrap();
        let makefile = b"include $(MFEXT_HOME)/share/plugin.mk\nprecustom::\n\t@echo $(NAME) was here\n";
        fs::write_atomic(&plugin.join("Makefile"), makefile).unwrap();
        fs::write_atomic(&plugin.join(".layerapi2_label"), b"plugin_foo@mfserv\n").unwrap();
        let mut environment = Environment::default();
        provide_make_fragment(&plugin, ".mwp", &site(&cache, root.path()), &mut environment).unwrap();
        let mut make = std::process::Command::new("make");
        make.args(["--no-print-directory", "precustom"]).current_dir(&plugin).envs(environment.iter());
        let output = make.output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "foo was here\n", "{output:?}");
    }

    #[test]
    fn programs_are_whole_and_executable_however_many_ask_for_them() {
        let root = tempfile::tempdir().unwrap();
        let site = site(root.path(), root.path());
        let check = || {
            let dir = programs(&site).unwrap();
            for (name, content) in PROGRAMS {
                assert_eq!(fs::read_text(&dir.join(name)).unwrap(), content);
                assert_eq!(dir.join(name).metadata().unwrap().permissions().mode() & 0o100, 0o100);
            }
        };
        crate::threads::together(8, "checking", check);
        let program = programs(&site).unwrap().join(PROGRAMS[0].0);
        fs::set_mode(&program, 0o644).unwrap();
        check();
    }

    #[test]
    fn a_damaged_file_is_written_again() {
        let root = tempfile::tempdir().unwrap();
        let site = site(root.path(), root.path());
        let file = home(&site).unwrap().join("share/plugin.mk");
        fs::write_atomic(&file, b"damaged").unwrap();
        home(&site).unwrap();
        assert_eq!(fs::read_text(&file).unwrap(), FILES[0].1);
    }
}
