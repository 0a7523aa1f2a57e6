//! Everything that a task's result depends on, as facts in one order.
//!
//! There is one walk over the facts ([`Manifest::walk`]) and two that go it: one makes the key of the content store,
//! the other compares two manifests and says what differs. So a fact that counts cannot be missing from the reasons,
//! nor the other way round. No fact holds a secret in clear text, nor the plugin directory's absolute path.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::name::Name;
use super::snapshot::{Entry, FileKind, Snapshot};
use crate::digest::{Digest, Hasher};
use crate::error::Result;

/// Raised when the meaning of a fact or the form of an output changes; older records are then misses.
///
/// 1: the first. 2: facts in one list; what links point to.
const FORMAT: u32 = 2;

/// What a fact is about. The order is that of the reasons, most telling first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Subject {
    Format,
    Platform,
    /// A field of the task's statement.
    Recipe(String),
    Tool(String),
    Variable(String),
    Setting(String),
    Input(Name),
    /// What the input, a link, points to.
    Behind(Name),
    /// The outputs of another task.
    Dependency(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    Number(u32),
    Text(String),
    List(Vec<String>),
    Table(BTreeMap<String, String>),
    /// Counts and is not shown; `None` where it is not set.
    Hidden(Option<Digest>),
    Content(Digest),
    File(FileKind, Digest),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Number(number) => write!(f, "{number}"),
            Value::Text(text) => f.write_str(text),
            Value::List(words) => write!(f, "{words:?}"),
            Value::Table(table) => {
                let pairs: Vec<String> =
                    table.iter().map(|(name, value)| format!("{name}={value}")).collect();
                f.write_str(&pairs.join(" "))
            }
            Value::Hidden(Some(_)) => f.write_str("a value that is not shown"),
            Value::Hidden(None) => f.write_str("unset"),
            Value::Content(digest) => f.write_str(&digest.short()),
            Value::File(kind, digest) => write!(f, "{kind} {}", digest.short()),
        }
    }
}

/// The facts of one task, but for its inputs, which a [`Snapshot`] beside it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    facts: BTreeMap<Subject, Value>,
}

/// One fact where it stands: tens of thousands of them are compared without a copy.
#[derive(Clone, Copy)]
enum Fact<'a> {
    Stated(&'a Subject, &'a Value),
    Input(&'a Entry),
}

/// Where a fact has its turn in the walk.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Turn<'a> {
    Stated(&'a Subject),
    Input(&'a Name, bool),
}

impl<'a> Fact<'a> {
    fn turn(self) -> Turn<'a> {
        match self {
            Fact::Stated(subject, _) => Turn::Stated(subject),
            Fact::Input(entry) => Turn::Input(&entry.name, entry.behind_link),
        }
    }

    fn is_same_as(self, other: Fact<'_>) -> bool {
        match (self, other) {
            (Fact::Stated(subject, value), Fact::Stated(other, other_value)) => {
                (subject, value) == (other, other_value)
            }
            (Fact::Input(entry), Fact::Input(other)) => entry.is_same_as(other),
            _ => false,
        }
    }

    fn subject(self) -> Subject {
        match self {
            Fact::Stated(subject, _) => subject.clone(),
            Fact::Input(entry) if entry.behind_link => Subject::Behind(entry.name.clone()),
            Fact::Input(entry) => Subject::Input(entry.name.clone()),
        }
    }

    fn value(self) -> Value {
        match self {
            Fact::Stated(_, value) => value.clone(),
            Fact::Input(entry) => Value::File(entry.kind(), entry.digest),
        }
    }
}

impl Manifest {
    pub fn new() -> Manifest {
        let platform = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
        let facts = [(Subject::Format, Value::Number(FORMAT)), (Subject::Platform, Value::Text(platform))];
        Manifest { facts: facts.into() }
    }

    pub fn add(&mut self, subject: Subject, value: Value) {
        self.facts.insert(subject, value);
    }

