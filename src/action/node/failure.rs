//! Why a package manager failed.

use crate::error::Error;
use crate::process::Finished;
use crate::text;

/// The reason of a package manager that failed, not its trace.
pub(super) fn failure(name: &str, what: &str, finished: &Finished) -> Error {
    failure_of(name, what, &finished.output, &finished.ending())
}

/// The same of what it wrote; `ending` is said where that gives no reason.
pub fn failure_of(name: &str, what: &str, output: &str, ending: &str) -> Error {
    let errors: Vec<&str> = output
        .lines()
        .filter_map(|line| {
            let line = line.trim_start();
            ["npm error ", "npm ERR! ", "ERR_PNPM_", "error ", "\u{2009}ERROR\u{2009}"]
                .iter()
                .find_map(|prefix| line.strip_prefix(prefix))
        })
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("A complete log") && !line.starts_with("code E"))
        .collect();
    let (drawn, help) = drawn(output);
    let reason = errors.first().map(|line| (*line).to_owned()).or(drawn).unwrap_or_else(|| ending.to_owned());
    let reason = text::visible(&reason);
    let message = format!("{name} cannot {what}: {reason}");
    let offline =
        ["ENOTCACHED", "ERR_PNPM_NO_OFFLINE", "NO_OFFLINE_"].iter().any(|sign| output.contains(sign));
    let unreachable = ["ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ENETUNREACH", "ETIMEDOUT"];
    if offline {
        return Error::machine(format!(
            "{name} cannot {what}: a package is not in its cache, and --offline was given"
        ))
        .hint("run it once without --offline");
    }
    if unreachable.iter().any(|sign| output.contains(sign)) {
        return Error::machine(format!("{name} cannot {what}: the registry cannot be reached"))
            .hint("check the network, the proxy and the registry settings of npm");
    }
    if output.contains("ENOSPC") {
        return Error::machine(format!("{name} cannot {what}: no space left on device"))
            .hint("free some space and run the same command again; nothing was lost");
    }
    if output.contains("EUSAGE") || output.contains("OUTDATED_LOCKFILE") || output.contains("frozen-lockfile")
    {
        return Error::input(message).hint(
            "the lock does not fit package.json; remove the lock, or mend it with the package manager",
        );
    }
    Error::input(message).hint(help.map_or("correct package.json".to_owned(), |help| text::visible(&help)))
}

/// The reason and the help of a pnpm that draws its errors: `╰─▶ REASON`, then `help: …`, over several lines each.
fn drawn(output: &str) -> (Option<String>, Option<String>) {
    let part = |start: &str| {
        let mut lines = output.lines().map(str::trim).skip_while(|line| !line.starts_with(start));
        let first = lines.next()?.strip_prefix(start)?.trim();
        let rest = lines.take_while(|line| !line.is_empty() && !line.starts_with("help: "));
        Some(std::iter::once(first).chain(rest).collect::<Vec<_>>().join(" "))
    };
    (part("╰─▶"), part("help: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_that_is_drawn_is_read_with_its_help() {
        let said = "Error: ERR_PNPM_IGNORED_BUILDS\n\n  × installing dependencies\n  ╰─▶ Ignored build scripts: \
            esbuild@0.21.5,\n      b@1.0.0\n  help: Run \"pnpm approve-builds\" to pick which may\n        run.\n\nx";
        let error = failure_of("pnpm", "install", said, "exit code 1");
        let problem = &error.problems[0];
        assert_eq!(problem.message, "pnpm cannot install: Ignored build scripts: esbuild@0.21.5, b@1.0.0");
        assert_eq!(problem.hint.as_deref(), Some("Run \"pnpm approve-builds\" to pick which may run."));
    }

    #[test]
    fn the_reason_is_what_is_missing_and_not_where_the_log_is() {
        let said = "npm error code ETARGET\nnpm error notarget No matching version found for express@99.\n\
            npm error A complete log of this run can be found in: /root/.npm/_logs/x.log\n";
        let error = failure_of("npm", "change package.json", said, "exit code 1").to_string();
        assert!(error.contains("No matching version found for express@99."), "{error}");
        assert!(!error.contains("complete log"), "{error}");
    }
}
