//! From pins to wheels: from the store, as a file that the lock knows, by pip from an index, or compiled; each is checked
//! against the lock.

use std::path::{Path, PathBuf};

use super::freeze::at_place;
use super::local;
use super::lock::{Lock, Pin};
use super::pip::{self, Making};
use super::pylock::{Package, PyLock};
use super::requirements::Line;
use super::resolver::Resolver;
use super::sources::{Sources, moved};
use super::wanted::{Stated, stated};
use super::wheel::Wheel;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::fs;
use crate::process::Log;
use crate::store::{Bucket, Names, Store};
use crate::threads;

/// Raised when the same key gives another wheel.
const VERSION: u32 = 2;

/// Which packages may come as ready-made wheels: `allow_binary_packages`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BinaryPolicy {
    /// The file is absent: everything is compiled from source.
    CompileAll,
    /// The file is empty.
    Any,
    /// Only these, by canonical name.
    Only(Vec<String>),
}

impl BinaryPolicy {
    /// From the content of `allow_binary_packages`, `None` where there is no such file.
    pub fn of(content: Option<&str>) -> BinaryPolicy {
        let Some(content) = content else { return BinaryPolicy::CompileAll };
        let words = content.lines().map(|line| line.split('#').next().unwrap_or_default());
        let names: Vec<String> = words
            .flat_map(|line| line.split([',', ' ', '\t']).map(str::trim))
            .filter(|name| !name.is_empty())
            .map(super::canonical_name)
            .collect();
        if names.is_empty() { BinaryPolicy::Any } else { BinaryPolicy::Only(names) }
    }

    pub fn may_be_binary(&self, name: &str) -> bool {
        match self {
            BinaryPolicy::CompileAll => false,
            BinaryPolicy::Any => true,
            BinaryPolicy::Only(names) => names.iter().any(|allowed| allowed == name),
        }
    }
}

/// What is to be fetched, and how.
pub struct Fetch<'a> {
    /// `requirements3.txt`, for paths in it and messages.
    pub file: &'a Path,
    pub lock: &'a str,
    pub files: Option<&'a PyLock>,
    pub policy: BinaryPolicy,
    pub build_constraint: Option<&'a Path>,
    /// The compiler variables that count, with their values.
    pub compiler: &'a [(String, Option<String>)],
    pub store: &'a Store,
    /// Where the wheels go; exists, and is empty.
    pub into: &'a Path,
    pub on_line: &'a dyn Fn(&str),
    /// Told once where the store cannot be written.
    pub on_warning: &'a dyn Fn(&str),
}

/// A line of the lock, ready to be fetched.
pub(super) struct Item {
    pub(super) line: Line,
    pub(super) pin: Option<Pin>,
    /// The whole line for pip, with hashes.
    pub(super) text: String,
    /// `sha256:…` of the files that it may be; empty where any is allowed.
    pub(super) hashes: Vec<String>,
    pub(super) is_compiled: bool,
    key: Option<Digest>,
}

