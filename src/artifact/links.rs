//! Where symbolic links lead: a plugin's links stay inside the plugin.
//!
//! A link is followed the way the kernel does it, through the other links of the same tree, so that no chain of
//! harmless-looking links adds up to a way out.

use std::collections::HashMap;

/// As many as the kernel follows.
const MAX_FOLLOWED: usize = 40;

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
    pub(super) fn reason(self) -> &'static str {
        match self {
            Astray::Absolute => "an absolute path",
            Astray::Outside => "which is outside the plugin",
            Astray::Endless => "which never ends: the links lead to each other",
            Astray::Empty => "which is empty",
        }
    }
}

/// Checks that the link at `path` leads to a place inside, whether or not something is there.
pub(super) fn check(links: &Links<'_>, path: &str, target: &str) -> Result<(), Astray> {
    if target.is_empty() {
        return Err(Astray::Empty);
    }
    let mut place: Vec<&str> = path.split('/').collect();
    place.pop();
    let mut left: Vec<&str> = Vec::new();
    push(&mut left, target)?;
    let mut followed = 0;
    let mut joined = String::new();
    while let Some(step) = left.pop() {
        match step {
            "" | "." => {}
            ".." => {
                place.pop().ok_or(Astray::Outside)?;
            }
            name => {
                place.push(name);
                joined.clear();
                for (index, part) in place.iter().enumerate() {
                    if index > 0 {
                        joined.push('/');
                    }
                    joined.push_str(part);
                }
                if let Some(next) = links.get(joined.as_str()) {
                    followed += 1;
                    if followed > MAX_FOLLOWED {
                        return Err(Astray::Endless);
                    }
                    place.pop();
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
            assert_eq!(check(&links, path, target), expected, "{path} -> {target}");
        }
    }
}
