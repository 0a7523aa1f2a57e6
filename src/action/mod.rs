//! What the built-in tasks do. Each action is one type in one file that says everything about itself
//! ([`crate::graph::Action`]); [`all`] is the one list of them.

mod check;
mod command;
mod node;
mod python;

use std::sync::Arc;

use crate::graph::Action;

pub use command::Command;
pub use node::{failure_of as package_manager_failure, package_manager};
pub use python::check_wheels;

/// Every action that a recipe may name.
pub fn all() -> Vec<Arc<dyn Action>> {
    vec![
        Arc::new(check::Check),
        Arc::new(python::Freeze),
        Arc::new(python::Wheels),
        Arc::new(python::Virtualenv),
        Arc::new(node::Lock(&node::Npm)),
        Arc::new(node::Modules(&node::Npm)),
        Arc::new(node::Lock(&node::Pnpm)),
        Arc::new(node::Modules(&node::Pnpm)),
        Arc::new(node::Lock(&node::Yarn)),
        Arc::new(node::Modules(&node::Yarn)),
    ]
}