impl Resolver<'_> {
    /// Gets a wheel for each line of the lock.
    pub fn fetch(&self, fetch: &Fetch<'_>, log: &mut Log) -> Result<Vec<Wheel>> {
        let (options, lines): (Vec<Stated>, Vec<Stated>) =
            stated(fetch.lock, fetch.file, &self.site.environment)
                .into_iter()
                .partition(|stated| stated.line.as_option().is_some());
        let sources = Sources::new(self.site, &self.directory, &options);
        let items: Vec<Item> =
            lines.iter().map(|stated| self.item(fetch, &sources, stated)).collect::<Result<_>>()?;
        let (store, into) = (fetch.store, fetch.into);
        let items = threads::try_map(items, 1, |item| Ok((restore(store, into, &item)?, item)))?;
        let missing = items.into_iter().filter(|(is_restored, _)| !is_restored).map(|(_, item)| item);
        let missing = self.take_ready(fetch, &sources, missing.collect(), log)?;
        let options: Vec<String> = moved(&options, &self.directory)
            .into_iter()
            .filter(|line| !line.starts_with("--require-hashes"))
            .collect();
        // pip asks for the hashes of all where one has some: those that have none go apart.
        for is_hashed in [true, false] {
            let ready: Vec<&Item> = missing
                .iter()
                .filter(|item| item.hashes.is_empty() != is_hashed && !item.is_compiled && item.pin.is_some())
                .collect();
            if !ready.is_empty() {
                let said = self.make(fetch, &sources, &options, &ready, log)?;
                self.keep(fetch, &ready, &said)?;
            }
        }
        let compiled = missing.iter().filter(|item| item.is_compiled || item.pin.is_none());
        self.compile(fetch, &sources, &options, &compiled.collect::<Vec<_>>(), log)?;
        let made = Wheel::in_dir(fetch.into)?;
        for pin in lines.iter().filter_map(|stated| Pin::of(&stated.line)) {
            if !made.iter().any(|wheel| wheel.name == pin.name && wheel.is_version(&pin.version)) {
                return Err(Error::input(format!("no wheel of `{}=={}` was made", pin.name, pin.version))
                    .hint("`mwp build --force` fetches or compiles every wheel again"));
            }
        }
        Ok(made)
    }

    fn item(&self, fetch: &Fetch<'_>, sources: &Sources, stated: &Stated) -> Result<Item> {
        let line = stated.line.clone();
        let pin = Pin::of(&line);
        let package = line.name().and_then(|name| fetch.files?.package(&name));
        let mut hashes = line.hashes();
        if hashes.is_empty() && pin.is_some() {
            hashes.extend(
                package.filter(|package| package.is_checked()).map(Package::hashes).unwrap_or_default(),
            );
        }
        let mut text = self.line_for_pip(fetch, stated)?;
        for (name, value) in line.own_options().iter().filter(|(name, _)| name != "--hash") {
            let value = shlex::try_quote(value).unwrap_or_else(|_| value.as_str().into());
            text.push_str(&format!(" {name}={value}"));
        }
        let is_compiled = match (&pin, package) {
            (None, _) => line.name().is_some_and(|name| !fetch.policy.may_be_binary(&name)),
            (Some(pin), None) => !fetch.policy.may_be_binary(&pin.name),
            (Some(pin), Some(package)) => {
                let has_wheel = package.wheels().any(|wheel| self.interpreter.accepts(&wheel).is_ok());
                !fetch.policy.may_be_binary(&pin.name) || (!has_wheel && package.sdist.is_some())
            }
        };
        let key = match &pin {
            Some(pin) if is_compiled => {
                // What it is compiled from is what the hashes are about.
                let text = format!("{text} {}", hashes.join(" "));
                Some(self.key(fetch, sources, pin, &text, is_compiled)?)
            }
            Some(pin) => Some(self.key(fetch, sources, pin, &text, is_compiled)?),
            None => None,
        };
        text.extend(hashes.iter().map(|hash| format!(" --hash={hash}")));
        Ok(Item { line, pin, text, hashes, is_compiled, key })
    }

    /// A line with paths that pip finds; projects as copies.
    fn line_for_pip(&self, fetch: &Fetch<'_>, stated: &Stated) -> Result<String> {
        let line = &stated.line;
        let Some(path) = line.local_path(&self.site.environment) else { return Ok(line.bare().to_owned()) };
        let path = self.existing(&path, stated)?;
        if !path.is_dir() {
            return Ok(at_place(line.bare(), &path));
        }
        let copy = fetch.into.with_extension("local").join(stated.place.line.to_string());
        let copy = copy.join(path.file_name().unwrap_or("project".as_ref()));
        local::copy(&path, &copy)?;
        Ok(at_place(line.bare(), &copy))
    }

    /// Everything that decides which file a pin becomes.
    fn key(
        &self,
        fetch: &Fetch<'_>,
        sources: &Sources,
        pin: &Pin,
        text: &str,
        is_compiled: bool,
    ) -> Result<Digest> {
        let plugin = self.directory.parent().unwrap_or(&self.directory);
        let mut key = format!(
            "{VERSION} {}=={} {} {} compiled={is_compiled}\n{text}\n{}\n",
            pin.name,
            pin.version,
            self.interpreter.abi,
            self.interpreter.short_version,
            sources.digest(plugin, &pin.name, is_compiled, &self.site.environment)?
        );
        if is_compiled {
            for (name, value) in fetch.compiler {
                // Told apart from a variable that is set and empty.
                key.push_str(&match value {
                    Some(value) => format!("{name}={value}\n"),
                    None => format!("{name} is unset\n"),
                });
            }
            if let Some(file) = fetch.build_constraint {
                key.push_str(&String::from_utf8_lossy(&fs::read(file)?));
            }
        }
        Ok(Digest::of(key.as_bytes()))
    }

    /// By one pip, those that come ready-made.
    fn make(
        &self,
        fetch: &Fetch<'_>,
        sources: &Sources,
        options: &[String],
        items: &[&Item],
        log: &mut Log,
    ) -> Result<String> {
        let lines = options.iter().cloned().chain(items.iter().map(|item| item.text.clone())).collect();
        let making = Making { lines, compiled: None, build_constraint: fetch.build_constraint };
        let on_line = |line: &str| match building(line) {
            Some(name) => (fetch.on_line)(&format!("compiling {name}")),
            None => (fetch.on_line)(line),
        };
        pip::wheels(self, sources, &making, fetch.into, log, &on_line)
    }

    /// Keeps what was made in the store, for other plugins and later builds.
    pub(super) fn keep(&self, fetch: &Fetch<'_>, items: &[&Item], said: &str) -> Result<()> {
        let made = Wheel::in_dir(fetch.into)?;
        let built: Vec<String> = said.lines().filter_map(building).map(super::canonical_name).collect();
        let mut kept = Vec::new();
        for item in items {
            let (Some(pin), Some(key)) = (&item.pin, &item.key) else { continue };
            // Its key does not hold the compiler's flags: it was expected to come ready-made.
            if !item.is_compiled && built.contains(&pin.name) {
                continue;
            }
            let wheel = made.iter().find(|wheel| wheel.name == pin.name && wheel.is_version(&pin.version));
            let file = wheel.and_then(|wheel| wheel.path.file_name());
            kept.extend(file.map(|file| (key, Path::new(file))));
        }
        let (store, into) = (fetch.store, fetch.into);
        let kept = threads::try_map(kept, 1, |(key, file)| {
            store.keep(Bucket::Wheels, key, into, &Names::Whole(vec![file]))
        });
        // The wheels are there; a cache that cannot be written costs the next build time.
        if let Err(error) = kept {
            (fetch.on_warning)(&format!("the wheels were not kept in the cache: {error}"));
        }
        Ok(())
    }
}

