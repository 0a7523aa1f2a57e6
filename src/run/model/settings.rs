//! What the module's own `config.ini` says of running: the port, the limits, the logs.
//!
//! Later wins: our defaults; the variables `{MODULE}_{SECTION}_{KEY}` of a loaded MetWork; `config/config.ini` of the
//! module's home, then of its runtime home; `/etc/metwork.config.d/{module}/config.ini`.

mod data;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::RedisAddress;
use crate::error::{Error, Result};
use crate::fs::Rotation;
use crate::plugin::Module;
use crate::plugin::config::{ModuleSettings, Setting};
use crate::site::Site;
use crate::text;

pub use data::{DataSettings, GUESS_FILE_TYPE, InternalPlugins, Kept, SWITCH, Workload};

/// Where systemd-journald listens.
const JOURNALD: &str = "/run/systemd/journal/socket";

/// The settings of one module on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub nginx: NginxSettings,
    pub log: LogSettings,
    pub supervisor: SupervisorSettings,
    pub redis: RedisSettings,
    pub systemd: SystemdSettings,
    pub data: DataSettings,
    /// Whether edits of devlinked plugins restart them.
    pub autorestart: bool,
    /// What the files say, as variables, what is for others than us included.
    variables: BTreeMap<String, String>,
    /// Keys that are mistaken ones of these, with their place.
    pub slips: Vec<String>,
}

/// Section `[nginx]`, by the names that MetWork has for the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NginxSettings {
    /// `flag`: whether there is an nginx at all.
    pub flag: bool,
    pub port: u16,
    /// `listen`: the address to listen at; all of them where there is none. Ours: MetWork has no such key.
    pub listen: Option<String>,
    pub workers: u64,
    /// Seconds for one request.
    pub timeout: u64,
    /// Megabytes.
    pub upload_max_body_size: u64,
    pub logging: bool,
    pub add_request_id_header: bool,
    pub accept_incoming_request_id_header: bool,
    pub add_x_forwarded_headers: bool,
    /// `None` for no such endpoint.
    pub health_location: Option<String>,
    pub proxy_ignore_client_abort: bool,
    pub real_ip: bool,
    pub real_ip_recursive: bool,
    pub real_ip_header: String,
    /// Addresses and networks.
    pub real_ip_set_from: Vec<String>,
    /// `fragments_allowed`: the plugins whose fragments may answer for others. Ours.
    pub fragments_allowed: Vec<String>,
    /// `gzip`: whether texts are compressed. Ours.
    pub gzip: bool,
    pub server_tokens: bool,
    pub port_in_redirect: bool,
    pub https_port: Option<u16>,
    pub ssl_certificate: String,
    pub ssl_certificate_key: String,
    pub ssl_ciphers: String,
    pub ssl_protocols: String,
}

/// Section `[supervisor]`. Ours: MetWork has no such section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SupervisorSettings {
    /// How long a worker that is to take another's place may take to listen.
    pub start_timeout: Duration,
    /// Between two starts that failed, at most.
    pub backoff_max: Duration,
    /// How often apps that have a test are asked whether they hang; zero for never.
    pub health_interval: Duration,
    /// Where metrics are served on the loopback, besides the socket.
    pub metrics_port: Option<u16>,
}

/// Section `[redis]`, of mfdata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisSettings {
    /// An existing one, which several machines may share, instead of one of the module. Ours.
    pub address: Option<RedisAddress>,
    /// Where that of the module listens on the loopback, besides its socket.
    pub port: Option<u16>,
    /// Megabytes.
    pub max_memory: u64,
}

/// Section `[systemd]`: what `mwp systemd` writes. Ours: MetWork has no such section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemdSettings {
    /// Whether services may do no more than they need to.
    pub hardening: bool,
    /// What they write to, besides the runtime home and their own.
    pub writable_paths: Vec<PathBuf>,
}

/// Where what services write goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// A file each, in the `log` directory of the runtime home.
    File,
    /// The journal of the machine, under the name that the file would have.
    Journald { socket: PathBuf },
}

/// Section `[log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    pub target: LogTarget,
    /// Bytes; 0 for no limit.
    pub max_size_before_rotation: u64,
    /// Zero for no limit.
    pub max_age_before_rotation: Duration,
    /// How many old logs are kept, at least one: one a day, unless they grow too large.
    pub retention: u64,
    pub try_to_split_stdout_stderr: bool,
    pub try_to_split_multiple_workers: bool,
}

