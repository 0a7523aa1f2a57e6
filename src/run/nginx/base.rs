//! What of the configuration comes from the module's settings and the machine, and is the same for all plugins.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

use rustix::process::{Resource, getrlimit};
use serde::Serialize;

use super::running::{ACCESS_LOG, own_socket};
use super::syntax::{value, word};
use super::{BODY_FILE, bodies_dir, upload_socket};
use super::{Inputs, Nginx};
use crate::error::{Error, Result};
use crate::plugin::Module;
use crate::run::model::DataHome;
use crate::run::{LogTarget, NginxSettings, Settings};
use crate::site::Site;
use crate::text;

/// Connections of one nginx worker: two for each request under way.
const CONNECTIONS: u64 = 20_000;
/// Files that a worker has open beside its connections.
const OTHER_FILES: u64 = 100;
/// As long as the kernel lets the queue be.
const BACKLOG: u32 = 40_000;
const STATUS_LOCATION: &str = "/status";
/// Megabytes; more than any disk has, less than what nginx can count.
const MAX_BODY_SIZE: u64 = 1 << 30;
const MAX_WORKERS: u64 = 512;
/// Megabytes; nginx has 1024, which many slow clients would fill a disk with.
const TEMP_FILE_SIZE: u64 = 256;
/// Seconds; nginx counts in milliseconds.
const MAX_SHUTDOWN_TIMEOUT: u64 = 31_536_000;
/// The first nginx that has `http2 on`; later ones warn of the other form.
const HTTP2_DIRECTIVE_SINCE: [u32; 3] = [1, 25, 1];
/// The first nginx that has `$upstream_bytes_sent`.
const BYTES_SENT_SINCE: [u32; 3] = [1, 15, 8];

