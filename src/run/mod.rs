//! The run stage: installed plugins do their work.

pub mod circus;
mod command;
pub mod control;
mod foreign;
mod guardian;
mod model;
pub mod nginx;
mod plan;
mod runner;
mod settings;
pub mod status;
pub mod supervisor;
pub mod systemd;
pub mod tail;

pub use command::CommandLine;
pub use control::{Control, Reply, Request};
pub use foreign::{Roster, Which, Worker, Written};
pub use guardian::guard;
pub use model::{HealthTest, Kind, Limits, Service, ServiceId, Stop};
pub use plan::{Plan, Plans, plan, plans};
pub use runner::UpModule;
pub use settings::{LogSettings, NginxSettings, Settings};
