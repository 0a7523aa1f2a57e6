//! The generated configuration in a real nginx, with workers behind it that say what reached them.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::disallowed_methods)]

mod access_log;
mod fastcgi;
mod files;
mod fragments;
mod headers;
mod lua;
mod reload;
mod routes;
mod settings;
mod support;
mod upload;
mod workers;
mod wsgi;
