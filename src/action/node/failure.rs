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
    let reason = errors.first().map_or_else(|| ending.to_owned(), |line| text::visible(line));
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
    Error::input(message).hint("correct package.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_what_is_missing_and_not_where_the_log_is() {
        let said = "npm error code ETARGET\nnpm error notarget No matching version found for express@99.\n\
            npm error A complete log of this run can be found in: /root/.npm/_logs/x.log\n";
        let error = failure_of("npm", "change package.json", said, "exit code 1").to_string();
        assert!(error.contains("No matching version found for express@99."), "{error}");
        assert!(!error.contains("complete log"), "{error}");
    }
}
