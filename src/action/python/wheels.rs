//! A wheel for every pin: requirements3.txt → src/.

use std::path::Path;

use super::{LOCK, SOURCES, WHEELS, names_directories, resolver};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::fs;
use crate::graph::{Action, Job, Reads, Scope};
use crate::python::{BinaryPolicy, Lock, Pin, Requirements, Wheel};
use crate::store::{Bucket, Names};

#[derive(Debug)]
pub(in crate::action) struct Wheels;

impl Action for Wheels {
    fn name(&self) -> &str {
        "python-wheels"
    }

    fn outputs(&self, _: &Path) -> Vec<String> {
        vec![WHEELS.to_owned()]
    }

    fn reads(&self, scope: &Scope<'_>) -> Result<Reads> {
        let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let unknown = names_directories(scope.dir)?
            .then(|| "the lock names a directory, whose content may have changed".to_owned());
        Ok(Reads {
            inputs: vec![LOCK.to_owned()],
            optional_inputs: vec![
                format!("{SOURCES}/allow_binary_packages"),
                format!("{SOURCES}/build_constraint"),
            ],
            environment: named(&["CC", "CXX", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS"]),
            tools: named(&["python3"]),
            unknown,
            ..Reads::default()
        })
    }

    fn run(&self, job: &mut Job<'_>) -> Result<()> {
        let sources = job.scope.dir.join(SOURCES);
        let into = job.staging.join(WHEELS);
        fs::create_dir_all(&into)?;
        let lock = Lock::parse(&fs::read_text(&job.scope.dir.join(LOCK))?);
        if lock.requirements.is_empty() {
            return Ok(());
        }
        let policy =
            BinaryPolicy::of(fs::read_text_optional(&sources.join("allow_binary_packages"))?.as_deref());
        let build_constraint = sources.join("build_constraint");
        let constraint_text = fs::read_text_optional(&build_constraint)?;
        let resolver = resolver(job)?;
        let key = |pin: &Pin| {
            let origin = resolver.wheel_origin(&policy, &pin.name, constraint_text.as_deref());
            Digest::of(format!("{}=={} {origin}", pin.name, pin.version).as_bytes())
        };

        // What an earlier build of any plugin fetched or compiled is taken from the store.
        let mut missing = Requirements { lines: Vec::new() };
        for line in &lock.requirements.lines {
            let restored = match Pin::of(line) {
                // A hash is for pip to check.
                Some(pin) if !line.text().contains("--hash") => {
                    job.store.restore(Bucket::Wheels, &key(&pin), &into)?
                }
                _ => false,
            };
            if !restored {
                missing.lines.push(line.clone());
            }
        }
        if !missing.is_empty() {
            let constraint = constraint_text
                .is_some()
                .then(|| job.scope.absolute_dir().map(|dir| dir.join(SOURCES).join("build_constraint")))
                .transpose()?;
            let report = job.report;
            let on_line = |line: &str| report.line(line);
            resolver.wheels(&missing, &policy, constraint.as_deref(), &into, &mut job.log, &on_line)?;
        }
        let made = Wheel::in_dir(&into)?;
        for pin in lock.requirements.lines.iter().filter_map(Pin::of) {
            if !made.iter().any(|wheel| wheel.name == pin.name && wheel.is_version(&pin.version)) {
                return Err(Error::input(format!("no wheel of `{}=={}` was made", pin.name, pin.version))
                    .hint("`mwp build --force` fetches or compiles every wheel again"));
            }
        }
        for pin in missing.lines.iter().filter_map(Pin::of) {
            let wheel = made.iter().find(|wheel| wheel.name == pin.name && wheel.is_version(&pin.version));
            if let Some(file) = wheel.and_then(|wheel| wheel.path.file_name()) {
                // The wheel is there; a cache that cannot be written costs the next build time.
                if let Err(error) =
                    job.store.keep(Bucket::Wheels, &key(&pin), &into, &Names::Whole(vec![Path::new(file)]))
                {
                    job.report.warn(&format!("the wheels were not kept in the cache: {error}"));
                    break;
                }
            }
        }
        Ok(())
    }
}
