//! The run stage: installed plugins do their work.
//!
//! `model` is what there is to run, as data. Three rooms are made of it, and of one another know nothing but what is
//! told here: `supervisor` runs it, with `nginx` in front and the rules of mfdata's `switch` steps beside; `export` hands it to systemd or circus instead. `control` is
//! the wire to a supervisor that is up.

pub mod control;
pub mod data;
mod export;
pub mod inject;
pub mod metrics;
pub mod model;
pub mod nginx;
pub mod removal;
mod runner;
pub mod supervisor;
pub mod switch;
pub mod tail;

pub use control::{Control, Reply, Request};
pub use export::{Roster, Runner, Which, Worker, Written, circus, other_runner, systemd};
pub use model::{
    CommandLine, HealthTest, Limits, LogSettings, LogTarget, NginxSettings, Plan, Plans, Readiness, Service,
    ServiceId, ServiceKind, Settings, Stop, check_socket, plan, plans, status,
};
pub use runner::UpModule;
pub use supervisor::guard;