/// Takes the wheel from the store. One that is ready-made is compared with the lock, whoever put it there.
fn restore(store: &Store, into: &Path, item: &Item) -> Result<bool> {
    let (Some(key), Some(pin)) = (&item.key, &item.pin) else { return Ok(false) };
    if !store.restore(Bucket::Wheels, key, into) {
        return Ok(false);
    }
    let sha256: Vec<&str> = item.hashes.iter().filter_map(|hash| hash.strip_prefix("sha256:")).collect();
    if item.is_compiled || sha256.is_empty() {
        return Ok(item.is_compiled || item.hashes.is_empty());
    }
    for wheel in Wheel::in_dir(into)?.iter().filter(|wheel| wheel.name == pin.name) {
        if !sha256.contains(&Digest::of_file(&wheel.path)?.to_string().as_str()) {
            // The index has to say what it offers now, and pip to compare.
            fs::remove_file(&wheel.path)?;
            return Ok(false);
        }
    }
    Ok(true)
}

/// `Building wheel for NAME (pyproject.toml): started`
pub(super) fn building(line: &str) -> Option<&str> {
    line.trim().strip_prefix("Building wheel for ")?.split_once(" (").map(|(name, _)| name)
}

/// What a lock names on this machine: files and directories, as absolute paths, wherever they are.
pub fn local_paths(lock: &Lock, directory: &Path, environment: &crate::site::Environment) -> Vec<PathBuf> {
    let paths = lock.requirements.lines.iter().filter_map(|line| line.local_path(environment));
    paths.map(|path| super::requirements::plain(&directory.join(path))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allow_binary_packages_is_absent_empty_or_a_list() {
        assert_eq!(BinaryPolicy::of(None), BinaryPolicy::CompileAll);
        assert_eq!(BinaryPolicy::of(Some("# none\n\n")), BinaryPolicy::Any);
        let only = BinaryPolicy::of(Some("NumPy, lxml\nPy_YAML # c\n"));
        assert_eq!(only, BinaryPolicy::Only(vec!["numpy".into(), "lxml".into(), "py-yaml".into()]));
        assert!(only.may_be_binary("numpy") && !only.may_be_binary("six"));
    }

    #[test]
    fn pip_says_what_it_builds() {
        assert_eq!(building("  Building wheel for lxml (pyproject.toml): started"), Some("lxml"));
        assert_eq!(building("Collecting lxml"), None);
    }
}
