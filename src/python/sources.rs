//! Where packages come from: what the machine is set up with for pip and for uv, and what the option lines of a
//! requirement file or a lock say.
//!
//! pip reads its own configuration; uv does not read pip's. Both get the same from here. What it says is part of the
//! key of every wheel, so that two plugins with the same pin from two places never share one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ini::{Ini, ParseOption};
use url::Url;

use super::canonical_name;
use super::requirements::{expand, options, plain};
use super::wanted::{Stated, Wanted};
use crate::digest::Digest;
use crate::error::Result;
use crate::fs;
use crate::site::{Environment, Site};

/// Where packages come from, the machine's settings and the option lines taken together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    index_url: Option<String>,
    extra_index_urls: Vec<String>,
    /// Addresses, and absolute paths of directories and files.
    find_links: Vec<String>,
    no_index: bool,
    pre: bool,
    prefer_binary: bool,
    no_binary: Vec<String>,
    only_binary: Vec<String>,
    config_settings: Vec<String>,
    /// The constraints that hold for everything on this machine; paths and addresses.
    constraints: Vec<String>,
    trusted_hosts: Vec<String>,
    require_hashes: bool,
    /// The option lines name an index: the machine's are out.
    states_index: bool,
}

/// Variables of uv that [`Sources`] takes in: uv itself shall not see them as well.
pub(super) const OF_UV: [&str; 7] = [
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_NO_INDEX",
    "UV_CONSTRAINT",
];

impl Sources {
    /// The tools run in `directory`; relative paths that stand in the machine's settings are relative to it.
    pub fn new(site: &Site, directory: &Path, lines: &[Stated]) -> Sources {
        let machine = machine_options(site);
        let words = |key: &str| -> Vec<String> {
            machine
                .get(key)
                .map(|value| value.split_whitespace().map(str::to_owned).collect())
                .unwrap_or_default()
        };
        let flag = |key: &str| machine.get(key).is_some_and(|value| is_true(value));
        let names =
            |key: &str| words(key).iter().flat_map(|word| word.split(',')).map(str::to_owned).collect();
        let mut sources = Sources {
            index_url: machine.get("index-url").cloned(),
            extra_index_urls: words("extra-index-url"),
            find_links: words("find-links").iter().map(|link| absolute(directory, link)).collect(),
            no_index: flag("no-index"),
            pre: flag("pre"),
            prefer_binary: flag("prefer-binary"),
            no_binary: names("no-binary"),
            only_binary: names("only-binary"),
            config_settings: words("config-settings"),
            constraints: words("constraint").iter().map(|file| absolute(directory, file)).collect(),
            trusted_hosts: words("trusted-host"),
            require_hashes: flag("require-hashes"),
            states_index: false,
        };
        for stated in lines {
            let text = expand(stated.line.text(), &site.environment);
            let beside = stated.place.file.parent().unwrap_or(Path::new(""));
            for (name, value) in options(&text) {
                sources.add(&name, &value, beside, directory);
            }
        }
        sources
    }

    /// As pip reads option lines: an index replaces those of before, all else is added.
    fn add(&mut self, name: &str, value: &str, beside: &Path, directory: &Path) {
        let words = || value.split(',').filter(|word| !word.is_empty()).map(str::to_owned);
        match name {
            "--index-url" => {
                self.index_url = Some(value.to_owned());
                self.extra_index_urls.clear();
                self.states_index = true;
            }
            "--extra-index-url" => self.extra_index_urls.push(value.to_owned()),
            "--find-links" => self.find_links.push(find_links(value, beside, directory)),
            "--no-index" => self.no_index = true,
            "--pre" => self.pre = true,
            "--prefer-binary" => self.prefer_binary = true,
            "--no-binary" => self.no_binary.extend(words()),
            "--only-binary" => self.only_binary.extend(words()),
            "--config-settings" | "--config-setting" => self.config_settings.push(value.to_owned()),
            "--trusted-host" => self.trusted_hosts.push(value.to_owned()),
            "--require-hashes" => self.require_hashes = true,
            _ => {}
        }
    }

    /// Whether every requirement has to say which files it allows.
    pub fn require_hashes(&self) -> bool {
        self.require_hashes
    }

    /// Constraint files of the machine.
    pub fn constraint_files(&self) -> impl Iterator<Item = &Path> {
        self.constraints.iter().filter(|file| !file.contains("://")).map(Path::new)
    }

