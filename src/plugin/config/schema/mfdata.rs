//! What mfdata adds: steps that files go through, and the rules of switch plugins.

use super::ValueKind::{Enum, Float, Int, String};
use super::common::COMMAND;
use super::{KeySchema, Table, key};

pub(super) const TABLES: &[Table] =
    &[Table::of("step_*", &[COMMAND, STEP]), Table::of("switch_rules*:*", &[]).free().with_patterns()];

const STEP: &[KeySchema] = &[
    key("watched_directories", String).default("{MFDATA_CURRENT_STEP_DIR}").was(&["listened_directories"]),
    key("failure_policy", Enum(&["keep", "delete", "move"])).default("keep"),
    key("failure_policy_move_dest_dir", String),
    key("timeout", Int).default("600"),
    key("retry_total", Int).default("0"),
    key("retry_min_wait", Float).default("10.0"),
    key("retry_max_wait", Float).default("120.0"),
    key("retry_backoff", Float).default("0.0"),
];