impl LogSettings {
    pub fn rotation(&self) -> Rotation {
        Rotation {
            max_size: self.max_size_before_rotation,
            max_age: self.max_age_before_rotation,
            kept: usize::try_from(self.retention.max(1)).unwrap_or(usize::MAX),
        }
    }
}

impl Settings {
    pub fn load(module: &Module, site: &Site) -> Result<Settings> {
        let given = ModuleSettings::of(module, site)?;
        Reader { given: &given, module, site, asked: RefCell::default() }.settings()
    }

    /// The site as the plugins of the module see it: the settings that their configuration depends on are variables.
    #[must_use]
    pub fn applied_to(&self, site: &Site, module: &Module) -> Site {
        let mut site = site.clone();
        for (name, value) in &self.variables {
            site.environment.set(name, value);
        }
        let mut set = |name: &str, value: String| {
            site.environment.set(format!("{}_{name}", module.upper()), value);
        };
        let flag = |value: bool| i32::from(value).to_string();
        if module.has_nginx() || module.takes_uploads() {
            set("NGINX_PORT", self.nginx.port.to_string());
            set("NGINX_TIMEOUT", self.nginx.timeout.to_string());
        }
        set("LOG_TRY_TO_SPLIT_STDOUT_STDERR", flag(self.log.try_to_split_stdout_stderr));
        set("LOG_TRY_TO_SPLIT_MULTIPLE_WORKERS", flag(self.log.try_to_split_multiple_workers));
        site
    }
}

struct Reader<'a> {
    given: &'a ModuleSettings,
    module: &'a Module,
    site: &'a Site,
    /// Every section and key that there is.
    asked: RefCell<BTreeSet<(String, String)>>,
}