    pub(super) fn constraint_addresses(&self) -> impl Iterator<Item = &str> {
        self.constraints.iter().filter(|file| file.contains("://")).map(String::as_str)
    }

    /// What is read on this machine: directories and pages of links, constraint files and those that they include.
    pub fn files(&self, environment: &Environment) -> Result<Vec<PathBuf>> {
        let own = self.local_links().chain(self.constraint_files()).map(Path::to_owned);
        Ok(own.chain(self.constraints(environment)?.files).collect())
    }

    /// What the constraint files say. That one is missing is for whoever resolves to tell.
    fn constraints(&self, environment: &Environment) -> Result<Wanted> {
        let mut all = Wanted::default();
        for file in self.constraint_files().filter(|file| file.exists()) {
            all.add_constraints(file, environment)?;
        }
        Ok(all)
    }

    /// Addresses of indexes and of pages of links.
    pub(super) fn addresses(&self) -> impl Iterator<Item = &str> {
        let all = self.index_url.iter().chain(&self.extra_index_urls).chain(&self.find_links);
        all.filter(|link| link.contains("://")).map(String::as_str)
    }

    /// The indexes to be asked, in pip's order; `None` where there is one and nobody says which.
    pub(super) fn indexes<'a>(&'a self, default: Option<&'a str>) -> Option<Vec<&'a str>> {
        if self.no_index {
            return Some(Vec::new());
        }
        let first = self.index_url.as_deref().or(default)?;
        Some([first].into_iter().chain(self.extra_index_urls.iter().map(String::as_str)).collect())
    }

    pub(super) fn has_pages_of_links(&self) -> bool {
        self.find_links.iter().any(|link| link.contains("://"))
    }

    pub(super) fn trusted_hosts(&self) -> impl Iterator<Item = &str> {
        self.trusted_hosts.iter().map(String::as_str)
    }

    /// Whether a wheel of `name` may come ready-made.
    pub(super) fn allows_wheels_of(&self, name: &str) -> bool {
        !self.no_binary.iter().any(|given| given == ":all:" || canonical_name(given) == name)
    }

    /// Whether a file at this address, which a lock says to be of `index`, comes from where packages come from here.
    /// Where an index is set, it may be the only one that this machine is to ask.
    pub(super) fn offer(&self, address: &Url, index: Option<&str>) -> bool {
        let is_same = |given: &str| {
            let plain = |index: &str| without_password(index).trim_end_matches('/').to_owned();
            index.is_some_and(|index| plain(index) == plain(given))
                || Url::parse(given).is_ok_and(|given| given.origin() == address.origin())
        };
        !self.no_index && (self.index_url.is_none() || self.addresses().any(is_same))
    }

    pub fn local_links(&self) -> impl Iterator<Item = &Path> {
        self.find_links.iter().filter(|link| !link.contains("://")).map(Path::new)
    }

