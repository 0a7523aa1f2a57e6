//! `.layerapi2_label`: `plugin_{name}@{module}`, the identity of a plugin.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::module::Module;
use crate::error::{Error, Result};
use crate::fs;
use crate::text;

/// The file that holds the label, in the plugin's directory.
pub const LABEL_FILE: &str = ".layerapi2_label";

/// A plugin's name: `^[A-Za-z0-9_-]+$`, no `plugin_` or `__` in front, neither `base` nor `config`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PluginName(String);

/// A plugin's identity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label {
    pub name: PluginName,
    pub module: Module,
}

impl PluginName {
    /// Longer names break file names (`{name}-{version}-{release}.metwork.{module}.plugin`, 255 bytes).
    const MAX_LENGTH: usize = 100;

    pub fn parse(text: &str) -> Result<PluginName> {
        let refuse = |found: &str, allowed: &str| {
            let shown = text::visible(text);
            Err(Error::input(format!("the plugin name `{shown}` {found}; {allowed}"))
                .hint(format!("`{}` would do", PluginName::suggestion(text))))
        };
        if text.is_empty() {
            return refuse("is empty", "give at least one letter or digit");
        }
        if text.len() > PluginName::MAX_LENGTH {
            return refuse("is too long", "at most 100 characters are allowed");
        }
        if let Some(bad) = text.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-')) {
            let bad = text::visible(&bad.to_string());
            return refuse(&format!("holds `{bad}`"), "letters, digits, `_` and `-` are allowed");
        }
        if text.starts_with("plugin_") || text.starts_with("__") {
            return refuse("starts with a reserved prefix", "it must not start with `plugin_` or `__`");
        }
        if text.starts_with('-') {
            return refuse("starts with `-`", "commands would take it for an option");
        }
        if matches!(text, "base" | "config" | "metwork_plugin") {
            return refuse("is reserved", "`base`, `config` and `metwork_plugin` are not allowed");
        }
        Ok(PluginName(text.to_owned()))
    }

    /// A name like one that is none.
    fn suggestion(text: &str) -> String {
        let plain = text.chars().take(PluginName::MAX_LENGTH);
        let plain: String = plain.map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let plain = plain.trim_matches('_');
        match plain.strip_prefix("plugin_").unwrap_or(plain) {
            "" => "my_plugin".to_owned(),
            reserved @ ("base" | "config" | "metwork_plugin") => format!("my_{reserved}"),
            plain => plain.to_owned(),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Label {
    /// Reads the label of the plugin in `dir`.
    pub fn read(dir: &Path) -> Result<Label> {
        let file = dir.join(LABEL_FILE);
        let Some(bytes) = fs::read_optional_within(&file, 4096)? else {
            return Err(Error::input(format!(
                "{} is not a plugin: it has no `{LABEL_FILE}`",
                text::path(dir)
            ))
            .hint("run this in a plugin's directory, name one with -C, or make one with `mwp new NAME`"));
        };
        let content = String::from_utf8(bytes).map_err(|_| {
            Error::input(format!("{} is not UTF-8 text", text::path(&file)))
                .hint("write `plugin_NAME@MODULE` there")
        })?;
        let line = content.strip_suffix('\n').unwrap_or(&content);
        let line = line.strip_suffix('\r').unwrap_or(line);
        line.parse().map_err(|error: Error| match error.problems.into_iter().next() {
            Some(problem) => Error::input(format!("{}: {}", text::path(&file), problem.message))
                .hint(problem.hint.unwrap_or_else(|| "write `plugin_NAME@MODULE` there".to_owned())),
            None => Error::input(format!("{}: bad label", text::path(&file))),
        })
    }
}

impl FromStr for Label {
    type Err = Error;

    fn from_str(text: &str) -> Result<Label> {
        let bad = |half: &str| {
            let shown = text::visible(text);
            Error::input(format!("the label `{shown}` {half}; `plugin_NAME@MODULE` is allowed"))
                .hint("write one line such as `plugin_hello@mfserv`")
        };
        let (layer, module) = text.split_once('@').ok_or_else(|| bad("has no `@MODULE`"))?;
        let name = layer.strip_prefix("plugin_").ok_or_else(|| bad("does not start with `plugin_`"))?;
        Ok(Label { name: PluginName::parse(name)?, module: Module::parse(module)? })
    }
}

impl fmt::Display for PluginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plugin_{}@{}", self.name, self.module)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_name_gets_one_that_would_do() {
        for (given, would_do) in [
            ("my shop", "my_shop"),
            ("../x", "x"),
            ("", "my_plugin"),
            ("base", "my_base"),
            ("-x", "x"),
            ("__a", "a"),
        ] {
            let error = PluginName::parse(given).unwrap_err();
            assert_eq!(error.problems[0].hint.as_deref(), Some(format!("`{would_do}` would do").as_str()));
            assert!(PluginName::parse(would_do).is_ok());
        }
        assert!(PluginName::parse(&PluginName::suggestion(&"é x".repeat(200))).is_ok());
    }

    #[test]
    fn a_label_names_a_plugin_and_its_module() {
        let label: Label = "plugin_hello-2@mfserv".parse().unwrap();
        assert_eq!((label.name.as_str(), label.module.as_str()), ("hello-2", "mfserv"));
        assert_eq!(label.module.upper(), "MFSERV");
        assert_eq!(label.to_string(), "plugin_hello-2@mfserv");
    }

    #[test]
    fn a_bad_label_is_refused_with_the_wrong_half() {
        for (label, wrong) in [
            ("hello@mfserv", "does not start with `plugin_`"),
            ("plugin_hello", "has no `@MODULE`"),
            ("plugin_../../X@mfserv", "holds `.`"),
            ("plugin_foo\n@mfserv", "holds `\\n`"),
            ("plugin_@mfserv", "is empty"),
            ("plugin___x@mfserv", "reserved prefix"),
            ("plugin_base@mfserv", "is reserved"),
            ("plugin_metwork_plugin@mfserv", "is reserved"),
            ("plugin_foo@MF SERV", "the module"),
            ("plugin_foo@", "the module"),
        ] {
            let error = label.parse::<Label>().unwrap_err();
            assert!(error.to_string().contains(wrong), "{label:?}: {error}");
        }
    }
}
