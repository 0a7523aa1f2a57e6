//! `.plugin_format_version`: which generation of the framework a plugin was made for.

use std::path::Path;

use crate::error::{Error, Result};
use crate::fs;
use crate::text;

pub const FORMAT_VERSION_FILE: &str = ".plugin_format_version";

/// The dotted version; a part that is no number counts as 9999, as upstream has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FormatVersion(Vec<u64>);

impl FormatVersion {
    /// The first format that today's framework accepts.
    fn oldest_accepted() -> FormatVersion {
        FormatVersion(vec![1, 0, 0])
    }

    /// Reads and accepts the version of the plugin in `dir`; an older plugin is named as such.
    pub fn read(dir: &Path) -> Result<FormatVersion> {
        let file = dir.join(FORMAT_VERSION_FILE);
        let migrate = "`mwp migrate` shows what has to change, and changes it";
        let Some(bytes) = fs::read_optional(&file)? else {
            return Err(Error::input(format!(
                "{} is a legacy plugin (before 1.0): it has no `{FORMAT_VERSION_FILE}`",
                text::path(dir)
            ))
            .hint(migrate));
        };
        let content = String::from_utf8_lossy(&bytes);
        let version = FormatVersion::parse(content.trim()).ok_or_else(|| {
            Error::input(format!(
                "{}: found `{}`; at least three numbers with dots between are allowed, such as `1.0.0`",
                text::path(&file),
                text::visible(content.trim())
            ))
            .hint("write the format version of the framework that the plugin is for")
        })?;
        if version < FormatVersion::oldest_accepted() {
            return Err(Error::input(format!(
                "{} is a legacy plugin: its format version is `{}`, 1.0.0 and later are accepted",
                text::path(dir),
                text::visible(content.trim())
            ))
            .hint(migrate));
        }
        Ok(version)
    }

    fn parse(text: &str) -> Option<FormatVersion> {
        let parts: Vec<u64> = text.split('.').map(|part| part.parse().unwrap_or(9999)).collect();
        (parts.len() >= 3).then_some(FormatVersion(parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_is_no_number_counts_as_9999() {
        assert_eq!(FormatVersion::parse("1.0.ci42"), Some(FormatVersion(vec![1, 0, 9999])));
        assert_eq!(FormatVersion::parse("1.0"), None);
        assert!(FormatVersion::parse("0.9.9").unwrap() < FormatVersion::oldest_accepted());
        assert!(FormatVersion::parse("1.0.0").unwrap() >= FormatVersion::oldest_accepted());
    }
}
