//! Which files indexes and directories of links offer for a pin, for this machine and others: without pip, by the JSON
//! pages of the simple repository API (PEP 691). Whatever is not clear is left to pip.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use pep440_rs::Version;
use serde::Deserialize;
use url::Url;

use super::canonical_name;
use super::download::{Client, Document, side_by_side};
use super::lock::Pin;
use super::pylock::File;
use super::resolver::Resolver;
use super::sources::Sources;
use super::wheel::Wheel;
use crate::digest::Digest;
use crate::error::Result;
use crate::fs;

const JSON: &str = "application/vnd.pypi.simple.v1+json";

/// Of a page, in bytes; those with the most files have some 10 MB.
const MOST: u64 = 1 << 28;

/// The files of each pin, by name. The inner error says why pip has to look.
pub(super) type Offers = Result<BTreeMap<String, Vec<File>>, String>;

impl Resolver<'_> {
    pub(super) fn offers(&self, sources: &Sources, pins: &[Pin]) -> Result<Offers> {
        let indexes = match self.indexes(sources) {
            Ok(indexes) => indexes,
            Err(reason) => return Ok(Err(reason)),
        };
        let Some(linked) = linked(sources)? else {
            return Ok(Err("it reads pages of links".to_owned()));
        };
        let mut offers = BTreeMap::new();
        for pin in pins {
            offers.insert(pin.name.clone(), files_of(pin, &linked)?);
        }
        let mut failure = None;
        if !indexes.is_empty() {
            let client = match Client::new(self.site, sources) {
                Ok(client) => client,
                Err(reason) => return Ok(Err(reason)),
            };
            let ask = move |pin: &Pin, _: &_| pages(&client, &indexes, pin);
            side_by_side(pins.to_vec(), ask, |pin, found| {
                match found {
                    Ok(found) => offers.entry(pin.name.clone()).or_default().extend(found),
                    Err(reason) => failure = Some(reason),
                }
                Ok(())
            })?;
        }
        for files in offers.values_mut() {
            // Of two with one name the first counts, as for pip.
            let mut names = BTreeSet::new();
            files.retain(|file| names.insert(file.file_name()));
        }
        Ok(failure.map_or(Ok(offers), Err))
    }

    /// What is to be asked, in pip's order.
    fn indexes(&self, sources: &Sources) -> Result<Vec<Url>, String> {
        if self.offline {
            return Ok(Vec::new());
        }
        let addresses = sources.indexes(self.interpreter.default_index.as_deref());
        let addresses = addresses.ok_or("no index is known")?;
        let parsed = addresses.into_iter().map(|address| {
            // A project is below its index.
            let url = Url::parse(&format!("{}/", address.trim_end_matches('/')));
            url.ok().filter(|url| ["http", "https"].contains(&url.scheme()))
        });
        parsed.collect::<Option<_>>().ok_or_else(|| "an index is no server".to_owned())
    }
}

/// A page of an index about one project.
#[derive(Deserialize)]
struct Page {
    files: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    filename: String,
    url: String,
    hashes: BTreeMap<String, String>,
}

/// What all indexes say of the files of a pin.
fn pages(client: &Client, indexes: &[Url], pin: &Pin) -> Result<Vec<File>, String> {
    let mut files = Vec::new();
    for index in indexes {
        let address = index.join(&format!("{}/", pin.name)).map_err(|error| error.to_string())?;
        if let Document::Found { address, content } = client.document(&address, JSON, MOST)? {
            files.extend(on_page(&address, &content, pin)?);
        }
    }
    Ok(files)
}

fn on_page(address: &Url, content: &[u8], pin: &Pin) -> Result<Vec<File>, String> {
    let page: Page = serde_json::from_slice(content).map_err(|error| error.to_string())?;
    let listed = page.files.into_iter().filter(|file| is_of(&file.filename, pin));
    let file = |file: Listed| {
        let mut hashes = file.hashes;
        // What the lock compares with, as pip tells it.
        if let Some(sha256) = hashes.remove("sha256") {
            hashes = [("sha256".to_owned(), sha256)].into();
        }
        let mut url = address.join(&file.url).ok()?;
        url.set_fragment(None);
        Some(File { url: Some(url.to_string()), hashes, ..File::default() })
    };
    Ok(listed.filter_map(file).collect())
}

