//! The site's index settings as pip has them, handed on to uv.
//!
//! pip reads its own configuration; uv does not read pip's. A site that set an index, a proxy or a certificate for
//! pip gets the same from uv, unless it has set uv's own variable.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ini::{Ini, ParseOption};

use crate::fs;
use crate::site::Site;

/// pip's options as they stand, `index-url` → value: configuration files first, then `PIP_…` variables.
pub(super) fn pip_options(site: &Site) -> BTreeMap<String, String> {
    let mut options = BTreeMap::new();
    for file in configuration_files(site) {
        let Ok(Some(content)) = fs::read_text_optional(&file) else { continue };
        // Lists stand on indented lines; quotes and backslashes mean nothing, as in Python.
        let dialect = ParseOption {
            enabled_quote: false,
            enabled_escape: false,
            enabled_indented_mutiline_value: true,
            ..ParseOption::default()
        };
        let Ok(ini) = Ini::load_from_str_opt(&content, dialect) else { continue };
        for section in ["global", "install", "wheel"] {
            for (key, value) in ini.section(Some(section)).into_iter().flat_map(|section| section.iter()) {
                options.insert(key.trim().replace('_', "-"), value.trim().to_owned());
            }
        }
    }
    for (name, value) in site.environment.iter() {
        if let (Some(name), Some(value)) = (name.to_str(), value.to_str())
            && let Some(option) = name.strip_prefix("PIP_")
            && !value.is_empty()
        {
            options.insert(option.to_ascii_lowercase().replace('_', "-"), value.to_owned());
        }
    }
    options
}

/// In the order in which pip reads them, later wins.
fn configuration_files(site: &Site) -> Vec<PathBuf> {
    let environment = &site.environment;
    if environment.text("PIP_CONFIG_FILE") == Some("/dev/null") {
        return Vec::new();
    }
    let mut files = vec![site.etc.join("pip.conf")];
    files.extend(
        environment
            .text("XDG_CONFIG_DIRS")
            .unwrap_or("/etc/xdg")
            .split(':')
            .map(|dir| PathBuf::from(dir).join("pip/pip.conf")),
    );
    files.push(site.home.join(".pip/pip.conf"));
    let config = environment.path("XDG_CONFIG_HOME").unwrap_or_else(|| site.home.join(".config"));
    files.push(config.join("pip/pip.conf"));
    files.extend(environment.path("VIRTUAL_ENV").map(|dir| dir.join("pip.conf")));
    files.extend(environment.path("PIP_CONFIG_FILE"));
    files
}

/// The variables of uv that say the same.
pub(super) fn uv_variables(site: &Site) -> Vec<(&'static str, String)> {
    let options = pip_options(site);
    let words = |key: &str, separator: &str| {
        options.get(key).map(|value| value.split_whitespace().collect::<Vec<_>>().join(separator))
    };
    let mut variables = vec![
        // pip takes the best version from all indexes; uv stops at the first index that has the project.
        ("UV_INDEX_STRATEGY", "unsafe-best-match".to_owned()),
        // The interpreter is the one that the plugin runs with.
        ("UV_PYTHON_DOWNLOADS", "never".to_owned()),
    ];
    let mut add = |name, value: Option<String>| variables.extend(value.map(|value| (name, value)));
    add("UV_DEFAULT_INDEX", words("index-url", " "));
    add("UV_INDEX", words("extra-index-url", " "));
    add("UV_FIND_LINKS", words("find-links", ","));
    add("UV_INSECURE_HOST", words("trusted-host", " "));
    add("UV_HTTP_TIMEOUT", options.get("timeout").or(options.get("default-timeout")).cloned());
    add("SSL_CERT_FILE", options.get("cert").cloned());
    add("SSL_CLIENT_CERT", options.get("client-cert").cloned());
    add("UV_KEYRING_PROVIDER", options.get("keyring-provider").cloned().filter(|value| value != "auto"));
    if let Some(proxy) = options.get("proxy") {
        add("HTTPS_PROXY", Some(proxy.clone()));
        add("HTTP_PROXY", Some(proxy.clone()));
    }
    if options.get("no-index").is_some_and(|value| is_true(value)) {
        add("UV_NO_INDEX", Some("1".to_owned()));
    }
    if options.get("pre").is_some_and(|value| is_true(value)) {
        add("UV_PRERELEASE", Some("allow".to_owned()));
    }
    variables.retain(|(name, _)| site.environment.get(name).is_none());
    variables
}

/// What decides from where a package comes, as text for a key; credentials are part of it, so only ever digested.
pub(super) fn index_settings(site: &Site) -> String {
    const KEYS: [&str; 7] = [
        "index-url",
        "extra-index-url",
        "find-links",
        "no-index",
        "no-binary",
        "only-binary",
        "prefer-binary",
    ];
    let options = pip_options(site);
    KEYS.iter().filter_map(|key| options.get(*key).map(|value| format!("{key}={value}\n"))).collect()
}

fn is_true(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::Environment;
    use std::path::Path;

    fn site(home: &Path, variables: &[(&str, &str)]) -> Site {
        let mut environment = Environment::default();
        environment.set("HOME", home.as_os_str());
        environment.set("MWP_ETC_DIR", home.as_os_str());
        for (name, value) in variables {
            environment.set(*name, *value);
        }
        Site::new(environment)
    }

    #[test]
    fn uv_gets_the_index_settings_of_pip_and_the_environment_wins() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(&home.path().join(".config/pip")).unwrap();
        let conf = "[global]\nindex-url = https://mirror/simple\nextra_index_url =\n    https://a/simple\n    https://b/simple\ntrusted-host = mirror\n";
        fs::write_atomic(&home.path().join(".config/pip/pip.conf"), conf.as_bytes()).unwrap();
        let variables: BTreeMap<_, _> = uv_variables(&site(
            home.path(),
            &[("PIP_INDEX_URL", "https://other/simple"), ("UV_INDEX_STRATEGY", "first-index")],
        ))
        .into_iter()
        .collect();
        assert_eq!(variables["UV_DEFAULT_INDEX"], "https://other/simple");
        assert_eq!(variables["UV_INSECURE_HOST"], "mirror");
        assert_eq!(variables.get("UV_INDEX").map(String::as_str), Some("https://a/simple https://b/simple"));
        assert!(!variables.contains_key("UV_INDEX_STRATEGY"));
    }
}
