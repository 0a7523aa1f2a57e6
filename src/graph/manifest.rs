//! Everything that a task's result depends on, as facts in one order.
//!
//! There is one walk over the facts ([`Manifest::visit`]) and two visitors: one makes the key of the content store,
//! the other compares two manifests and says what differs. So a fact that counts cannot be missing from the reasons,
//! nor the other way round. No fact holds a secret in clear text, nor the plugin directory's absolute path.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::name::Name;
use super::snapshot::{FileKind, Snapshot};
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

/// Told every fact, in order.
trait Visitor {
    fn fact(&mut self, subject: &Subject, value: &Value) -> Result<()>;
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

    /// The one walk.
    fn visit(&self, inputs: &Snapshot, visitor: &mut impl Visitor) -> Result<()> {
        for (subject, value) in &self.facts {
            visitor.fact(subject, value)?;
        }
        for entry in inputs.entries.iter() {
            let subject = match entry.behind_link {
                true => Subject::Behind(entry.name.clone()),
                false => Subject::Input(entry.name.clone()),
            };
            visitor.fact(&subject, &Value::File(entry.kind(), entry.digest))?;
        }
        Ok(())
    }

    /// The key under which the outputs are stored.
    pub fn key(&self, inputs: &Snapshot) -> Result<Digest> {
        let mut key = Key(Hasher::new());
        self.visit(inputs, &mut key)?;
        Ok(key.0.finish())
    }

    /// What is not as it was, most telling first; empty where the two agree.
    pub fn differences(
        &self,
        inputs: &Snapshot,
        old: &Manifest,
        old_inputs: &Snapshot,
    ) -> Result<Vec<Difference>> {
        // Tens of thousands of inputs that nobody touched are one list, shared.
        let untouched = inputs.entries.are(&old_inputs.entries);
        if untouched && *self == *old {
            return Ok(Vec::new());
        }
        let (mut new_facts, mut old_facts) = (Facts::default(), Facts::default());
        self.visit(inputs, &mut new_facts)?;
        old.visit(old_inputs, &mut old_facts)?;
        let (new_facts, old_facts) = (new_facts.0, old_facts.0);
        let mut subjects: Vec<&Subject> = old_facts.keys().chain(new_facts.keys()).collect();
        subjects.sort();
        subjects.dedup();
        let all = subjects.into_iter().map(|subject| Difference {
            subject: subject.clone(),
            old: old_facts.get(subject).cloned(),
            new: new_facts.get(subject).cloned(),
        });
        Ok(all.filter(|difference| difference.old != difference.new).collect())
    }
}

/// A fact that is not as it was; `None` where it was not, or is no longer.
pub struct Difference {
    pub subject: Subject,
    pub old: Option<Value>,
    pub new: Option<Value>,
}

struct Key(Hasher);

impl Visitor for Key {
    fn fact(&mut self, subject: &Subject, value: &Value) -> Result<()> {
        self.0.value(&(subject, value))
    }
}

#[derive(Default)]
struct Facts(BTreeMap<Subject, Value>);

impl Visitor for Facts {
    fn fact(&mut self, subject: &Subject, value: &Value) -> Result<()> {
        self.0.insert(subject.clone(), value.clone());
        Ok(())
    }
}
