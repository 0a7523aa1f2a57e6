//! The processes of a module in the care of others: systemd, circus.
//!
//! What those are given says how many workers there are, how they are stopped and where they log. What a worker is –
//! its command, its environment – it finds out itself each time it starts ([`Worker`]): updates and overrides hold
//! from the next start on, and no word of a plugin has to survive another program's quoting.

pub mod circus;
mod files;
mod others;
mod roster;
pub mod systemd;
mod worker;

pub use files::Written;
pub(super) use files::{OurFiles, Target};
pub use others::{Runner, other_runner};
pub use roster::Roster;
pub(super) use roster::{Front, utf8};
pub use worker::{Which, Worker};
