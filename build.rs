//! Which commit this is built from, for `mwp --version`; nothing where there is no git. Which files of `templates/` the
//! binary holds.
#![allow(clippy::disallowed_methods, clippy::print_stdout)]

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

/// Directories whose files go into the binary under their names; others are named where they are used.
const EMBEDDED: [&str; 5] = ["mfbase", "mfdata", "mfserv", "shared", "shims/python"];

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    tell_version();
    embed(&variable("CARGO_MANIFEST_DIR").join("templates"))
}

fn variable(name: &str) -> PathBuf {
    std::env::var_os(name).unwrap_or_default().into()
}

/// Writes what `src/embedded.rs` includes: the files by their paths in `templates`, sorted.
fn embed(templates: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    for dir in EMBEDDED.map(|dir| templates.join(dir)) {
        println!("cargo:rerun-if-changed={}", dir.display());
        list(&dir, &mut files)?;
    }
    let mut table = "static FILES: &[File] = &[\n".to_owned();
    let mut rows: Vec<_> =
        files.iter().filter_map(|file| file.strip_prefix(templates).ok()?.to_str()).collect();
    rows.sort_unstable();
    for path in rows {
        let _ = writeln!(table, "    ({path:?}, include_bytes!({:?})),", templates.join(path));
    }
    fs::write(variable("OUT_DIR").join("embedded.rs"), table + "];\n")
}

fn list(dir: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() { list(&path, files)? } else { files.push(path) }
    }
    Ok(())
}

fn tell_version() {
    let git = |arguments: &[&str]| {
        let output =
            Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    // A package that was unpacked inside somebody else's repository is not of that.
    let root = git(&["rev-parse", "--show-toplevel"]);
    let own = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    if root.is_none_or(|root| root != own) {
        return println!("cargo:rustc-env=MWP_VERSION={}", env!("CARGO_PKG_VERSION"));
    }
    for path in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", path]).filter(|path| Path::new(path).exists()) {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_default();
    let date = git(&["show", "--no-patch", "--format=%cs", "HEAD"]).unwrap_or_default();
    println!("cargo:rustc-env=MWP_VERSION={} ({commit} {date})", env!("CARGO_PKG_VERSION"));
}
