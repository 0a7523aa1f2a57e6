//! What mfserv adds: web applications behind nginx.

use super::ValueKind::{Bool, Enum, FileOrNull, Int, Routes, String, Vhosts};
use super::{KeySchema, Table, key};

pub(super) const TABLES: &[Table] = &[
    Table::of("general", &[GENERAL]),
    Table::of("app_*", &[APP]),
    Table::of("internal", &[&[key("disable_nginx_conf", Bool).default("false")]]),
];

const GENERAL: &[KeySchema] = &[
    key("_extra_nginx_http_conf_filename", FileOrNull).default("null"),
    key("_extra_nginx_server_conf_filename", FileOrNull).default("null"),
    key("_extra_nginx_init_worker_by_lua_block_filename", FileOrNull).default("null"),
    key("_add_plugin_dir_to_lua_path", Bool).default("true"),
];

const APP: &[KeySchema] = &[
    key("smart_stop_signal", Int).default("15"),
    key("smart_stop_delay", Int).default("3"),
    key("smart_start_delay", Int).default("3"),
    key("smart_start_timeout", Int).default("0"),
    key("timeout", Int).default("0").was(&["proxy_timeout"]),
    key("_debug_extra_options", String),
    key("_prefix_based_routing", Bool).default("true"),
    key("_virtualdomain_based_routing", Bool).default("false"),
    key("virtualdomain_based_routing_extra_vhosts", Vhosts),
    key("_static_routing", Bool).default("true"),
    key("_static_url_prefix", String).default("/static"),
    key("_static_directory", String).default("/static"),
    key("prefix_based_routing_extra_routes", Routes),
    key("_gateway_interface_mode", Enum(&["proxy", "fastcgi"])).default("proxy"),
    key("_extra_nginx_conf_filename", FileOrNull).default("null"),
    key("_extra_nginx_conf_static_filename", FileOrNull).default("null"),
    key("_http_test_endpoint", String),
    key("_http_test_expected_status_code", Int).default("200"),
    key("_http_test_expected_body", String).default("OK"),
    key("_http_test_timeout", Int).default("10"),
];