    /// What is set, name by name, for a key and its explanation: without passwords, and without the place of the
    /// plugin at `plugin`. What the files of [`files`](Sources::files) hold is not in it.
    pub fn facts(&self, plugin: &Path) -> BTreeMap<String, String> {
        let shown = |values: &[String]| {
            let values = values.iter().map(|value| without_password(value));
            values.map(|value| inside(plugin, &value)).collect::<Vec<_>>().join(" ")
        };
        let flag = |value: bool| if value { "yes".to_owned() } else { String::new() };
        let mut facts: BTreeMap<String, String> = [
            ("index-url", self.index_url.as_deref().map(without_password).unwrap_or_default()),
            ("extra-index-url", shown(&self.extra_index_urls)),
            ("find-links", shown(&self.find_links)),
            ("no-index", flag(self.no_index)),
            ("pre", flag(self.pre)),
            ("prefer-binary", flag(self.prefer_binary)),
            ("no-binary", self.no_binary.join(",")),
            ("only-binary", self.only_binary.join(",")),
            ("config-settings", self.config_settings.join(" ")),
            ("constraint", shown(&self.constraints)),
            ("require-hashes", flag(self.require_hashes)),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        facts.retain(|_, value| !value.is_empty());
        facts
    }

    /// Everything that decides which file a pin of `name` becomes, the content of local directories included. What
    /// is compiled may build upon anything that is offered; for what is ready-made its own files count.
    pub(super) fn digest(
        &self,
        plugin: &Path,
        name: &str,
        is_compiled: bool,
        environment: &Environment,
    ) -> Result<Digest> {
        let facts = self.facts(plugin);
        let mut text: String = facts.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        for link in self.local_links() {
            let files = if link.is_dir() { fs::list(link)? } else { vec![link.to_owned()] };
            for file in files.iter().filter(|file| file.is_file()) {
                let shown = file.file_name().unwrap_or_default().to_string_lossy();
                if is_of_project(&shown, name) {
                    text.push_str(&format!("{shown} {}\n", Digest::of_file(file)?));
                } else if is_compiled {
                    // A whole mirror would take long to read: its names and sizes tell a new version.
                    let size = file.metadata().map(|metadata| metadata.len()).unwrap_or_default();
                    text.push_str(&format!("{shown} {size}\n"));
                }
            }
        }
        if is_compiled {
            text.push_str(&self.constraints(environment)?.digest().to_string());
        }
        Ok(Digest::of(text.as_bytes()))
    }

    /// For uv, which reads nothing of pip's. Variables, because addresses may hold passwords, and logs hold arguments.
    pub(super) fn uv_variables(&self, site: &Site) -> Vec<(&'static str, String)> {
        let machine = machine_options(site);
        // pip warns of a directory that is not there; uv gives up.
        let is_there = |link: &&String| link.contains("://") || Path::new(link.as_str()).exists();
        let links: Vec<&str> = self.find_links.iter().filter(is_there).map(String::as_str).collect();
        let mut variables = vec![
            // The interpreter is the one that the plugin runs with.
            ("UV_PYTHON_DOWNLOADS", "never".to_owned()),
            ("UV_DEFAULT_INDEX", self.index_url.clone().unwrap_or_default()),
            ("UV_INDEX", self.extra_index_urls.join(" ")),
            ("UV_FIND_LINKS", links.join(",")),
            ("UV_INSECURE_HOST", self.trusted_hosts.join(" ")),
        ];
        variables.retain(|(_, value)| !value.is_empty());
        if self.pre {
            variables.push(("UV_PRERELEASE", "allow".to_owned()));
        }
        let mut weaker = |name, value: Option<&String>| {
            if site.environment.get(name).is_none() {
                variables.extend(value.map(|value| (name, value.clone())));
            }
        };
        // pip takes the best version from all indexes; uv stops at the first index that has the project.
        weaker("UV_INDEX_STRATEGY", Some(&"unsafe-best-match".to_owned()));
        weaker("UV_HTTP_TIMEOUT", machine.get("timeout").or(machine.get("default-timeout")));
        weaker("SSL_CERT_FILE", machine.get("cert"));
        weaker("SSL_CLIENT_CERT", machine.get("client-cert"));
        weaker("UV_KEYRING_PROVIDER", machine.get("keyring-provider").filter(|value| *value != "auto"));
        weaker("HTTPS_PROXY", machine.get("proxy"));
        weaker("HTTP_PROXY", machine.get("proxy"));
        variables
    }

    /// What uv takes as arguments alone.
    pub(super) fn uv_arguments(&self) -> Vec<String> {
        let each = |option: &str, names: &[String]| -> Vec<String> {
            names.iter().flat_map(|name| [option.to_owned(), name.clone()]).collect()
        };
        let no_index = if self.no_index { vec!["--no-index".to_owned()] } else { Vec::new() };
        [
            no_index,
            each("--no-binary", &self.no_binary),
            each("--only-binary", &self.only_binary),
            each("--config-setting", &self.config_settings),
        ]
        .concat()
    }

    /// The machine's settings that pip would not find for itself, because they are uv's.
    pub(super) fn pip_variables(&self, site: &Site) -> Vec<(&'static str, String)> {
        let of_pip = pip_options(site);
        let machine = machine_options(site);
        [
            ("PIP_INDEX_URL", "index-url"),
            ("PIP_EXTRA_INDEX_URL", "extra-index-url"),
            ("PIP_FIND_LINKS", "find-links"),
            ("PIP_NO_INDEX", "no-index"),
            ("PIP_CONSTRAINT", "constraint"),
        ]
        .into_iter()
        .filter(|(_, key)| !of_pip.contains_key(*key))
        .filter_map(|(variable, key)| Some((variable, machine.get(key)?.clone())))
        .collect()
    }
}

/// Option lines for a file in another directory: paths become absolute, variables stay for the tool to expand.
pub(super) fn moved(lines: &[Stated], directory: &Path) -> Vec<String> {
    let moved = |stated: &Stated| {
        let text = stated.line.text();
        let pairs = options(text);
        match pairs.first() {
            Some((name, value)) if name == "--find-links" && pairs.len() == 1 => {
                let beside = stated.place.file.parent().unwrap_or(Path::new(""));
                let link = find_links(value, beside, directory);
                format!("--find-links {}", shlex::try_quote(&link).unwrap_or_else(|_| link.as_str().into()))
            }
            _ => text.to_owned(),
        }
    };
    lines.iter().map(moved).collect()
}

/// Option lines for a lock in `directory`: paths stay relative, so that a lock is for every clone.
pub(super) fn carried(lines: &[Stated], directory: &Path) -> Vec<String> {
    let carried = |stated: &Stated| {
        let text = stated.line.text();
        let pairs = options(text);
        let beside = stated.place.file.parent().unwrap_or(Path::new(""));
        let beside = &*std::fs::canonicalize(beside).unwrap_or_else(|_| beside.to_owned());
        match pairs.first() {
            Some((name, value)) if name == "--find-links" && pairs.len() == 1 && beside != directory => {
                match plain(&beside.join(value)).strip_prefix(plain(directory)) {
                    Ok(path) if beside.join(value).exists() => format!("--find-links {}", path.display()),
                    _ => text.to_owned(),
                }
            }
            _ => text.to_owned(),
        }
    };
    lines.iter().map(carried).collect()
}

/// A path is relative to the file that states it where it exists there, else to where the tools run.
fn find_links(value: &str, beside: &Path, directory: &Path) -> String {
    let path = value.strip_prefix("file://").unwrap_or(value);
    if path.contains("://") {
        return value.to_owned();
    }
    let here = beside.join(path);
    match std::fs::canonicalize(&here) {
        Ok(here) => here.to_string_lossy().into_owned(),
        Err(_) => absolute(directory, path),
    }
}

fn absolute(directory: &Path, path: &str) -> String {
    let path = path.strip_prefix("file://").unwrap_or(path);
    if path.contains("://") {
        return path.to_owned();
    }
    let path = directory.join(path);
    std::path::absolute(&path).map_or(path, |path| plain(&path)).to_string_lossy().into_owned()
}

/// An address without the name and password of whoever asks: they do not say where a package comes from.
fn without_password(address: &str) -> String {
    match address.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            format!("{scheme}://{host}/{path}")
        }
        None => address.to_owned(),
    }
}

