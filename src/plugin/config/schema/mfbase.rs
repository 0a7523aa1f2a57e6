//! What mfbase adds: what the plugin wants of the data base and of the storage.

use super::ValueKind::{Bool, Enum, String};
use super::{KeySchema, Table, key};

pub(super) const TABLES: &[Table] = &[Table::of("general", &[GENERAL])];

const GENERAL: &[KeySchema] = &[
    key("_use_postgresql", Bool).default("0"),
    key("_use_storage", Bool).default("0"),
    key("storage_access_allows", String).default("all"),
    key("storage_auth_passwd_filename", String),
    key("storage_satisfy", Enum(&["any", "all"])).default("any"),
    key("storage_forbidden_dav_methods", String),
    key("storage_dav_access", String),
    key("storage_autoindex_format", String).default("html"),
];
