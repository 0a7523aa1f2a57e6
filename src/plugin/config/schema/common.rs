//! What every plugin's `config.ini` may hold.

use super::ValueKind::{AutoBool, Bool, Float, Int, String, Version};
use super::{KeySchema, Table, key};

pub(super) const TABLES: &[Table] = &[
    Table::of("general", &[GENERAL]).required(),
    Table::of("app_*", &[COMMAND]),
    Table::of("extra_daemon_*", &[COMMAND]),
    // Anything goes in here.
    Table::of("custom*", &[]).free(),
];

const GENERAL: &[KeySchema] = &[
    key("_version", Version).required(),
    key("_release", Version).default("1").default_if_empty(),
    key("_summary", String).required(),
    key("_license", String).required(),
    key("_url", String).required(),
    key("_maintainer", String).required().was(&["packager"]),
    key("_vendor", String).required(),
    key("_add_plugin_dir_to_python_path", Bool).default("true"),
    // Of all processes of the plugin together: bytes, and processors. 0 is no limit.
    key("memory_max", Int).default("0"),
    key("cpu_max", Float).default("0"),
];

/// What a process has that the module starts and watches.
pub(super) const COMMAND: &[KeySchema] = &[
    key("_cmd_and_args", String).was(&["cmd", "args", "type", "main_arg", "gunicorn_arg", "node_arg"]),
    key("numprocesses", Int).default("0").was(&["workers"]),
    key("graceful_timeout", Int).default("10"),
    key("max_age", Int).default("0"),
    key("rlimit_as", Int).default("0"),
    key("rlimit_nofile", Int).default("0"),
    key("rlimit_stack", Int).default("0"),
    key("rlimit_fsize", Int).default("0"),
    key("debug", Bool).default("false"),
    key("log_split_stdout_stderr", AutoBool("LOG_TRY_TO_SPLIT_STDOUT_STDERR")).default("AUTO"),
    key("log_split_multiple_workers", AutoBool("LOG_TRY_TO_SPLIT_MULTIPLE_WORKERS")).default("AUTO"),
];