/// What is the same for all plugins; the template's variables.
#[derive(Debug, Serialize)]
pub(super) struct Base {
    module: String,
    user: Option<&'static str>,
    workers: String,
    open_files: Option<u64>,
    connections: u64,
    /// Seconds until a reload cuts what its old workers still have.
    shutdown_timeout: u64,
    /// Whether this nginx can tell what reached a worker.
    tells_reached: bool,
    /// What nginx keeps of its environment, for Lua.
    variables: Vec<String>,
    addresses: Vec<Listen>,
    ssl: Option<Ssl>,
    real_ip: Option<RealIp>,
    /// The networks of the proxies that are believed.
    trusted: Vec<String>,
    /// Where the access log goes, if there is one: a file, or a syslog server.
    access_log: Option<String>,
    has_uwsgi: bool,
    has_scgi: bool,
    body_size: u64,
    gzip: bool,
    /// How this nginx is told to speak HTTP/2, if it can.
    http2: Option<Http2>,
    /// Megabytes of one answer that wait on disk for a slow client.
    temp_file_size: u64,
    server_tokens: bool,
    port_in_redirect: bool,
    ignore_client_abort: bool,
    x_forwarded: bool,
    request_id: bool,
    accept_request_id: bool,
    backlog: u32,
    status_location: Option<String>,
    health_location: Option<String>,
    /// The modules that are loaded for Lua; `None` where no plugin has any.
    lua_modules: Option<Vec<String>>,
    upload: Option<Upload>,
    pub(super) plugins_base: String,
    #[serde(skip)]
    reserved: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Http2 {
    Directive,
    OptionOfListen,
}

#[derive(Debug, Serialize)]
struct Listen {
    address: String,
    ssl: bool,
}

/// How files come in.
#[derive(Debug, Serialize)]
struct Upload {
    /// Where nginx listens besides its port.
    listen: String,
    /// Where the bodies of requests are written.
    bodies: String,
    /// The header that says where one is.
    body_file: &'static str,
    /// Where it is decided what becomes of it.
    socket: String,
}

impl Upload {
    fn of(module: &Module, site: &Site) -> Upload {
        let var = site.runtime_home(module).join("var");
        let unix = |path: PathBuf| word(&format!("unix:{}", path.to_string_lossy()));
        Upload {
            listen: unix(own_socket(&var)),
            bodies: word(&bodies_dir(&DataHome::of(site).input).to_string_lossy()),
            body_file: BODY_FILE,
            socket: unix(upload_socket(&var)),
        }
    }
}

#[derive(Debug, Serialize)]
struct Ssl {
    certificate: String,
    key: String,
    ciphers: String,
    protocols: String,
}

#[derive(Debug, Serialize)]
struct RealIp {
    header: String,
    recursive: bool,
    from: Vec<String>,
}

impl Base {
    pub(super) fn new(nginx: &Nginx, inputs: &Inputs<'_>) -> Result<Base> {
        let Inputs { module, settings, site, .. } = *inputs;
        let log = access_log(module, settings)?;
        let settings = &settings.nginx;
        let limit = getrlimit(Resource::Nofile).maximum.unwrap_or(1 << 20);
        let has_status = nginx.has_extra_module("http_stub_status_module");
        let status = word(STATUS_LOCATION);
        let health = settings.health_location.as_deref();
        if let Some(health) = health
            && (!health.starts_with('/') || health == STATUS_LOCATION)
        {
            return Err(bad("health_location", health, "a path other than `/status`, or `null`, is allowed"));
        }
        Ok(Base {
            module: module.to_string(),
            // Its workers would be somebody else, who does not reach the sockets.
            user: rustix::process::geteuid().is_root().then_some("root"),
            workers: match settings.workers {
                0 => "auto".to_owned(),
                number => number.min(MAX_WORKERS).to_string(),
            },
            open_files: Some((CONNECTIONS + OTHER_FILES).min(limit)),
            connections: CONNECTIONS.min(limit.saturating_sub(OTHER_FILES)).max(16),
            // 0 would be for ever.
            shutdown_timeout: settings.timeout.clamp(1, MAX_SHUTDOWN_TIMEOUT),
            tells_reached: nginx.is_since(BYTES_SENT_SINCE),
            variables: Vec::new(),
            addresses: addresses(settings, is_development(inputs))?,
            ssl: ssl(settings)?,
            real_ip: real_ip(settings)?,
            trusted: trusted(settings),
            access_log: log,
            has_uwsgi: nginx.has_default_module("http_uwsgi_module"),
            has_scgi: nginx.has_default_module("http_scgi_module"),
            body_size: settings.upload_max_body_size.min(MAX_BODY_SIZE),
            gzip: settings.gzip && nginx.has_default_module("http_gzip_module"),
            http2: nginx.has_extra_module("http_v2_module").then(|| {
                if nginx.is_since(HTTP2_DIRECTIVE_SINCE) { Http2::Directive } else { Http2::OptionOfListen }
            }),
            temp_file_size: TEMP_FILE_SIZE,
            server_tokens: settings.server_tokens,
            port_in_redirect: settings.port_in_redirect,
            ignore_client_abort: settings.proxy_ignore_client_abort,
            x_forwarded: settings.add_x_forwarded_headers,
            request_id: settings.add_request_id_header,
            accept_request_id: settings.accept_incoming_request_id_header,
            backlog: BACKLOG,
            status_location: has_status.then_some(status),
            health_location: health.map(word),
            lua_modules: None,
            upload: module.takes_uploads().then(|| Upload::of(module, site)),
            plugins_base: site.plugins_base(module).to_string_lossy().into_owned(),
            reserved: std::iter::once(STATUS_LOCATION).chain(health).map(str::to_owned).collect(),
        })
    }

