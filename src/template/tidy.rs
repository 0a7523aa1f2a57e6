//! After rendering: what templates render empty is left out, as upstream does, so that a template can drop a
//! file by a condition around its content.

use std::path::Path;

use crate::error::Result;
use crate::fs;
use crate::text;

/// Files whose mere presence says something.
const MEANINGFUL_WHEN_EMPTY: [&str; 2] = ["allow_binary_packages", "override"];

/// Removes empty files and the directories that hold nothing else.
pub(super) fn remove_empty(dir: &Path) -> Result<()> {
    for entry in fs::list(dir)? {
        if entry.is_symlink() {
            continue;
        }
        if entry.is_dir() {
            remove_empty(&entry)?;
            if fs::list(&entry)?.is_empty() {
                fs::remove_tree(&entry)?;
            }
        } else if is_empty(&entry) && !is_meaningful(&entry) {
            fs::remove_file(&entry)?;
        }
    }
    Ok(())
}

fn is_meaningful(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    MEANINGFUL_WHEN_EMPTY.contains(&name) || name.ends_with(".py")
}

fn is_empty(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0)
}

/// Does what the marker files of upstream's templates ask for: `x.delete` with some text removes `x`, `x.rename`
/// gives `x` the name it holds; empty markers mean nothing, or that `x` is not wanted. The markers go.
pub(super) fn apply_markers(dir: &Path) -> Result<()> {
    for entry in fs::list(dir)? {
        if entry.is_dir() && !entry.is_symlink() {
            apply_markers(&entry)?;
            continue;
        }
        let Some(extension) = entry.extension().and_then(|extension| extension.to_str()) else { continue };
        let marked = entry.with_extension("");
        match extension {
            "delete" => {
                if !fs::read_text(&entry)?.trim().is_empty() {
                    fs::remove_tree(&marked)?;
                }
                fs::remove_file(&entry)?;
            }
            "rename" => {
                let content = fs::read_text(&entry)?;
                let name = content.trim();
                if name.is_empty() {
                    fs::remove_tree(&marked)?;
                } else if is_plain_name(name) {
                    if fs::exists(&marked) {
                        fs::rename(&marked, &dir.join(name))?;
                    }
                } else {
                    return Err(crate::error::Error::input(format!(
                        "the template's {} holds `{}`; the name of a file is allowed",
                        text::path(Path::new(entry.file_name().unwrap_or_default())),
                        text::visible(name)
                    ))
                    .hint("mend the template, or take another one"));
                }
                fs::remove_file(&entry)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_plain_name(name: &str) -> bool {
    !name.contains(['/', '\n', '\0']) && !matches!(name, "." | "..")
}
