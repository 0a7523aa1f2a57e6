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

/// Whether there may be files for other machines that are not known yet: a source and a wheel for all of them need no
/// others, unless this machine has another one before them.
pub(super) fn may_have_more(package: &Package) -> bool {
    let is_for_all = |file: &File| file.file_name().is_some_and(|name| name.ends_with("-none-any.whl"));
    let is_whole =
        package.sdist.is_some() && !package.wheels.is_empty() && package.wheels.iter().all(is_for_all);
    let has_files = package.sdist.is_some() || !package.wheels.is_empty();
    has_files && !is_whole
}

/// Adds them to the packages of which they are missing.
pub(super) fn add(
    resolver: &Resolver<'_>,
    question: &Question<'_>,
    packages: &mut [Package],
    log: &mut Log,
) -> Result<()> {
    let pins: Vec<Pin> = packages
        .iter()
        .filter(|package| may_have_more(package))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wheel_for_all_machines_does_not_hide_those_for_each() {
        let file = |name: &&str| File { name: Some((*name).to_owned()), ..File::default() };
        let (all, own) = ("a-1-py3-none-any.whl", "a-1-cp38-abi3-manylinux2014_x86_64.whl");
        for (wheels, sdist, may_have_more) in [
            (&[all][..], Some("a-1.tar.gz"), false),
            (&[all, own], Some("a-1.tar.gz"), true),
            (&[own], Some("a-1.tar.gz"), true),
            (&[all], None, true),
            (&[], Some("a-1.tar.gz"), true),
            (&[], None, false),
        ] {
            let wheels: Vec<File> = wheels.iter().map(file).collect();
            let sdist = sdist.as_ref().map(file);
            let package = Package { name: "a".to_owned(), wheels, sdist, ..Package::default() };
            assert_eq!(super::may_have_more(&package), may_have_more, "{package:?}");
        }
    }
}
