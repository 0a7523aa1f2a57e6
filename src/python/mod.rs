//! Python: interpreters, requirements and locks, wheels and virtualenvs, and the tools that resolve and fetch.
//!
//! Nothing here knows of tasks or plugins' files; the build stage makes locks and wheels with it, the install stage
//! makes virtualenvs from wheels without any tool but a bare interpreter.

mod index;
mod interpreter;
mod lock;
mod pip;
mod requirements;
mod resolver;
mod uv;
pub mod virtualenv;
mod wheel;

pub use interpreter::Interpreter;
pub use lock::{Lock, Pin, Verdict};
pub use requirements::{Line, Requirements};
pub use resolver::{BinaryPolicy, Resolver};
pub use wheel::{Wheel, canonical_name};
