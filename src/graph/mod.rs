//! The task graph: plan, decide, run, explain.
//!
//! It knows no action by name: tasks bring theirs as values ([`Action`]), from the recipe.
//!
//! # When is a task up to date?
//!
//! A task is **fresh** when its record in `.mwp/state` says that it succeeded with the same *facts* – recipe,
//! versions of its tools, platform, declared environment, settings, digests of its dependencies' outputs – and the
//! same *inputs*, and when each of its outputs is in place and unaltered. The rules, each of them learnt from a
//! build tool that broke it:
//!
//! - A stat record vouches for content while it is *equal* (never *newer*), and was taken at least one clock tick
//!   after the last change; else the content is hashed. Equal content under another record is fresh: `touch`, a
//!   clone, a branch switch and back rebuild nothing.
//! - The list of names is part of the inputs: a new or a removed file counts. A pattern that has to match something
//!   and does not is an error.
//! - An output is where the task made it: a directory that became a link is not, whatever is behind it.
//! - A dependent looks at the *digest of the outputs* of its dependency, not at whether that ran (early cut-off).
//! - Locks are checked by content ([`LockCheck`]): a fresh clone has a lock and no record.
//! - The key of the cache and the reasons for a run come from one walk over the facts (`manifest`), builds, dry runs
//!   and explanations from one decision (`decide`), and a record only from a decision that was carried out.
//! - What a link points to counts. What cannot be looked at is an error, not absent.
//! - The record describes the inputs from before the start and is written after success only. Work in progress
//!   happens in `.mwp/tmp` and is put in place in one step; a killed build leaves no record and no half output.
//! - One process at a time per plugin directory; explanations and dry runs take no lock and write nothing.
//!
//! Knowingly not covered: what a command reads without declaring it, empty directories, and timestamps or
//! extended attributes of inputs.

mod action;
mod agenda;
mod decide;
mod draw;
mod entries;
mod execute;
mod listing;
mod manifest;
mod name;
mod observer;
mod outputs;
mod own;
mod plan;
mod project;
mod reason;
mod schedule;
mod snapshot;
mod state;
mod status;
mod task;
#[cfg(test)]
mod tests;
mod texts;
mod timings;
mod unfinished;

pub use action::{Action, Job, LockCheck, Probe, Reads, Reporter, Scope, Upgrade, upgraded_name};
pub use decide::missing_inputs;
pub use draw::{dot, edges, mermaid};
pub use manifest::Value;
pub use observer::{Event, Observer};
pub use outputs::{refuse_linked_directories, remove_outputs};
pub use own::{refuse_odd_directory, refuse_odd_state};
pub use plan::Plan;
pub use project::{Mode, Project, lock_directory};
pub use reason::{ChangedLine, Reason};
pub use schedule::{Slots, build, build_all, explain};
pub use snapshot::{Entry, FileKind, Patterns, Snapshot};
pub use state::{STATE_DIR, State};
pub use status::{Built, TaskStatus};
pub use task::{Origin, Target, Task};
pub use timings::{Outcome, ProjectTiming, TaskTiming, Timings};
