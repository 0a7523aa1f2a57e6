//! Which commit this is built from, for `mwp --version`; nothing where there is no git.
#![allow(clippy::disallowed_methods, clippy::print_stdout)]

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
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
