//! The modules of MetWork: what each of them has.

use std::fmt;

use crate::error::{Error, Result};
use crate::text;

/// A module.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Module {
    /// Web services, behind nginx.
    Mfserv,
    /// Steps that work on files, with queues between them.
    Mfdata,
    /// Databases and storage.
    Mfbase,
    /// One that a site has made itself, or that has no plugins.
    Other(String),
}

impl Module {
    /// Those that have plugins.
    pub const KNOWN: [Module; 3] = [Module::Mfserv, Module::Mfdata, Module::Mfbase];

    pub fn parse(text: &str) -> Result<Module> {
        if let Some(known) = Module::KNOWN.into_iter().find(|module| module.as_str() == text) {
            return Ok(known);
        }
        let good = text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        if good && text.len() <= 30 {
            Ok(Module::Other(text.to_owned()))
        } else {
            Err(Error::input(format!(
                "the module `{}` is not a module's name; lower-case letters and digits are allowed",
                text::visible(text)
            ))
            .hint("the modules with plugins are mfserv, mfdata and mfbase"))
        }
    }

    /// As in `mfserv`.
    pub fn as_str(&self) -> &str {
        match self {
            Module::Mfserv => "mfserv",
            Module::Mfdata => "mfdata",
            Module::Mfbase => "mfbase",
            Module::Other(name) => name,
        }
    }

    /// As in `MFSERV`, the prefix of environment variables.
    pub fn upper(&self) -> String {
        self.as_str().to_ascii_uppercase()
    }

    /// Whether its apps answer requests that nginx passes on to them.
    pub fn has_nginx(&self) -> bool {
        *self == Module::Mfserv
    }

    /// Whether nginx takes files for its steps, where the module's settings ask for that.
    pub fn takes_uploads(&self) -> bool {
        *self == Module::Mfdata
    }
}

impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
