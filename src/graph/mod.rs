//! The task graph: plan, decide, run, explain.
//!
//! # When is a task up to date?
//!
//! A task is **fresh** when its record in `.mwp/state` says that it succeeded with the same *fingerprint* – recipe,
//! arguments, versions of its tools, platform, declared environment, digests of its dependencies' outputs – and the
//! same *inputs*, and when each of its outputs is in place and unaltered. The rules, each of them learnt from a
//! build tool that broke it:
//!
//! - A stat record vouches for content while it is *equal* (never *newer*), and was taken at least one clock tick
//!   after the last change; else the content is hashed. Equal content under another record is fresh: `touch`, a
//!   clone, a branch switch and back rebuild nothing.
//! - The list of names is part of the inputs: a new or a removed file counts. A pattern that has to match something
//!   and does not is an error.
//! - A dependent looks at the *digest of the outputs* of its dependency, not at whether that ran (early cut-off).
//! - Locks judge themselves by content ([`crate::action::Judgement`]): a fresh clone has a lock and no record.
//! - The record describes the inputs from before the start and is written after success only. Work in progress
//!   happens in `.mwp/tmp` and is put in place in one step; a killed build leaves no record and no half output.
//! - One process at a time per plugin directory; explanations and dry runs take no lock and write nothing.
//!
//! Knowingly not covered: what a command reads without declaring it, empty directories, and timestamps or
//! extended attributes of inputs.

mod decide;
mod draw;
mod execute;
mod fingerprint;
mod name;
mod observer;
mod outputs;
mod plan;
mod project;
mod schedule;
mod snapshot;
mod stat;
mod state;

pub use draw::{GraphFormat, draw};
pub use fingerprint::Reason;
pub use observer::{Event, Observer};
pub use plan::Plan;
pub use project::{Mode, Project, lock_directory};
pub use schedule::{Slots, TaskStatus, build, explain};
pub use snapshot::{Entry, Kind, Patterns, Snapshot};
pub use stat::{Instant, Stat};
pub use state::{STATE_DIR, State};