impl Reader<'_> {
    fn settings(&self) -> Result<Settings> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
        // Others than its own machine may reach what takes files: it is asked for.
        let takes_uploads = self.module.takes_uploads();
        let nginx = NginxSettings {
            flag: self.flag("nginx", "flag", !takes_uploads)?,
            port: self.number("nginx", "port", if takes_uploads { 9091 } else { 18868 })?,
            listen: self.text("nginx", "listen"),
            workers: self.number("nginx", "workers", cores)?,
            timeout: self.number("nginx", "timeout", 60)?,
            upload_max_body_size: self.number("nginx", "upload_max_body_size", 100)?,
            logging: self.flag("nginx", "logging", true)?,
            add_request_id_header: self.flag("nginx", "add_request_id_header", true)?,
            accept_incoming_request_id_header: self.flag(
                "nginx",
                "accept_incoming_request_id_header",
                false,
            )?,
            add_x_forwarded_headers: self.flag("nginx", "add_x_forwarded_headers", true)?,
            health_location: match self.raw("nginx", "health_location") {
                Some((value, _)) => Some(value).filter(|value| !is_null(value)),
                None => Some("/__health".to_owned()),
            },
            proxy_ignore_client_abort: self.flag("nginx", "proxy_ignore_client_abort", true)?,
            real_ip: self.flag("nginx", "real_ip", false)?,
            real_ip_recursive: self.flag("nginx", "real_ip_recursive", true)?,
            real_ip_header: self
                .text("nginx", "real_ip_header")
                .unwrap_or_else(|| "X-Forwarded-For".to_owned()),
            real_ip_set_from: self
                .text("nginx", "real_ip_set_from")
                .unwrap_or_else(|| "172.16.0.0/12,192.168.0.0/16,10.0.0.0/8".to_owned())
                .split(',')
                .map(|address| address.trim().to_owned())
                .filter(|address| !is_null(address))
                .collect(),
            fragments_allowed: self
                .text("nginx", "fragments_allowed")
                .unwrap_or_default()
                .split(',')
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty())
                .collect(),
            gzip: self.flag("nginx", "gzip", true)?,
            server_tokens: self.flag("nginx", "server_tokens", true)?,
            port_in_redirect: self.flag("nginx", "port_in_redirect", true)?,
            https_port: match self.text("nginx", "https_port") {
                Some(_) => Some(self.number("nginx", "https_port", 0)?),
                None => None,
            },
            ssl_certificate: self.text("nginx", "ssl_certificate").unwrap_or_default(),
            ssl_certificate_key: self.text("nginx", "ssl_certificate_key").unwrap_or_default(),
            ssl_ciphers: self.text("nginx", "ssl_ciphers").unwrap_or_else(|| "HIGH:!aNULL:!MD5".to_owned()),
            ssl_protocols: self
                .text("nginx", "ssl_protocols")
                .unwrap_or_else(|| "TLSv1.2 TLSv1.3".to_owned()),
        };
        let log = LogSettings {
            target: self.log_target()?,
            max_size_before_rotation: self.limit("log", "max_size_before_rotation", 100_000_000)?,
            max_age_before_rotation: Duration::from_secs(self.limit(
                "log",
                "max_age_before_rotation",
                86_400,
            )?),
            retention: self.limit("log", "retention", 5)?,
            try_to_split_stdout_stderr: self.flag("log", "try_to_split_stdout_stderr", false)?,
            try_to_split_multiple_workers: self.flag("log", "try_to_split_multiple_workers", false)?,
        };
        let seconds = |key, default| self.number("supervisor", key, default).map(Duration::from_secs);
        let supervisor = SupervisorSettings {
            start_timeout: seconds("start_timeout", 60)?,
            backoff_max: seconds("backoff_max", 60)?,
            health_interval: seconds("health_interval", 10)?,
            metrics_port: match self.text("supervisor", "metrics_port") {
                Some(_) => Some(self.number("supervisor", "metrics_port", 0)?),
                None => None,
            },
        };
        let redis = RedisSettings {
            address: self.redis_address()?,
            port: Some(self.number("redis", "port", 0)?).filter(|port| *port != 0),
            max_memory: self.number("redis", "max_memory", 2048)?,
        };
        let systemd = SystemdSettings {
            hardening: self.flag("systemd", "hardening", true)?,
            writable_paths: self.paths("systemd", "writable_paths")?,
        };
        let data = self.data()?;
        let autorestart = self.flag("autorestart", "flag", true)?;
        Ok(Settings {
            nginx,
            log,
            supervisor,
            redis,
            systemd,
            data,
            autorestart,
            slips: self.slips(),
            variables: self.given.variables(self.module),
        })
    }

    /// Keys that nobody asks for and that look like one that is asked for. Others are for the other parts of MetWork.
    fn slips(&self) -> Vec<String> {
        let asked = self.asked.borrow();
        let unknown = self
            .given
            .iter()
            .filter(|(section, key, _)| !asked.contains(&((*section).to_owned(), (*key).to_owned())));
        let slip = |(section, key, setting): (&str, &str, &Setting)| {
            let known = asked.iter().filter(|(of, _)| of == section).map(|(_, key)| key.as_str());
            let nearest = text::nearest(key, known)?;
            let place = text::place(&setting.file, setting.line, None);
            Some(format!(
                "{place}: [{section}] {}: there is no such key; did you mean `{nearest}`?",
                text::visible(key)
            ))
        };
        unknown.filter_map(slip).collect()
    }

    fn log_target(&self) -> Result<LogTarget> {
        let socket =
            self.text("log", "journald_socket").map_or_else(|| PathBuf::from(JOURNALD), PathBuf::from);
        let Some((value, place)) = self.raw("log", "target").filter(|(value, _)| !is_null(value)) else {
            return Ok(LogTarget::File);
        };
        match value.as_str() {
            "file" => Ok(LogTarget::File),
            "journald" => Ok(LogTarget::Journald { socket }),
            _ => Err(refuse(&place, &value, "`file` or `journald` is allowed")),
        }
    }

    fn redis_address(&self) -> Result<Option<RedisAddress>> {
        let Some((value, place)) = self.raw("redis", "address") else { return Ok(None) };
        RedisAddress::parse(&value).map_err(|allowed| refuse(&place, &value, allowed))
    }

    /// The value and where it was found.
    fn raw(&self, section: &str, key: &str) -> Option<(String, String)> {
        self.asked.borrow_mut().insert((section.to_owned(), key.to_owned()));
        if let Some(setting) = self.given.get(section, key) {
            let place = format!("{}: [{section}] {key}", text::place(&setting.file, setting.line, None));
            return Some((setting.value.trim().to_owned(), place));
        }
        let name = format!("{}_{}_{}", self.module.upper(), section.to_uppercase(), key.to_uppercase());
        let value = self.site.environment.text(&name)?;
        Some((value.trim().to_owned(), format!("the variable `{name}`")))
    }

    fn text(&self, section: &str, key: &str) -> Option<String> {
        self.raw(section, key).map(|(value, _)| value).filter(|value| !is_null(value))
    }

    /// Absolute paths with commas between them.
    fn paths(&self, section: &str, key: &str) -> Result<Vec<PathBuf>> {
        let Some((value, place)) = self.raw(section, key).filter(|(value, _)| !is_null(value)) else {
            return Ok(Vec::new());
        };
        let paths = value.split(',').map(str::trim).filter(|path| !path.is_empty());
        let path = |path: &str| match path.starts_with('/') {
            true => Ok(PathBuf::from(path)),
            false => Err(refuse(&place, path, "absolute paths with commas between them are allowed")),
        };
        paths.map(path).collect()
    }

    fn flag(&self, section: &str, key: &str, default: bool) -> Result<bool> {
        let Some((value, place)) = self.raw(section, key).filter(|(value, _)| !is_null(value)) else {
            return Ok(default);
        };
        match value.to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "y" | "t" => Ok(true),
            "0" | "false" | "no" | "n" | "f" => Ok(false),
            _ => Err(refuse(&place, &value, "0 or 1 is allowed")),
        }
    }

    fn number<T: std::str::FromStr>(&self, section: &str, key: &str, default: T) -> Result<T> {
        let Some((value, place)) = self.raw(section, key).filter(|(value, _)| !is_null(value)) else {
            return Ok(default);
        };
        let largest = if size_of::<T>() == size_of::<u16>() { " up to 65535" } else { "" };
        value.parse().map_err(|_| refuse(&place, &value, &format!("a whole number{largest} is allowed")))
    }

    /// A number where 0 and less mean that there is no limit.
    fn limit(&self, section: &str, key: &str, default: i64) -> Result<u64> {
        Ok(self.number(section, key, default)?.try_into().unwrap_or(0))
    }
}

