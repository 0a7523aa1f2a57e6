//! What there is to run, as data: services and their plans, the module's settings, and how they are told to be.
//!
//! Whoever runs them – the supervisor, systemd, circus – and nginx in front of them are made of this.

mod command;
mod data_home;
mod plan;
mod redis_address;
mod retries;
mod service;
mod settings;
pub mod status;
mod step;

pub use command::CommandLine;
pub(super) use data_home::queue_of;
pub use data_home::{DataHome, Watched, watched};
pub use plan::{Plan, Plans, plan, plans};
pub use redis_address::RedisAddress;
pub(super) use service::group_of;
pub use service::{HealthTest, Kind, Limits, Readiness, Service, ServiceId, Stop, check_socket};
pub use settings::{LogSettings, LogTarget, NginxSettings, RedisSettings, Settings, SupervisorSettings};