/// A path in the plugin without the plugin's own place.
fn inside(plugin: &Path, path: &str) -> String {
    Path::new(path).strip_prefix(plugin).map_or(path.to_owned(), |inside| format!("./{}", inside.display()))
}

/// Whether a file of an index is of this project, whatever version.
fn is_of_project(file: &str, name: &str) -> bool {
    let canonical = canonical_name(file);
    canonical.strip_prefix(name).is_some_and(|rest| rest.starts_with('-'))
}

/// What pip and uv are set up with on this machine, in pip's words; pip's own settings are the stronger ones.
pub(super) fn machine_options(site: &Site) -> BTreeMap<String, String> {
    let environment = &site.environment;
    let mut options = BTreeMap::new();
    let urls = |value: &str| {
        let words = value.split_whitespace().map(|word| match word.split_once('=') {
            // `name=https://…`
            Some((name, url)) if !name.contains("://") => url,
            _ => word,
        });
        words.collect::<Vec<_>>().join(" ")
    };
    for (variable, option) in [
        ("UV_INDEX_URL", "index-url"),
        ("UV_DEFAULT_INDEX", "index-url"),
        ("UV_EXTRA_INDEX_URL", "extra-index-url"),
        ("UV_INDEX", "extra-index-url"),
        ("UV_NO_INDEX", "no-index"),
        ("UV_CONSTRAINT", "constraint"),
    ] {
        if let Some(value) = environment.text(variable) {
            options.insert(option.to_owned(), urls(value));
        }
    }
    if let Some(value) = environment.text("UV_FIND_LINKS") {
        options.insert("find-links".to_owned(), value.replace(',', " "));
    }
    options.extend(pip_options(site));
    options
}

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

