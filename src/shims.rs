//! Files that stand in for those of an installed MetWork, so that what existing plugins refer to is there.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::fs;
use crate::site::Site;

const FILES: [(&str, &str); 2] = [
    ("share/plugin.mk", include_str!("../templates/shims/share/plugin.mk")),
    ("opt/misc/share/plugin.mk", include_str!("../templates/shims/opt/misc/share/plugin.mk")),
];

/// The homes that Makefiles of plugins, old and new, include `plugin.mk` from.
const HOMES: [&str; 2] = ["MFEXT_HOME", "MFCOM_HOME"];

/// A directory to take for `MFEXT_HOME` where no MetWork is installed. It lies in the cache and is complete
/// when this returns.
pub fn home(site: &Site) -> Result<PathBuf> {
    let home = site.cache.join("shims").join(env!("CARGO_PKG_VERSION"));
    write_to(&home)?;
    Ok(home)
}

/// What to add to the environment of a `make` that runs a hook of the Makefile in `dir`, in `dir`: homes that
/// hold a `plugin.mk` (an installed MetWork keeps its own) and the word that it is a hook, so that the Makefile
/// does not call `mwp` again.
pub fn make_hook_environment(dir: &Path, site: &Site) -> Result<Vec<(OsString, OsString)>> {
    let mut variables = vec![("MWP_MAKE_HOOK".into(), "1".into())];
    let absent =
        |name: &&str| !site.environment.path(name).is_some_and(|home| home.join("share/plugin.mk").is_file());
    let absent: Vec<_> = HOMES.into_iter().filter(absent).collect();
    if !absent.is_empty() {
        let home = home_for_make(dir, site)?;
        variables.extend(absent.into_iter().map(|name| (name.into(), home.clone().into())));
    }
    Ok(variables)
}

/// `include` splits at white space and knows no quotes: where the cache has such a path, the files go into the
/// plugin's own directory for work in progress, named relative to it.
fn home_for_make(dir: &Path, site: &Site) -> Result<PathBuf> {
    let home = home(site)?;
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._+@-".contains(byte);
    if home.as_os_str().as_encoded_bytes().iter().all(is_plain) {
        return Ok(home);
    }
    let relative = Path::new(".mwp/shims");
    write_to(&dir.join(relative))?;
    Ok(relative.to_owned())
}

fn write_to(home: &Path) -> Result<()> {
    for (name, content) in FILES {
        let path = home.join(name);
        if fs::read_optional(&path)?.is_some_and(|present| present == content.as_bytes()) {
            continue;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write_atomic(&path, content.as_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::Environment;

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
        let names = |site: &Site| -> Vec<_> {
            make_hook_environment(Path::new("/nowhere"), site)
                .unwrap()
                .into_iter()
                .map(|(name, _)| name)
                .collect()
        };
        assert_eq!(names(&site), ["MWP_MAKE_HOOK", "MFEXT_HOME", "MFCOM_HOME"]);
        fs::create_dir_all(&metwork.join("share")).unwrap();
        fs::write_atomic(&metwork.join("share/plugin.mk"), b"").unwrap();
        assert_eq!(names(&site), ["MWP_MAKE_HOOK", "MFCOM_HOME"]);
    }

    #[test]
    fn make_finds_its_files_where_the_cache_has_a_space() {
        let root = tempfile::tempdir().unwrap();
        let (cache, plugin) = (root.path().join("my cache"), root.path().join("my plugin"));
        fs::create_dir_all(&plugin).unwrap();
        fs::write_atomic(
            &plugin.join("Makefile"),
            b"include $(MFEXT_HOME)/share/plugin.mk\nprecustom::\n\t@echo $(NAME) was here\n",
        )
        .unwrap();
        fs::write_atomic(&plugin.join(".layerapi2_label"), b"plugin_foo@mfserv\n").unwrap();
        let variables = make_hook_environment(&plugin, &site(&cache, root.path())).unwrap();
        let mut make = std::process::Command::new("make");
        make.args(["-C"]).arg(&plugin).args(["--no-print-directory", "precustom", "all"]).envs(variables);
        let output = make.output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "foo was here\n", "{output:?}");
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
