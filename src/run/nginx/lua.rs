//! Whether an nginx runs Lua. It is asked with a configuration that has some: as it is, as openresty takes it, then with
//! the modules that lie where its build looks for modules, as Debian has them.

use std::path::{Path, PathBuf};

use super::Nginx;
use super::syntax::word;
use crate::error::Result;
use crate::fs;
use crate::site::Site;

/// In this order: the second uses what is in the first.
const MODULES: [&str; 2] = ["ndk_http_module.so", "ngx_http_lua_module.so"];

/// The modules that nginx has to load for Lua, none where it is built in; `None` where it runs none.
pub(super) fn modules(nginx: &Nginx, site: &Site) -> Option<Vec<PathBuf>> {
    let beside: Vec<PathBuf> = nginx
        .modules_dir()
        .map(|dir| MODULES.map(|name| dir.join(name)).into_iter().filter(|path| path.is_file()).collect())
        .unwrap_or_default();
    let mut candidates = vec![Vec::new()];
    if beside.iter().any(|path| path.ends_with(MODULES[1])) {
        candidates.push(beside);
    }
    candidates.into_iter().find(|modules| takes(nginx, modules, site).unwrap_or(false))
}

/// Whether it takes Lua with these modules, which may be those of another version.
fn takes(nginx: &Nginx, modules: &[PathBuf], site: &Site) -> Result<bool> {
    let dir = fs::Staging::claimed_in(&site.cache)?;
    let conf = dir.join("nginx.conf");
    let load: String = modules.iter().map(|path| format!("load_module {};\n", shown(path))).collect();
    let text = format!(
        "{load}pid {};\nerror_log stderr;\nevents {{}}\nhttp {{ lua_package_path \";;\"; }}\n",
        shown(&dir.join("pid"))
    );
    fs::write_atomic(&conf, text.as_bytes())?;
    Ok(nginx.run_test(&conf, dir.path(), &site.environment).is_ok())
}

fn shown(path: &Path) -> String {
    word(&path.to_string_lossy())
}
