//! Whether a plugin's virtualenv has the interpreter that it was made for.

use std::path::Path;

use rustix::fs::{Access, access};

use crate::fs;
use crate::text;

/// In the home of a plugin whose virtualenv an installation made: what is in there.
pub const LIST: &str = ".mwp_installed.json";

/// Why the programs of the virtualenv at `root` cannot run: its interpreter is gone, or has become another version.
/// `None` where all is well, and where there is to be no virtualenv.
pub fn virtualenv_fault(root: &Path) -> Option<String> {
    let was_made = root.parent().is_some_and(|home| fs::exists(&home.join(LIST)));
    if !fs::exists(&root.join("pyvenv.cfg")) {
        return was_made.then(|| format!("{} is missing", text::path(&root.join("pyvenv.cfg"))));
    }
    let python = root.join("bin/python3");
    let Ok(metadata) = python.symlink_metadata() else {
        return Some(format!("its interpreter {} is missing", text::path(&python)));
    };
    let target = std::fs::read_link(&python).unwrap_or_else(|_| python.clone());
    let Ok(real) = std::fs::canonicalize(&python) else {
        return Some(format!("its interpreter {} is gone", text::path(&target)));
    };
    if !real.is_file() || access(&real, Access::EXEC_OK).is_err() {
        return Some(format!("its interpreter {} cannot be run", text::path(&target)));
    }
    // Ours has both names.
    let other = root.join("bin/python");
    if was_made && std::fs::canonicalize(&other).ok().as_ref() != Some(&real) {
        return Some(format!("{} is not its interpreter", text::path(&other)));
    }
    if !metadata.is_symlink() {
        return None;
    }
    // The name of the program behind all links tells its version on every distribution.
    let found = real.file_name()?.to_str()?.strip_prefix("python")?.to_owned();
    let is_version = found.starts_with("3.") && found[2..].chars().all(|digit| digit.is_ascii_digit());
    let made_for = fs::list(&root.join("lib")).ok()?;
    let mut made_for = made_for.iter().filter_map(|path| path.file_name()?.to_str()?.strip_prefix("python"));
    let expected = made_for.next()?.to_owned();
    (is_version && found.len() > 2 && found != expected && made_for.all(|other| other != found)).then(|| {
        format!(
            "its interpreter {} is Python {found} now, and it was made for Python {expected}",
            text::path(&target)
        )
    })
}
