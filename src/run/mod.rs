//! The run stage: installed plugins do their work.

mod command;
mod model;
pub mod nginx;
mod settings;

pub use command::CommandLine;
pub use model::{HealthTest, Kind, Limits, Service, ServiceId, Stop};
pub use settings::{LogSettings, NginxSettings, Settings};
