//! What git knows: who makes a plugin, and what of one is not committed.

use std::path::Path;

use crate::process::Program;
use crate::site::Site;

/// `Name <mail>` from git's configuration, or the name alone; `None` where there is no git, or it knows no name.
pub fn identity(site: &Site) -> Option<String> {
    let ask = |key: &str| {
        let program =
            Program::new("git", Path::new("."), &site.environment).arguments(["config", "--get", key]);
        let answer = program.ask().ok()?;
        let answer = answer.trim();
        let is_plain = !answer.is_empty() && !answer.chars().any(char::is_control);
        is_plain.then(|| answer.to_owned())
    };
    let name = ask("user.name")?;
    Some(match ask("user.email") {
        Some(mail) => format!("{name} <{mail}>"),
        None => name,
    })
}

/// What is not committed in a directory, as `git status` shows it; nothing outside a repository or without git.
pub fn uncommitted(directory: &Path, site: &Site) -> Vec<String> {
    // Without its lock, which would stay behind where we are killed.
    let arguments = ["--no-optional-locks", "status", "--porcelain", "--untracked-files=normal", "--", "."];
    let answer = Program::new("git", directory, &site.environment).arguments(arguments).ask();
    answer.unwrap_or_default().lines().map(|line| line.get(3..).unwrap_or(line).to_owned()).collect()
}
