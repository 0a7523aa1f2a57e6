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
pub use data_home::{DataHome, Watched, watched};
pub(super) use data_home::{UNFINISHED, is_unfinished, queue_of};
pub use plan::{Plan, Plans, plan, plans};
pub use redis_address::RedisAddress;
pub(super) use service::group_of;
pub use service::{HealthTest, Limits, Readiness, Service, ServiceId, ServiceKind, Stop, check_socket};
pub use settings::{
    DataSettings, GUESS_FILE_TYPE, InternalPlugins, Kept, LogSettings, LogTarget, NginxSettings,
    RedisSettings, SWITCH, Settings, SupervisorSettings, Workload,
};