    /// Has nginx run Lua, if it can.
    pub(super) fn enable_lua(&mut self, nginx: &Nginx, site: &Site) {
        let Some(modules) = nginx.lua(site) else { return };
        self.lua_modules = Some(modules.iter().map(|path| word(&path.to_string_lossy())).collect());
        let is_name = |name: &&str| {
            name.starts_with("MF") && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let names = site.environment.iter().filter_map(|(name, _)| name.to_str()).filter(is_name);
        self.variables = names.map(str::to_owned).collect();
    }

    pub(super) fn has_lua(&self) -> bool {
        self.lua_modules.is_some()
    }

    pub(super) fn tells_reached(&self) -> bool {
        self.tells_reached
    }

    /// The paths that no plugin can have.
    pub(super) fn reserved(&self) -> Vec<&str> {
        self.reserved.iter().map(String::as_str).collect()
    }
}

/// The journal listens for syslog's messages beside its own socket.
fn access_log(module: &Module, settings: &Settings) -> Result<Option<String>> {
    if !settings.nginx.logging {
        return Ok(None);
    }
    let LogTarget::Journald { socket } = &settings.log.target else {
        return Ok(Some(format!("log/{ACCESS_LOG}")));
    };
    let server = socket.with_file_name("dev-log");
    match server.to_str().filter(|path| !path.contains(',')) {
        Some(path) => {
            Ok(Some(word(&format!("syslog:server=unix:{path},nohostname,tag={module}_nginx_access"))))
        }
        None => Err(Error::input(format!(
            "[log] journald_socket: found {}; nginx needs a path in UTF-8 without commas",
            text::path(socket)
        ))
        .hint("name another socket")),
    }
}

impl Base {
    pub(super) fn addresses(&self) -> BTreeSet<String> {
        self.addresses.iter().map(|listen| listen.address.clone()).collect()
    }
}

/// A developer's machine, whose neighbours are not to see what is being written: a plugin runs from the directory
/// that it is written in, and the runtime home is a user's own and not MetWork's.
fn is_development(inputs: &Inputs<'_>) -> bool {
    !inputs.site.has_given_runtime_home() && inputs.plugins.iter().any(|(plugin, _)| plugin.dir.is_symlink())
}

fn addresses(settings: &NginxSettings, is_development: bool) -> Result<Vec<Listen>> {
    let ports = [(Some(settings.port), false), (settings.https_port, true)];
    let ports =
        ports.into_iter().filter_map(|(port, ssl)| port.filter(|port| *port > 0).map(|port| (port, ssl)));
    let mut addresses = Vec::new();
    for (port, ssl) in ports {
        let mut add = |address: String| addresses.push(Listen { address, ssl });
        match settings.listen.as_deref() {
            None if is_development => {
                add(format!("127.0.0.1:{port}"));
                if has_ipv6() {
                    add(format!("[::1]:{port}"));
                }
            }
            None => {
                add(port.to_string());
                if has_ipv6() {
                    add(format!("[::]:{port}"));
                }
            }
            Some(listen) => match listen.trim_matches(['[', ']']).parse() {
                Ok(IpAddr::V4(address)) => add(format!("{address}:{port}")),
                Ok(IpAddr::V6(address)) => add(format!("[{address}]:{port}")),
                Err(_) if listen == "localhost" => add(format!("127.0.0.1:{port}")),
                Err(_) => {
                    return Err(bad(
                        "listen",
                        listen,
                        "an address of this machine such as `127.0.0.1` is allowed",
                    ));
                }
            },
        }
    }
    if addresses.is_empty() {
        return Err(bad("port", "0", "without an https_port, a port from 1 to 65535 is allowed"));
    }
    Ok(addresses)
}

fn has_ipv6() -> bool {
    crate::fs::read_optional(std::path::Path::new("/proc/net/if_inet6"))
        .is_ok_and(|table| table.is_some_and(|table| !table.is_empty()))
}

fn ssl(settings: &NginxSettings) -> Result<Option<Ssl>> {
    if settings.https_port.is_none_or(|port| port == 0) {
        return Ok(None);
    }
    for (key, file) in [
        ("ssl_certificate", &settings.ssl_certificate),
        ("ssl_certificate_key", &settings.ssl_certificate_key),
    ] {
        if file.is_empty() {
            return Err(bad(key, "", "with an https_port, the path of a PEM file is required"));
        }
    }
    let protocols: Vec<String> = settings.ssl_protocols.split_whitespace().map(word).collect();
    Ok(Some(Ssl {
        certificate: value(&settings.ssl_certificate),
        key: value(&settings.ssl_certificate_key),
        ciphers: word(&settings.ssl_ciphers),
        protocols: protocols.join(" "),
    }))
}

fn real_ip(settings: &NginxSettings) -> Result<Option<RealIp>> {
    if !settings.real_ip {
        return Ok(None);
    }
    let header = &settings.real_ip_header;
    if header.is_empty()
        || !header.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    {
        return Err(bad("real_ip_header", header, "the name of a header is allowed"));
    }
    Ok(Some(RealIp {
        header: header.clone(),
        recursive: settings.real_ip_recursive,
        from: settings.real_ip_set_from.iter().map(|address| word(address)).collect(),
    }))
}

/// Of the proxies in front, those that are addresses or networks: nginx compares nothing else.
fn trusted(settings: &NginxSettings) -> Vec<String> {
    let is_network = |text: &&String| {
        let (address, length) = text.split_once('/').unwrap_or((text, "0"));
        address.parse::<IpAddr>().is_ok() && length.parse::<u8>().is_ok()
    };
    settings.real_ip_set_from.iter().filter(|_| settings.real_ip).filter(is_network).cloned().collect()
}

fn bad(key: &str, found: &str, allowed: &str) -> Error {
    let found = if found.is_empty() { "nothing".to_owned() } else { format!("`{}`", text::visible(found)) };
    Error::input(format!("the module's configuration: [nginx] {key}: found {found}; {allowed}"))
        .hint("mend the value in the module's config/config.ini, then run the same command again")
}
