//! Whether a plugin's virtualenv has the interpreter that it was made for.

use std::path::Path;

use crate::fs;
use crate::text;

/// Why the programs of the virtualenv at `root` cannot run: its interpreter is gone, or has become another version.
/// `None` where all is well, and where there is no virtualenv.
pub fn virtualenv_fault(root: &Path) -> Option<String> {
    if !fs::exists(&root.join("pyvenv.cfg")) {
        return None;
    }
    let python = root.join("bin/python3");
    let Ok(metadata) = python.symlink_metadata() else {
        return Some(format!("its interpreter {} is missing", text::path(&python)));
    };
    let target = std::fs::read_link(&python).unwrap_or_else(|_| python.clone());
    let Ok(real) = std::fs::canonicalize(&python) else {
        return Some(format!("its interpreter {} is gone", text::path(&target)));
    };
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
