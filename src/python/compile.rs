//! pip compiles, as many packages at the same time as there are processors: each in a directory of its own, with a log
//! of its own, which goes into the task's when it is done.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};

use super::fetch::{Fetch, Item, building};
use super::pip::{self, Making};
use super::resolver::Resolver;
use super::sources::Sources;
use crate::error::{Error, Result};
use crate::fs;
use crate::process::Log;
use crate::text;
use crate::threads;

/// What a thread says of the package with this number.
enum Word {
    Line(String),
    /// What pip said, and its log.
    Done(Result<String>, Option<Log>),
}

/// What is the same for all packages.
struct Compiling<'a> {
    resolver: &'a Resolver<'a>,
    sources: &'a Sources,
    options: &'a [String],
    build_constraint: Option<&'a Path>,
    items: &'a [&'a Item],
    /// Has a directory for each of them, by number.
    place: &'a Path,
    next: AtomicUsize,
}

impl Resolver<'_> {
    /// Compiles these lines of the lock.
    pub(super) fn compile(
        &self,
        fetch: &Fetch<'_>,
        sources: &Sources,
        options: &[String],
        items: &[&Item],
        log: &mut Log,
    ) -> Result<()> {
        let compiling = Compiling {
            resolver: self,
            sources,
            options,
            build_constraint: fetch.build_constraint,
            items,
            place: &fetch.into.with_extension("compiled"),
            next: AtomicUsize::new(0),
        };
        let (sender, words) = channel();
        let mut failed: Option<(usize, Error)> = None;
        std::thread::scope(|scope| -> Result<()> {
            for number in 0..threads::processors().min(items.len()) {
                let (sender, compiling) = (sender.clone(), &compiling);
                match threads::start_in(scope, "compiling", move || compiling.work(&sender)) {
                    Ok(_) => {}
                    Err(error) if number == 0 => return Err(error),
                    Err(_) => break,
                }
            }
            drop(sender);
            for (number, word) in words {
                match word {
                    Word::Line(line) => (fetch.on_line)(&line),
                    Word::Done(said, own) => {
                        own.map_or(Ok(()), |own| log.add(&own))?;
                        let kept = said.and_then(|said| compiling.take(number, &said, fetch));
                        // The first of the lock, whichever comes to its end first.
                        if let Err(error) = kept
                            && failed.as_ref().is_none_or(|(first, _)| number < *first)
                        {
                            failed = Some((number, error));
                            compiling.next.store(items.len(), Ordering::Relaxed);
                        }
                    }
                }
            }
            Ok(())
        })?;
        failed.map_or(Ok(()), |(_, error)| Err(error))
    }
}

impl Compiling<'_> {
    fn work(&self, words: &Sender<(usize, Word)>) {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = self.items.get(number) else { return };
            // Whoever listens stays until all have ended.
            let say = |word| words.send((number, word)).unwrap_or_default();
            let (said, log) = match self.log(number) {
                Ok(mut log) => (self.one(number, item, &mut log, &|line| say(Word::Line(line))), Some(log)),
                Err(error) => (Err(error), None),
            };
            say(Word::Done(said, log));
        }
    }

    fn log(&self, number: usize) -> Result<Log> {
        let dir = self.place.join(number.to_string());
        fs::create_dir_all(&dir.join("wheels"))?;
        Log::create(&dir.join("log"))
    }

    fn one(&self, number: usize, item: &Item, log: &mut Log, say: &dyn Fn(String)) -> Result<String> {
        let name = item.line.name().filter(|_| item.is_compiled);
        let shown = item.line.name().unwrap_or_else(|| text::visible(item.line.bare()));
        match (&item.pin, &name) {
            (Some(pin), Some(_)) => say(format!("compiling {} {}", pin.name, pin.version)),
            _ => say(format!("building {}", text::visible(item.line.bare()))),
        }
        let making = Making {
            lines: self.options.iter().chain([&item.text]).cloned().collect(),
            compiled: name.as_deref(),
            build_constraint: self.build_constraint,
        };
        let on_line = |line: &str| match building(line) {
            Some(name) if !item.is_compiled => say(format!("compiling {name}")),
            Some(_) => {}
            // Whose line it is.
            None if self.items.len() > 1 => say(format!("{shown}: {}", line.trim_start())),
            None => say(line.to_owned()),
        };
        let into = self.place.join(number.to_string()).join("wheels");
        pip::wheels(self.resolver, self.sources, &making, &into, log, &on_line)
    }

    /// Takes the wheel over, and keeps it: what was compiled is not compiled again, whatever else fails.
    fn take(&self, number: usize, said: &str, fetch: &Fetch<'_>) -> Result<()> {
        for path in fs::list(&self.place.join(number.to_string()).join("wheels"))? {
            let Some(name) = path.file_name() else { continue };
            fs::rename(&path, &fetch.into.join(name))?;
        }
        self.resolver.keep(fetch, &[self.items[number]], said)
    }
}