    /// The one walk, in order.
    fn walk<'a>(&'a self, inputs: &'a Snapshot) -> impl Iterator<Item = Fact<'a>> {
        let stated = self.facts.iter().map(|(subject, value)| Fact::Stated(subject, value));
        stated.chain(inputs.entries.iter().map(Fact::Input))
    }

    /// The key under which the outputs are stored.
    pub fn key(&self, inputs: &Snapshot) -> Result<Digest> {
        let mut key = Hasher::new();
        for fact in self.walk(inputs) {
            key.value(&(fact.subject(), fact.value()))?;
        }
        Ok(key.finish())
    }

    /// What is not as it was, most telling first; empty where the two agree.
    pub fn differences(&self, inputs: &Snapshot, old: &Manifest, old_inputs: &Snapshot) -> Vec<Difference> {
        // Inputs that nobody touched are one list, which has not even been made.
        if inputs.entries.are(&old_inputs.entries) && *self == *old {
            return Vec::new();
        }
        let (mut new, mut old) = (self.walk(inputs).peekable(), old.walk(old_inputs).peekable());
        let mut differences = Vec::new();
        loop {
            let order = match (new.peek(), old.peek()) {
                (Some(new), Some(old)) => new.turn().cmp(&old.turn()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => break,
            };
            let new = if order.is_le() { new.next() } else { None };
            let old = if order.is_ge() { old.next() } else { None };
            let Some(either) = new.or(old) else { break };
            if !matches!((new, old), (Some(new), Some(old)) if new.is_same_as(old)) {
                let (old, new) = (old.map(Fact::value), new.map(Fact::value));
                differences.push(Difference { subject: either.subject(), old, new });
            }
        }
        differences.sort_by(|one, other| one.subject.cmp(&other.subject));
        differences
    }
}

/// A fact that is not as it was; `None` where it was not, or is no longer.
pub struct Difference {
    pub subject: Subject,
    pub old: Option<Value>,
    pub new: Option<Value>,
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::fs::{self, Instant};
    use crate::graph::Patterns;

    fn snapshot(files: &[(&str, &str)]) -> Snapshot {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write_atomic(&dir.path().join(name), content.as_bytes()).unwrap();
        }
        fs::symlink(Path::new(files[0].0), &dir.path().join("link")).unwrap();
        let whole = Patterns { files: vec!["".into()], ..Patterns::default() };
        Snapshot::take(dir.path(), &whole, None, Instant::NEVER).unwrap().snapshot
    }

    #[test]
    fn differences_are_told_by_subject_wherever_they_have_their_turn() {
        let manifest = |release: &str| {
            let mut manifest = Manifest::new();
            manifest.add(Subject::Setting("same".into()), Value::Number(1));
            manifest.add(Subject::Tool("python3".into()), Value::Text(release.into()));
            manifest.add(Subject::Dependency("first".into()), Value::Content(Digest::of(release.as_bytes())));
            manifest
        };
        let old = snapshot(&[("edited", "old"), ("gone", ""), ("same", "")]);
        let new = snapshot(&[("edited", "new"), ("same", ""), ("young", "")]);
        let name = |name: &str| Name::new(Path::new(name));
        let told = manifest("3.13").differences(&new, &manifest("3.12"), &old);
        let told: Vec<_> =
            told.into_iter().map(|it| (it.subject, it.old.is_some(), it.new.is_some())).collect();
        let expected = [
            (Subject::Tool("python3".into()), true, true),
            (Subject::Input(name("edited")), true, true),
            (Subject::Input(name("gone")), true, false),
            (Subject::Input(name("young")), false, true),
            (Subject::Behind(name("link")), true, true),
            (Subject::Dependency("first".into()), true, true),
        ];
        assert_eq!(told, expected);
        assert!(manifest("3.12").differences(&old.clone(), &manifest("3.12"), &old).is_empty());
        assert_ne!(manifest("3.12").key(&old).unwrap(), manifest("3.12").key(&new).unwrap());
    }
}
