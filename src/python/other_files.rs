//! pip and uv tell the files that they would take here; the lock names those for other machines as well, and the source.
//! Where the index cannot be asked without pip, which has no command for that, its own modules are; where they do not
//! answer, what is known has to do.

use std::collections::BTreeMap;

use super::Pin;
use super::freeze::Question;
use super::pip;
use super::pylock::{File, Package};
use super::resolver::Resolver;
use crate::error::Result;
use crate::process::{self, Log};

/// Adds them to the packages of which they are missing.
pub(super) fn add(
    resolver: &Resolver<'_>,
    question: &Question<'_>,
    packages: &mut [Package],
    log: &mut Log,
) -> Result<()> {
    let pins: Vec<Pin> = packages
        .iter()
        .filter(|package| {
            let is_everywhere = package
                .wheels
                .iter()
                .any(|file| file.file_name().is_some_and(|name| name.ends_with("-none-any.whl")));
            let has_files = package.sdist.is_some() || !package.wheels.is_empty();
            has_files && !(is_everywhere && package.sdist.is_some())
        })
        .filter_map(|package| Some(Pin { name: package.name.clone(), version: package.version.clone()? }))
        .collect();
    if pins.is_empty() {
        return Ok(());
    }
    let found = match resolver.offers(question.sources, &pins)? {
        Ok(found) => found,
        Err(reason) => {
            log.line(&format!("pip tells the files for other machines: {reason}"))?;
            told_by_pip(resolver, question, &pins, log)?
        }
    };
    for package in packages {
        let Some(files) = found.get(&package.name) else { continue };
        let mut other = Package { version: package.version.clone(), ..Package::default() };
        for file in files.iter().filter(|file| !file.hashes.is_empty()) {
            match file.file_name() {
                Some(name) if name.ends_with(".whl") => other.wheels.push(file.clone()),
                Some(_) => other.sdist = other.sdist.or_else(|| Some(file.clone())),
                None => {}
            }
        }
        package.keep_known(&other);
    }
    Ok(())
}

fn told_by_pip(
    resolver: &Resolver<'_>,
    question: &Question<'_>,
    pins: &[Pin],
    log: &mut Log,
) -> Result<BTreeMap<String, Vec<File>>> {
    if !resolver.interpreter.has_pip {
        return Ok(BTreeMap::new());
    }
    let options = question.staging.join("options.txt");
    pip::write_lines(&options, &pip::file_options(resolver, question))?;
    let mut program = pip::calm(resolver, question.sources)?;
    program.arguments = ["-c".into(), include_str!("other_files.py").into(), options.into()].into();
    let pins = pins.iter().map(|pin| format!("{}=={}", pin.name, pin.version));
    match program.arguments(pins).ask() {
        Ok(answer) => Ok(serde_json::from_str(&answer).unwrap_or_default()),
        Err(error) if process::is_interrupted() => Err(error),
        Err(error) => {
            log.line(&format!("the files for other machines are not known: {error}"))?;
            Ok(BTreeMap::new())
        }
    }
}
