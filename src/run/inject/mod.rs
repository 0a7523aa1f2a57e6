//! Handing a file to a step of mfdata by hand, as whoever delivers does it: under a name that nobody looks at, which then
//! becomes its own.

mod tags;

use std::path::{Path, PathBuf};

use super::Settings;
use super::model::{DataHome, RedisAddress, UNFINISHED};
use super::switch::has_step;
use crate::error::{At, Error, Result};
use crate::fs;
use crate::installed::Base;
use crate::plugin::{Module, Plugin};
use crate::site::Site;
use crate::text;

/// Where to.
#[derive(Debug, Clone, Copy)]
pub enum Destination<'a> {
    /// The inbox of a step.
    Step { plugin: &'a str, step: &'a str },
    /// The first of the directories where files come in.
    Incoming,
}

/// Hands files to one destination.
#[derive(Debug)]
pub struct Injector {
    dir: PathBuf,
    redis: RedisAddress,
    /// The files go away from where they are.
    pub moves: bool,
    /// They get names of their own.
    pub renames: bool,
}

/// A file that waits.
#[derive(Debug)]
pub struct Injected {
    pub path: PathBuf,
    /// What is not as it should be.
    pub warnings: Vec<String>,
}

impl Injector {
    pub fn new(destination: Destination<'_>, site: &Site) -> Result<Injector> {
        let module = Module::Mfdata;
        let settings = Settings::load(&module, site)?;
        let site = settings.applied_to(site, &module);
        let home = DataHome::of(&site);
        let dir = match destination {
            Destination::Step { plugin, step } => {
                refuse_absent(plugin, step, &module, &site)?;
                home.inbox(plugin, step)
            }
            Destination::Incoming => {
                let watched = &settings.data.internal_plugins.watched_directories;
                home.input.join(watched.split(',').next().unwrap_or(watched))
            }
        };
        // A module that has never been up has none yet.
        fs::create_own_dir_all(&dir)?;
        Ok(Injector { dir, redis: home.redis, moves: false, renames: false })
    }

    /// Whether it is a file that can be read.
    pub fn check(file: &Path) -> Result<()> {
        if !fs::exists(file) {
            return Err(
                Error::input(format!("{} does not exist", text::path(file))).hint("give the path of a file")
            );
        }
        let is_file = fs::open(file)?.metadata().at("read", file)?.is_file();
        if is_file && file.file_name().is_some() {
            return Ok(());
        }
        Err(Error::input(format!("{} is no regular file", text::path(file)))
            .hint("files alone can be injected"))
    }

    /// The file is complete at its new place when this returns; a failure leaves nothing there.
    pub fn inject(&self, file: &Path) -> Result<Injected> {
        let file = &tags::absolute(file).at("find", file)?;
        Injector::check(file)?;
        let name = file.file_name().unwrap_or_default();
        let path = match self.renames {
            true => self.dir.join(unique()),
            false => self.dir.join(name),
        };
        let mut warnings = Vec::new();
        if let Some(ending) =
            UNFINISHED.iter().find(|ending| path.as_os_str().as_encoded_bytes().ends_with(ending.as_bytes()))
        {
            warnings.push(format!(
                "{}: steps pass over files that end with `{ending}`; `--random-basename` gives it another name",
                text::path(file)
            ));
        }
        // Whoever takes the file finds its tags.
        let tags = tags::copy(&self.redis, file, &path);
        self.deliver(file, &path).inspect_err(|_| drop(tags::remove(&self.redis, &path)))?;
        match tags {
            Ok(()) if self.moves => drop(tags::remove(&self.redis, file)),
            Ok(()) => {}
            // Where there is no redis yet, no file has tags.
            Err(_) if tags::are_unknown(&self.redis) => {}
            Err(error) => warnings.push(format!("{}: its tags stay behind: {error}", text::path(file))),
        }
        Ok(Injected { path, warnings })
    }

    fn deliver(&self, file: &Path, path: &Path) -> Result<()> {
        if self.moves && fs::rename(file, path).is_ok() {
            return Ok(());
        }
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(UNFINISHED[0]);
        let unfinished = Path::new(&unfinished);
        fs::remove_file(unfinished)?;
        let delivered = fs::copy_file(file, unfinished).and_then(|()| fs::rename(unfinished, path));
        if delivered.is_err() {
            fs::remove_file(unfinished)?;
        } else if self.moves {
            fs::remove_file(file)?;
        }
        delivered
    }
}

/// Nobody would ever look into the inbox.
fn refuse_absent(plugin: &str, step: &str, module: &Module, site: &Site) -> Result<()> {
    let installed = Base::new(None, module, site).get(plugin)?;
    let loaded = Plugin::load(&installed.home, site)?;
    if has_step(&loaded, step) {
        return Ok(());
    }
    let error = Error::input(format!("the plugin `{plugin}` has no step `{}`", text::visible(step)));
    let known: Vec<&str> = loaded.config.steps().filter_map(|section| section.instance.as_deref()).collect();
    Err(match text::nearest(step, known.iter().copied()) {
        Some(near) => error.hint(format!("did you mean `--step {near}`?")),
        None if known.is_empty() => error.hint("it has no steps at all"),
        None => error.hint(format!("its steps are {}", known.join(", "))),
    })
}

/// A name as steps make them.
fn unique() -> String {
    format!("{:032x}", fastrand::u128(..))
}
