//! Files that look like secrets: a `.plugin` file travels far, so whoever packs one is told.
//!
//! Names and small text files only; a guess, not a scanner. What others published (`node_modules`,
//! `site-packages`) is left out: test keys of libraries are no secrets.

use crate::error::Problem;
use crate::text;

/// Larger files hold data, not settings.
const MAX_INSPECTED: usize = 256 * 1024;

/// The warning for a file that is about to be shipped.
pub(super) fn inspect(path: &str, content: &[u8]) -> Option<Problem> {
    if path.split('/').any(|part| matches!(part, "node_modules" | "site-packages")) {
        return None;
    }
    let found = suspicion(path, content)?;
    Some(Problem {
        message: format!("`{path}` {found}, and is shipped"),
        hint: Some(format!("if it is a secret, add `/{path}` to `.releaseignore` and pack again")),
    })
}

/// As many as a person reads; the rest is only counted.
pub(super) fn few(mut warnings: Vec<Problem>) -> Vec<Problem> {
    const FEW: usize = 5;
    let more = warnings.len().saturating_sub(FEW);
    warnings.truncate(FEW);
    if more > 0 {
        let message = format!("{} more like these", text::count(more, "file"));
        let hint =
            Some("if they are secrets, add their directories to `.releaseignore` and pack again".to_owned());
        warnings.push(Problem { message, hint });
    }
    warnings
}

fn suspicion(path: &str, content: &[u8]) -> Option<&'static str> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let content = &content[..content.len().min(MAX_INSPECTED)];
    match name {
        "id_rsa" | "id_dsa" | "id_ecdsa" | "id_ed25519" => return Some("is named like a private SSH key"),
        ".git-credentials" => return Some("is named like stored passwords of git"),
        ".env" => return Some("is named like a file of secret settings"),
        ".npmrc" if assigns(content, &["_authToken", "_auth", "_password"]) => {
            return Some("holds a token of npm");
        }
        ".pypirc" if assigns(content, &["password"]) => return Some("holds a password of PyPI"),
        ".netrc" | "_netrc" if contains(content, b"password") => return Some("holds a password"),
        _ => {}
    }
    if let Some(kind) = name.strip_prefix(".env.") {
        let is_sample = matches!(kind, "example" | "sample" | "template" | "dist" | "defaults");
        return (!is_sample).then_some("is named like a file of secret settings");
    }
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension {
        "p12" | "pfx" => Some("is named like a store of private keys"),
        "pem" | "key" if contains(content, b"PRIVATE KEY-----") => Some("holds a private key"),
        "json" if contains(content, b"\"private_key\": \"-----BEGIN") => Some("holds a private key"),
        "" | "ini" | "cfg" | "conf" | "toml" | "yaml" | "yml" | "json" | "properties" | "sh" | "py"
        | "js" | "txt"
            if has_aws_key(content) =>
        {
            Some("holds an access key of AWS")
        }
        _ => None,
    }
}

/// A line `… key = value`, where the value is no reference to a variable.
fn assigns(content: &[u8], keys: &[&str]) -> bool {
    String::from_utf8_lossy(content).lines().filter(|line| !line.trim_start().starts_with(['#', ';'])).any(
        |line| {
            line.split_once('=').is_some_and(|(key, value)| {
                let (key, value) = (key.trim(), value.trim());
                keys.iter().any(|wanted| key.ends_with(wanted))
                    && !value.is_empty()
                    && !value.starts_with("${")
            })
        },
    )
}

/// `AKIA` or `ASIA` and 16 capitals and digits, with nothing of the kind around.
fn has_aws_key(content: &[u8]) -> bool {
    let is_key = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    let starts = memchr::memmem::find_iter(content, b"IA").filter_map(|position| position.checked_sub(2));
    starts.into_iter().any(|start| {
        let candidate = content.get(start..start + 20);
        let alone = !start.checked_sub(1).is_some_and(|before| is_key(content[before]))
            && !content.get(start + 20).is_some_and(|after| is_key(*after));
        let documented = |key: &[u8]| key.ends_with(b"EXAMPLE");
        alone
            && candidate.is_some_and(|key| {
                matches!(&key[..4], b"AKIA" | b"ASIA") && key.iter().copied().all(is_key) && !documented(key)
            })
    })
}

fn contains(content: &[u8], text: &[u8]) -> bool {
    memchr::memmem::find(content, text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_told() {
        for (path, content, secret) in [
            (".env", "", true),
            ("app/.env.production", "", true),
            (".env.example", "", false),
            ("home/id_rsa", "", true),
            ("id_rsa.pub", "", false),
            ("tls/server.key", "-----BEGIN RSA PRIVATE KEY-----\nabc", true),
            ("tls/server.pem", "-----BEGIN PRIVATE KEY-----\nabc", true),
            ("tls/ca.pem", "-----BEGIN CERTIFICATE-----\nabc", false),
            ("i18n.key", "hello", false),
            (".npmrc", "//registry.example.org/:_authToken=npm_abc\n", true),
            (".npmrc", "//registry.example.org/:_authToken=${NPM_TOKEN}\n", false),
            (".npmrc", "registry=https://registry.example.org\n", false),
            (".pypirc", "[pypi]\nusername = __token__\npassword = pypi-abc\n", true),
            (".pypirc", "[pypi]\nrepository = https://upload.example.org\n", false),
            (".netrc", "machine x login y password z\n", true),
            ("settings.ini", "[aws]\nkey = AKIAQWERTYUIOPASDFGH\n", true),
            ("settings.ini", "[aws]\nkey = AKIAIOSFODNN7EXAMPLE\n", false),
            ("settings.ini", "key = XAKIAQWERTYUIOPASDFGH\n", false),
            ("credentials", "aws_access_key_id=ASIAQWERTYUIOPASDFGH", true),
            ("IA", "IA", false),
            ("node_modules/tls/test/key.pem", "-----BEGIN PRIVATE KEY-----", false),
            ("main.py", "import os\n", false),
        ] {
            assert_eq!(inspect(path, content.as_bytes()).is_some(), secret, "{path}: {content:?}");
        }
    }
}
