//! `requirements3.txt`: exact pins, and what they were frozen from.
//!
//! A lock of ours starts with a comment that holds the digest of the requirements. A lock without one was written by
//! upstream's tools or by hand: it is accepted when its pins satisfy every requirement, whatever the file times say.

use std::path::Path;
use std::str::FromStr;

use pep440_rs::{Operator, Version};
use pep508_rs::VersionOrUrl;

use super::requirements::{Line, Requirements};
use super::wheel::canonical_name;
use crate::digest::Digest;

const FROZEN_FROM: &str = "# frozen by mwp from requirements-to-freeze.txt sha256:";

/// `name==version`
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pin {
    /// Canonical.
    pub name: String,
    pub version: String,
}

#[derive(Debug, Clone)]
pub struct Lock {
    frozen_from: Option<String>,
    pub requirements: Requirements,
}

/// Whether a lock is what the requirements ask for.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Fits,
    /// It was frozen from other requirements: digests, old and new.
    Outdated {
        old: String,
        new: String,
    },
    /// A lock of unknown origin does not pin, or not as asked, this requirement.
    Unsatisfied {
        requirement: String,
        found: Option<String>,
    },
}

impl Lock {
    pub fn parse(content: &str) -> Lock {
        let frozen_from = content.lines().find_map(|line| line.strip_prefix(FROZEN_FROM));
        Lock {
            frozen_from: frozen_from.map(|digest| digest.trim().to_owned()),
            requirements: Requirements::parse(content),
        }
    }

    /// The text of a lock: the options of the requirements first, then the pins by name.
    pub fn render(wanted: &Requirements, frozen_from: &Digest, pins: &[String]) -> String {
        let mut text = format!("{FROZEN_FROM}{frozen_from}\n");
        let carried =
            wanted.options().filter(|option| !option.starts_with("-r") && !option.starts_with("--req"));
        for line in carried.filter(|option| !option.starts_with("-c") && !option.starts_with("--const")) {
            text.push_str(line);
            text.push('\n');
        }
        let mut pins: Vec<&String> = pins.iter().collect();
        pins.sort_by_key(|pin| pin.to_lowercase());
        pins.dedup();
        for pin in pins {
            text.push_str(pin);
            text.push('\n');
        }
        text
    }

    /// What a lock made now would say that it was frozen from. `override` changes what is resolved.
    pub fn origin(wanted: &Requirements, dir: &Path, overrides_layers: bool) -> Digest {
        let digest = wanted.digest(dir);
        if overrides_layers { Digest::of(format!("{digest} override").as_bytes()) } else { digest }
    }

    pub fn verdict(&self, wanted: &Requirements, origin: &Digest) -> Verdict {
        if let Some(old) = &self.frozen_from {
            let new = origin.to_string();
            return if *old == new {
                Verdict::Fits
            } else {
                let short = |digest: &str| digest.chars().take(12).collect();
                Verdict::Outdated { old: short(old), new: short(&new) }
            };
        }
        for line in &self.requirements.lines {
            if let Line::Named { requirement, text } = line
                && !matches!(requirement.version_or_url, Some(VersionOrUrl::Url(_)))
                && !text.contains(';')
                && Pin::of(line).is_none()
            {
                let requirement = format!("an exact version of {}", requirement.name);
                return Verdict::Unsatisfied { requirement, found: Some(text.clone()) };
            }
        }
        for line in &wanted.lines {
            if let Some(verdict) = self.unsatisfied(line) {
                return verdict;
            }
        }
        Verdict::Fits
    }

    fn unsatisfied(&self, wanted: &Line) -> Option<Verdict> {
        let name = wanted.name()?;
        let locked = self.requirements.lines.iter().find(|line| line.name().as_deref() == Some(&name));
        let Some(locked) = locked else {
            // Its marker may well be false here; only a resolver can tell.
            let has_marker = matches!(wanted, Line::Named { text, .. } if text.contains(';'));
            return (!has_marker)
                .then(|| Verdict::Unsatisfied { requirement: wanted.text().to_owned(), found: None });
        };
        let (Line::Named { requirement, .. }, Some(pin)) = (wanted, Pin::of(locked)) else { return None };
        let Some(VersionOrUrl::VersionSpecifier(specifiers)) = &requirement.version_or_url else {
            return None;
        };
        let version = Version::from_str(&pin.version).ok()?;
        (!specifiers.contains(&version)).then(|| Verdict::Unsatisfied {
            requirement: wanted.text().to_owned(),
            found: Some(locked.text().to_owned()),
        })
    }
}

impl Pin {
    /// An exact pin without a marker; what else a lock may hold is for pip to understand.
    pub fn of(line: &Line) -> Option<Pin> {
        let Line::Named { requirement, text } = line else { return None };
        let Some(VersionOrUrl::VersionSpecifier(specifiers)) = &requirement.version_or_url else {
            return None;
        };
        let mut specifiers = specifiers.iter();
        let (first, None) = (specifiers.next()?, specifiers.next()) else { return None };
        let exact = matches!(first.operator(), Operator::Equal | Operator::ExactEqual);
        (exact && !text.contains(';')).then(|| Pin {
            name: canonical_name(requirement.name.as_ref()),
            version: first.version().to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(lock: &str, wanted: &str) -> Verdict {
        let wanted = Requirements::parse(wanted);
        Lock::parse(lock).verdict(&wanted, &Lock::origin(&wanted, Path::new("/nowhere"), false))
    }

    #[test]
    fn a_lock_of_ours_fits_what_it_was_frozen_from_and_nothing_else() {
        let wanted = Requirements::parse("--pre\nflask\n");
        let origin = Lock::origin(&wanted, Path::new("/nowhere"), false);
        let text = Lock::render(&wanted, &origin, &["jinja2==3.1.6".into(), "flask==3.1.3".into()]);
        assert_eq!(text.lines().skip(1).collect::<Vec<_>>(), ["--pre", "flask==3.1.3", "jinja2==3.1.6"]);
        assert_eq!(verdict(&text, "--pre\nflask # web"), Verdict::Fits);
        assert!(matches!(verdict(&text, "--pre\nflask<3.1.3"), Verdict::Outdated { .. }));
        let with_override = Lock::origin(&wanted, Path::new("/nowhere"), true);
        assert!(matches!(Lock::parse(&text).verdict(&wanted, &with_override), Verdict::Outdated { .. }));
    }

    #[test]
    fn an_upstream_lock_fits_when_its_pins_satisfy_every_requirement() {
        let lock = "Django==3.0.7\nsqlparse==0.3.1\n-e git+https://h/foo.git@0a1b2c#egg=foo\n";
        for wanted in [
            "",
            "Django >= 3.0,<3.1",
            "django\nSQLParse",
            "git+https://h/foo.git#egg=foo",
            "six; python_version<'3'",
        ] {
            assert_eq!(verdict(lock, wanted), Verdict::Fits, "{wanted}");
        }
        assert_eq!(
            verdict(lock, "Django>=3.1"),
            Verdict::Unsatisfied { requirement: "Django>=3.1".into(), found: Some("Django==3.0.7".into()) }
        );
        assert_eq!(
            verdict(lock, "django\nflask"),
            Verdict::Unsatisfied { requirement: "flask".into(), found: None }
        );
    }
}
