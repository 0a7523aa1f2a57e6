//! Where symbolic links lead: into the plugin, or out of it.
//!
//! A link is followed the way the kernel does it, through the other links of the same tree, so that no chain of
//! harmless-looking links adds up to a way out.

use std::collections::HashMap;

/// As many as the kernel follows.
const MAX_FOLLOWED: usize = 40;

/// How far links are followed, on average and beyond it.
const STEPS_PER_LINK: usize = 100;
const STEPS_PER_TREE: usize = 10_000;

/// The links of a tree: path to target, both relative and with `/` between.
pub(super) type Links<'a> = HashMap<&'a str, &'a str>;

/// Why a link is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Astray {
    Absolute,
    Outside,
    Endless,
    Empty,
}

impl Astray {
    /// Whether it may be meant: it leads to a place of the machine.
    pub(super) fn is_external(self) -> bool {
        matches!(self, Astray::Absolute | Astray::Outside)
    }

    pub(super) fn reason(self) -> &'static str {
        match self {
            Astray::Absolute => "an absolute path",
            Astray::Outside => "which is outside the plugin",
            Astray::Endless => "which never ends: the links lead to each other",
            Astray::Empty => "which is empty",
        }
    }
}

/// Checks that every link leads to a place inside, whether or not something is there; names the first that does
/// not, in no particular order.
pub(super) fn check<'a>(links: &Links<'a>) -> Vec<(&'a str, Astray)> {
    // Links made to slow us down may cross each other for long; honest ones need a few steps each.
    let mut budget = links.len() * STEPS_PER_LINK + STEPS_PER_TREE;
    let mut astray = Vec::new();
    for (path, target) in links {
        if let Err(reason) = follow(links, path, target, &mut budget) {
            astray.push((*path, reason));
        }
        if budget == 0 {
            break;
        }
    }
    astray
}

/// Walks from the link at `path`, component by component.
fn follow<'a>(links: &Links<'a>, path: &'a str, target: &'a str, budget: &mut usize) -> Result<(), Astray> {
    if target.is_empty() {
        return Err(Astray::Empty);
    }
    // Where we are: the directory of the link, then one more or one less component per step.
    let mut place = path.rsplit_once('/').map_or("", |(parent, _)| parent).to_owned();
    let mut left: Vec<&str> = Vec::new();
    push(&mut left, target)?;
    let mut followed = 0;
    while let Some(step) = left.pop() {
        *budget = budget.checked_sub(1).ok_or(Astray::Endless)?;
        match step {
            "" | "." => {}
            ".." if place.is_empty() => return Err(Astray::Outside),
            ".." => place.truncate(place.rfind('/').unwrap_or(0)),
            name => {
                let before = place.len();
                if before > 0 {
                    place.push('/');
                }
                place.push_str(name);
                if let Some(next) = links.get(place.as_str()) {
                    followed += 1;
                    if followed > MAX_FOLLOWED {
                        return Err(Astray::Endless);
                    }
                    place.truncate(before);
                    push(&mut left, next)?;
                }
            }
        }
    }
    Ok(())
}

fn push<'a>(left: &mut Vec<&'a str>, target: &'a str) -> Result<(), Astray> {
    if target.starts_with('/') {
        return Err(Astray::Absolute);
    }
    left.extend(target.split('/').rev());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_followed_as_the_kernel_would() {
        let links: Links<'_> =
            [("a/b/top", "../.."), ("loop1", "loop2"), ("loop2", "loop1"), ("abs", "/etc"), ("self", "self")]
                .into_iter()
                .collect();
        for (path, target, expected) in [
            ("l", "a/file", Ok(())),
            ("l", "missing/../file", Ok(())),
            ("l", ".", Ok(())),
            ("a/l", "../file", Ok(())),
            ("l", "a/b/top/a", Ok(())),
            ("l", "..", Err(Astray::Outside)),
            ("a/l", "../../etc", Err(Astray::Outside)),
            // By its letters it stays inside; followed it does not.
            ("l", "a/b/top/../x", Err(Astray::Outside)),
            ("l", "/etc/passwd", Err(Astray::Absolute)),
            ("l", "abs/passwd", Err(Astray::Absolute)),
            ("l", "loop1", Err(Astray::Endless)),
            ("self", "self", Err(Astray::Endless)),
            ("l", "", Err(Astray::Empty)),
        ] {
            assert_eq!(follow(&links, path, target, &mut 1000), expected, "{path} -> {target}");
        }
    }

    #[test]
    fn links_that_cross_each_other_for_long_are_given_up() {
        let long = "a/../".repeat(800);
        let mut links: Links<'_> = Links::new();
        let names: Vec<(String, String)> =
            (0..30).map(|n| (format!("l{n}"), format!("{long}l{}", n + 1))).collect();
        let many: Vec<String> = (0..2000).map(|n| format!("m{n}")).collect();
        links.extend(names.iter().map(|(path, target)| (path.as_str(), target.as_str())));
        links.extend(many.iter().map(|path| (path.as_str(), "l0")));
        assert!(check(&links).iter().any(|(_, reason)| *reason == Astray::Endless));
    }
}
