//! `.metadata.json`, exactly as upstream writes it: ten strings.

use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

use super::description::{Description, check_version};
use crate::error::{Error, Result};
use crate::text;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    pub version: String,
    pub release: String,
    pub build_host: String,
    /// `YYYY-MM-DDTHH:MM:SSZ`
    pub build_date: String,
    /// The sum of the sizes of the plugin's files, in bytes.
    pub size: String,
    pub summary: String,
    pub license: String,
    /// The maintainer.
    pub packager: String,
    pub vendor: String,
    pub url: String,
}

impl Metadata {
    pub(super) fn new(from: &Description, build_host: &str, build_date: &str, size: u64) -> Metadata {
        Metadata {
            version: from.version.clone(),
            release: from.release.clone(),
            build_host: build_host.to_owned(),
            build_date: build_date.to_owned(),
            size: size.to_string(),
            summary: from.summary.clone(),
            license: from.license.clone(),
            packager: from.packager.clone(),
            vendor: from.vendor.clone(),
            url: from.url.clone(),
        }
    }

    /// Reads and checks the content of a `.metadata.json`.
    pub fn parse(content: &[u8]) -> Result<Metadata> {
        let metadata: Metadata = serde_json::from_slice(content)
            .map_err(|error| Error::input(format!("bad metadata: {}", text::visible(&error.to_string()))))?;
        check_version("version", &metadata.version)?;
        check_version("release", &metadata.release)?;
        Ok(metadata)
    }

    /// What provisioning compares: `md5("{build_host}, {build_date}, {size}, {version}, {release}")`, hex.
    pub fn plugin_hash(&self) -> String {
        let Metadata { build_host, build_date, size, version, release, .. } = self;
        let identity = format!("{build_host}, {build_date}, {size}, {version}, {release}");
        hex(&Md5::digest(identity.as_bytes()))
    }
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut digits = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        digits.push(char::from(DIGITS[usize::from(byte >> 4)]));
        digits.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"version": "0.0.1", "release": "1", "build_host": "box", "build_date": "2026-01-02T03:04:05Z",
        "size": "12", "summary": "s", "license": "BSD", "packager": "me", "vendor": "v", "url": "u"}"#;

    #[test]
    fn the_plugin_hash_is_the_md5_of_upstream() {
        let metadata = Metadata::parse(JSON.as_bytes()).unwrap();
        // printf 'box, 2026-01-02T03:04:05Z, 12, 0.0.1, 1' | md5sum
        assert_eq!(metadata.plugin_hash(), "76a577cbff7ec1da41b8ff708f7bf87f");
    }

    #[test]
    fn a_version_that_would_reach_a_command_line_is_refused() {
        let json = JSON.replace("0.0.1", "1;touch x");
        let error = Metadata::parse(json.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("the version is `1;touch x`"), "{error}");
        let json = JSON.replace("\"12\"", "12");
        assert!(Metadata::parse(json.as_bytes()).is_err(), "a size that is no string");
    }
}