/// The files that directories of links offer; `None` where there are pages among them.
fn linked(sources: &Sources) -> Result<Option<Vec<PathBuf>>> {
    if sources.has_pages_of_links() {
        return Ok(None);
    }
    let mut files = Vec::new();
    for link in sources.local_links() {
        files.extend(if link.is_dir() { fs::list(link)? } else { vec![link.to_owned()] });
    }
    let is_page = |path: &PathBuf| path.extension().is_some_and(|end| end == "html" || end == "htm");
    Ok(if files.iter().any(is_page) { None } else { Some(files) })
}

fn files_of(pin: &Pin, linked: &[PathBuf]) -> Result<Vec<File>> {
    let name = |path: &Path| path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let own = linked.iter().filter(|path| name(path).is_some_and(|name| is_of(&name, pin)) && path.is_file());
    let file = |path: &PathBuf| {
        let hashes = [("sha256".to_owned(), Digest::of_file(path)?.to_string())].into();
        Ok(Url::from_file_path(path).ok().map(|url| File {
            url: Some(url.to_string()),
            hashes,
            ..File::default()
        }))
    };
    own.map(file).filter_map(Result::transpose).collect()
}

/// Whether a file of this name is of the very version.
fn is_of(file: &str, pin: &Pin) -> bool {
    let parts = match Wheel::of(Path::new(file)) {
        Some(wheel) => Some((wheel.name, wheel.version)),
        None => [".tar.gz", ".zip"].iter().find_map(|end| {
            let (name, version) = file.strip_suffix(end)?.rsplit_once('-')?;
            Some((canonical_name(name), version.to_owned()))
        }),
    };
    parts.is_some_and(|(name, version)| {
        let version = Version::from_str(&version).ok();
        name == pin.name && version.is_some_and(|version| Version::from_str(&pin.version) == Ok(version))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(name: &str, version: &str) -> Pin {
        Pin { name: name.to_owned(), version: version.to_owned() }
    }

    #[test]
    fn a_file_is_of_a_pin_by_its_name_and_very_version() {
        for (file, is_it) in [
            ("Foo_Bar-1.0-py3-none-any.whl", true),
            ("foo_bar-1.0.0-1-cp311-cp311-win_amd64.whl", true),
            ("foo-bar-1.0.tar.gz", true),
            ("foo.bar-1.zip", true),
            ("foo_bar-1.0+cpu-py3-none-any.whl", false),
            ("foo_bar-1.0.1.tar.gz", false),
            ("foo-1.0.tar.gz", false),
            ("foo_bar-1.0.exe", false),
            ("foo_bar-1.0.tar.gz.asc", false),
        ] {
            assert_eq!(is_of(file, &pin("foo-bar", "1.0")), is_it, "{file}");
        }
    }

    #[test]
    fn addresses_on_a_page_are_relative_to_it_and_have_no_fragment() {
        let page = br#"{"meta": {"api-version": "1.1"}, "name": "a", "files": [
            {"filename": "a-1.tar.gz", "url": "../../files/a-1.tar.gz#x", "hashes": {"md5": "0", "sha256": "ab"}, "size": 5},
            {"filename": "a-2.tar.gz", "url": "https://h/a-2.tar.gz", "hashes": {}}]}"#;
        let address = Url::parse("https://h/simple/a/").unwrap();
        let files = on_page(&address, page, &pin("a", "1")).unwrap();
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].url.as_deref(), Some("https://h/files/a-1.tar.gz"));
        assert_eq!(files[0].hashes, [("sha256".to_owned(), "ab".to_owned())].into());
        assert!(on_page(&address, b"<html>", &pin("a", "1")).is_err());
    }
}
