//! Ready-made wheels without pip: what `pylock.toml` knows by address and hash is taken from a directory near, or fetched.
//! Whatever is not clear is left to pip.

use std::path::Path;

use url::Url;

use super::download::{self, Client, Outcome, Remote};
use super::fetch::{Fetch, Item};
use super::pip::changed;
use super::pylock::File;
use super::resolver::Resolver;
use super::sources::Sources;
use super::wheel::Wheel;
use crate::digest::Digest;
use crate::error::Result;
use crate::fs;
use crate::process::Log;
use crate::threads;

/// The file that an item becomes.
struct Choice {
    name: String,
    sha256: String,
    size: Option<u64>,
    /// `None` where it may not be fetched from there.
    address: Option<Url>,
}

impl Resolver<'_> {
    /// Takes what it can; returns what is left to pip.
    pub(super) fn take_ready(
        &self,
        fetch: &Fetch<'_>,
        sources: &Sources,
        items: Vec<Item>,
        log: &mut Log,
    ) -> Result<Vec<Item>> {
        let chosen: Vec<Option<Choice>> =
            items.iter().map(|item| self.choice(fetch, sources, item)).collect();
        let mut remotes = Vec::new();
        let mut taken: Vec<String> = Vec::new();
        let near = threads::try_map(chosen.iter().flatten().collect(), 1, |choice| {
            Ok((choice, is_copied(choice, sources, fetch.into)?))
        })?;
        for (choice, is_copied) in near {
            match &choice.address {
                _ if is_copied => taken.push(choice.name.clone()),
                Some(address) if !self.offline => remotes.push(Remote {
                    name: choice.name.clone(),
                    address: address.clone(),
                    sha256: choice.sha256.clone(),
                    size: choice.size,
                }),
                _ => {}
            }
        }
        if !remotes.is_empty() {
            match Client::new(self.site, sources) {
                Ok(client) => self.download(fetch, client, remotes, &mut taken, log)?,
                Err(reason) => log.line(&format!("pip fetches the wheels: {reason}"))?,
            }
        }
        let (done, left): (Vec<_>, Vec<_>) = items
            .into_iter()
            .zip(chosen)
            .partition(|(_, choice)| choice.as_ref().is_some_and(|choice| taken.contains(&choice.name)));
        self.keep(fetch, &done.iter().map(|(item, _)| item).collect::<Vec<_>>(), "")?;
        Ok(left.into_iter().map(|(item, _)| item).collect())
    }

    fn download(
        &self,
        fetch: &Fetch<'_>,
        client: Client,
        remotes: Vec<Remote>,
        taken: &mut Vec<String>,
        log: &mut Log,
    ) -> Result<()> {
        let total = remotes.len();
        download::fetch(client, remotes, fetch.into, |remote, outcome| match outcome {
            Outcome::Fetched => {
                taken.push(remote.name.clone());
                (fetch.on_line)(&format!("fetched {}, {} of {total}", remote.name, taken.len()));
                log.line(&format!("fetched {}", remote.shown()))
            }
            Outcome::Left(reason) => log.line(&format!("pip fetches {}: {reason}", remote.shown())),
            Outcome::Changed(found) => {
                log.line(&format!("{} has sha256 {found}", remote.shown()))?;
                Err(changed(&remote.name, &found.to_string(), &remote.sha256))
            }
        })
    }

    /// `None` where pip has to look, or to compile.
    fn choice(&self, fetch: &Fetch<'_>, sources: &Sources, item: &Item) -> Option<Choice> {
        let pin = item.pin.as_ref().filter(|_| !item.is_compiled)?;
        let package = fetch.files?.package(&pin.name).filter(|_| sources.allows_wheels_of(&pin.name))?;
        let is_allowed = |file: &&File| {
            sha256(file).is_some_and(|sha256| item.hashes.contains(&format!("sha256:{sha256}")))
        };
        let fitting = package.wheels.iter().filter(is_allowed).filter_map(|file| {
            let name = plain_name(file)?;
            let wheel = Wheel::of(Path::new(&name))?;
            let fits = wheel.name == pin.name && wheel.is_version(&pin.version);
            self.interpreter.accepts(&wheel).ok().filter(|()| fits)?;
            Some((self.interpreter.fitness(&wheel)?, name, file))
        });
        let (_, name, file) = fitting.max_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)))?;
        Some(Choice {
            name,
            sha256: sha256(file)?,
            size: file.size,
            address: address(file).filter(|address| sources.offer(address, package.index.as_deref())),
        })
    }
}

fn sha256(file: &File) -> Option<String> {
    file.hashes.get("sha256").map(|sha256| sha256.to_ascii_lowercase())
}

fn address(file: &File) -> Option<Url> {
    let address = Url::parse(file.url.as_deref()?).ok()?;
    ["http", "https"].contains(&address.scheme()).then_some(address)
}

/// The name of a file, which cannot lead out of a directory.
fn plain_name(file: &File) -> Option<String> {
    let name = file.file_name()?;
    let is_plain = Path::new(&name).file_name().is_some_and(|plain| plain == name.as_str());
    Some(name).filter(|name| is_plain && !name.contains(['\0', '\\', '\n']))
}

/// Copies the file from a directory of links, where it is there and the very one.
fn is_copied(choice: &Choice, sources: &Sources, into: &Path) -> Result<bool> {
    let copy = into.join(&choice.name);
    let beside = sources.local_links().map(|link| match link.is_dir() {
        true => link.join(&choice.name),
        false => link.to_owned(),
    });
    for path in beside.filter(|path| path.ends_with(&choice.name) && path.is_file()) {
        fs::copy_file(&path, &copy)?;
        if Digest::of_file(&copy)?.to_string() == choice.sha256 {
            return Ok(true);
        }
        fs::remove_file(&copy)?;
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_is_not_in_ascii_is_left_to_the_package_tool() {
        let at = |host: &str| File { url: Some(format!("https://{host}/x.whl")), ..File::default() };
        assert_eq!(address(&at("b\u{fc}cher.example")), None);
        assert!(address(&at("xn--bcher-kva.example")).is_some());
    }
}