fn is_true(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::requirements::numbered;
    use crate::python::wanted::Place;
    use crate::site::Environment;

    fn site(home: &Path, variables: &[(&str, &str)]) -> Site {
        let mut environment = Environment::default();
        environment.set("HOME", home.as_os_str());
        environment.set("MWP_ETC_DIR", home.as_os_str());
        for (name, value) in variables {
            environment.set(*name, *value);
        }
        Site::new(environment)
    }

    fn lines(file: &str, text: &str) -> Vec<Stated> {
        let lines = numbered(text, &Environment::default());
        lines
            .into_iter()
            .map(|(line, text)| Stated { line: text, place: Place { file: file.into(), line } })
            .collect()
    }

    #[test]
    fn uv_gets_the_index_settings_of_pip_and_the_environment_wins() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(&home.path().join(".config/pip")).unwrap();
        let conf = "[global]\nindex-url = https://mirror/simple\nextra_index_url =\n    https://a/simple\n    https://b/simple\ntrusted-host = mirror\n";
        fs::write_atomic(&home.path().join(".config/pip/pip.conf"), conf.as_bytes()).unwrap();
        let site = site(
            home.path(),
            &[("PIP_INDEX_URL", "https://other/simple"), ("UV_INDEX_STRATEGY", "first-index")],
        );
        let sources = Sources::new(&site, home.path(), &[]);
        let variables: BTreeMap<_, _> = sources.uv_variables(&site).into_iter().collect();
        assert_eq!(variables["UV_DEFAULT_INDEX"], "https://other/simple");
        assert_eq!(variables["UV_INSECURE_HOST"], "mirror");
        assert_eq!(variables["UV_INDEX"], "https://a/simple https://b/simple");
        assert!(!variables.contains_key("UV_INDEX_STRATEGY"));
        assert_eq!(sources.pip_variables(&site), []);
    }

    #[test]
    fn pip_gets_what_is_set_for_uv_alone() {
        let home = tempfile::tempdir().unwrap();
        let site = site(
            home.path(),
            &[
                ("UV_DEFAULT_INDEX", "ours=https://m/simple"),
                ("UV_INDEX", "https://pip"),
                ("PIP_EXTRA_INDEX_URL", "https://x"),
            ],
        );
        let sources = Sources::new(&site, home.path(), &[]);
        assert_eq!(sources.pip_variables(&site), [("PIP_INDEX_URL", "https://m/simple".to_owned())]);
        assert_eq!(sources.facts(home.path())["extra-index-url"], "https://x/");
    }

    #[test]
    fn an_index_in_a_file_replaces_those_of_the_machine_and_links_are_added() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(&home.path().join("sub/vendor")).unwrap();
        let site = site(
            home.path(),
            &[
                ("PIP_EXTRA_INDEX_URL", "https://x/simple"),
                ("PIP_FIND_LINKS", "/srv/links"),
                ("KEY", "me:secret"),
            ],
        );
        let file = home.path().join("sub/r.txt");
        let lines =
            lines(&file.to_string_lossy(), "-i https://${KEY}@own/simple\n-f vendor\n-f elsewhere --pre\n");
        let facts = Sources::new(&site, home.path(), &lines).facts(home.path());
        let shown: Vec<String> = facts.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            shown,
            ["find-links=/srv/links ./sub/vendor ./elsewhere", "index-url=https://own/simple", "pre=yes"]
        );
        assert_eq!(carried(&lines, home.path())[1], "--find-links sub/vendor");
        assert_eq!(
            moved(&lines, home.path())[1],
            format!("--find-links {}/sub/vendor", home.path().display())
        );
    }

    #[test]
    fn the_same_pin_from_two_directories_has_two_digests_and_a_stranger_does_not_count() {
        let home = tempfile::tempdir().unwrap();
        let site = site(home.path(), &[]);
        let digest = |plugin: &str, compiled: bool| {
            let plugin = home.path().join(plugin);
            let lines = lines(&plugin.join("r.txt").to_string_lossy(), "--no-index\n--find-links ./vendor");
            Sources::new(&site, &plugin, &lines)
                .digest(&plugin, "alpha", compiled, &site.environment)
                .unwrap()
        };
        let write = |name: &str, content: &str| {
            let path = home.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write_atomic(&path, content.as_bytes()).unwrap();
        };
        write("a/vendor/alpha-1.0-py3-none-any.whl", "one");
        write("b/vendor/alpha-1.0-py3-none-any.whl", "one");
        assert_eq!(digest("a", false), digest("b", false));
        write("b/vendor/alpha-1.0-py3-none-any.whl", "two");
        assert_ne!(digest("a", false), digest("b", false));
        let before = (digest("a", false), digest("a", true));
        write("a/vendor/setuptools-99-py3-none-any.whl", "x");
        assert_eq!(digest("a", false), before.0);
        assert_ne!(digest("a", true), before.1);
    }
}
