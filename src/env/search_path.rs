//! Search paths: lists of directories between colons in a variable.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use crate::error::{Error, Result};
use crate::site::Environment;
use crate::text;

/// Puts a directory in front; where it is in the list already, it moves there.
pub(super) fn prepend(environment: &mut Environment, variable: &str, dir: &Path) {
    let dir = dir.as_os_str().as_bytes();
    let mut list = vec![dir.to_vec()];
    list.extend(elements(environment, variable).into_iter().filter(|element| element != dir));
    set(environment, variable, &list);
}

/// Puts a directory at the end, likewise. One with a colon cannot be there.
pub(super) fn append(environment: &mut Environment, variable: &str, dir: &Path) {
    let dir = dir.as_os_str().as_bytes();
    if dir.contains(&b':') {
        return;
    }
    let mut list = elements(environment, variable);
    list.retain(|element| element != dir);
    list.push(dir.to_vec());
    set(environment, variable, &list);
}

/// Takes out everything that lies below `home`. A list that becomes empty is unset.
pub(super) fn remove_below(environment: &mut Environment, variable: &str, home: &Path) {
    let list = elements(environment, variable);
    let is_below = |element: &Vec<u8>| {
        element.strip_prefix(home.as_os_str().as_bytes()).is_some_and(|rest| rest.starts_with(b"/"))
    };
    let kept: Vec<Vec<u8>> = list.iter().filter(|element| !is_below(element)).cloned().collect();
    if kept.len() == list.len() {
        return;
    }
    if kept.is_empty() {
        environment.remove(variable);
    } else {
        set(environment, variable, &kept);
    }
}

/// A directory with a colon in its path cannot stand in a search path.
pub(super) fn refuse_colon(dir: &Path) -> Result<()> {
    if dir.as_os_str().as_bytes().contains(&b':') {
        return Err(Error::input(format!(
            "found `:` in the path {}, which separates the directories of search paths such as PATH",
            text::path(dir)
        ))
        .hint("move or rename the directory"));
    }
    Ok(())
}

fn elements(environment: &Environment, variable: &str) -> Vec<Vec<u8>> {
    match environment.get(variable).map(OsStrExt::as_bytes) {
        None | Some(b"") => Vec::new(),
        Some(list) => list.split(|byte| *byte == b':').map(<[u8]>::to_vec).collect(),
    }
}

fn set(environment: &mut Environment, variable: &str, list: &[Vec<u8>]) {
    environment.set(variable, OsString::from_vec(list.join(&b':')));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(list: &str) -> Environment {
        let mut environment = Environment::default();
        environment.set("PATH", list);
        environment
    }

    #[test]
    fn a_directory_goes_to_the_front_and_is_there_once() {
        let mut environment = with("/a:/b::/c");
        prepend(&mut environment, "PATH", Path::new("/c"));
        assert_eq!(environment.text("PATH"), Some("/c:/a:/b:"));
        prepend(&mut environment, "NEW", Path::new("/c"));
        assert_eq!(environment.text("NEW"), Some("/c"));
    }

    #[test]
    fn an_empty_variable_brings_no_empty_element() {
        let mut environment = with("");
        prepend(&mut environment, "PATH", Path::new("/c"));
        assert_eq!(environment.text("PATH"), Some("/c"));
    }

    #[test]
    fn what_is_below_a_home_goes_and_neighbours_stay() {
        let mut environment = with("/home/a/bin:/home/ab/bin:/home/a");
        remove_below(&mut environment, "PATH", Path::new("/home/a"));
        assert_eq!(environment.text("PATH"), Some("/home/ab/bin:/home/a"));
        let mut environment = with("/home/a/bin");
        remove_below(&mut environment, "PATH", Path::new("/home/a"));
        assert_eq!(environment.get("PATH"), None);
    }
}
