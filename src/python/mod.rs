//! Python: interpreters, requirements and locks, wheels and virtualenvs, and the tools that resolve and fetch.
//!
//! Nothing here knows of tasks or plugins' files; the build stage makes locks and wheels with it, the install stage
//! makes virtualenvs from wheels without any tool but a bare interpreter.

mod archive;
mod compile;
mod contents;
mod decode;
mod download;
pub mod edit;
mod fetch;
mod freeze;
#[cfg(test)]
mod fuzz;
mod interpreter;
mod local;
mod lock;
mod needs;
mod offers;
mod other_files;
mod pip;
mod plan;
pub mod pylock;
mod ready;
mod record;
mod requirements;
mod resolver;
mod scripts;
mod sources;
pub mod tree;
mod uv;
pub mod virtualenv;
mod wanted;
mod wheel;

pub use fetch::{BinaryPolicy, Fetch, local_paths};
pub use freeze::{Change, Frozen, Request, provided};
pub use interpreter::Interpreter;
pub use local::files as local_files;
pub use lock::{Demands, Lock, Pin, Verdict};
pub use needs::Needs;
pub use pylock::PyLock;
pub use requirements::{Line, Requirements};
pub use resolver::Resolver;
pub use sources::Sources;
pub use wanted::{Place, Stated, Wanted, stated};
pub use wheel::{Wheel, canonical_name};