fn is_null(value: &str) -> bool {
    value.is_empty() || value == "null"
}

fn refuse(place: &str, value: &str, allowed: &str) -> Error {
    Error::input(format!("{place}: found `{}`; {allowed}", text::visible(value)))
        .hint("mend the value, then run the same command again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs;
    use crate::site::Environment;

    fn site(root: &std::path::Path) -> Site {
        let mut environment = Environment::default();
        environment.set("MFMODULE_RUNTIME_HOME", root.join("runtime"));
        environment.set("MWP_ETC_DIR", root.join("etc"));
        environment.set("MFSERV_NGINX_TIMEOUT", "90");
        Site::new(environment)
    }

    #[test]
    fn files_win_over_variables_and_variables_over_defaults() {
        let root = tempfile::tempdir().unwrap();
        let module = Module::parse("mfserv").unwrap();
        let site = site(root.path());
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write_atomic(&path, text.as_bytes()).unwrap();
        };
        let settings = Settings::load(&module, &site).unwrap();
        assert_eq!((settings.nginx.port, settings.nginx.timeout), (18868, 90));
        write("runtime/config/config.ini", "[nginx]\nport=8000\ntimeout=30\nhttps_port=null\n[other]\nx=1\n");
        write("etc/metwork.config.d/mfserv/config.ini", "[nginx]\nport=8080\n[log]\nretention=-1\n");
        let settings = Settings::load(&module, &site).unwrap();
        assert_eq!((settings.nginx.port, settings.nginx.timeout), (8080, 30));
        assert_eq!((settings.nginx.https_port, settings.log.retention), (None, 0));
        let applied = settings.applied_to(&site, &module);
        assert_eq!(applied.environment.text("MFSERV_NGINX_TIMEOUT"), Some("30"));
    }

    #[test]
    fn a_bad_value_is_refused_with_its_place() {
        let root = tempfile::tempdir().unwrap();
        let module = Module::parse("mfserv").unwrap();
        let path = root.path().join("runtime/config/config.ini");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        for (text, expected) in [
            (
                "[nginx]\nport=80800\n",
                "config.ini:2: [nginx] port: found `80800`; a whole number up to 65535",
            ),
            ("[nginx]\nflag=maybe\n", "[nginx] flag: found `maybe`; 0 or 1 is allowed"),
        ] {
            fs::write_atomic(&path, text.as_bytes()).unwrap();
            let error = Settings::load(&module, &site(root.path())).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
