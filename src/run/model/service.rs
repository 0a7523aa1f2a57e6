//! The neutral process model: what an installed plugin wants to have running, whoever runs it.
//!
//! A plugin has services – apps, steps, extra daemons – and a service has workers, numbered from 1. The supervisor,
//! the systemd units and `circus.ini` are made of this and of nothing else.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::command::CommandLine;
use super::retries;
use super::step::StepPlaceholders;
use crate::error::{Error, Result};
use crate::plugin::config::Section;
use crate::plugin::{Module, Plugin, PluginName};
use crate::site::Site;
use crate::text;

/// What a service is to the module; decides the name of its logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceKind {
    App,
    Step,
    Extra,
    /// A program of the module itself, such as nginx.
    Module,
}

impl ServiceKind {
    /// What sections of `config.ini` begin with, for those that have any.
    fn section_prefix(self) -> &'static str {
        match self {
            ServiceKind::App => "app_",
            ServiceKind::Step => "step_",
            ServiceKind::Extra => "extra_daemon_",
            ServiceKind::Module => "",
        }
    }

    /// As in `app_hello_main.log`.
    pub fn word(self) -> &'static str {
        match self {
            ServiceKind::App => "app",
            ServiceKind::Step => "step",
            ServiceKind::Extra => "extra",
            ServiceKind::Module => "module",
        }
    }
}

/// Which service: unique within a module.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServiceId {
    pub plugin: String,
    pub kind: ServiceKind,
    pub name: String,
}

impl ServiceId {
    /// As files are named: `app_hello_main`.
    pub fn file_stem(&self) -> String {
        match self.kind {
            ServiceKind::Module => self.name.clone(),
            kind => format!("{}_{}_{}", kind.word(), self.plugin, self.name),
        }
    }

    /// The control group that it shares with the plugin's other services.
    pub fn group(&self) -> String {
        match self.kind {
            ServiceKind::Module => format!("module-{}", self.name),
            _ => group_of(&self.plugin),
        }
    }

    /// The section of the plugin's `config.ini`: `app_main`.
    pub fn section(&self) -> String {
        format!("{}{}", self.kind.section_prefix(), self.name)
    }
}

/// The control group of a plugin.
pub(in crate::run) fn group_of(plugin: &str) -> String {
    format!("plugin-{plugin}")
}

/// As people write it: `hello/main`.
impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ServiceKind::Module => f.write_str(&self.name),
            _ => write!(f, "{}/{}", self.plugin, self.name),
        }
    }
}

/// A command that is to run so many times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    pub id: ServiceId,
    /// The plugin's home: where the command starts.
    pub home: PathBuf,
    pub command: CommandLine,
    /// How many workers; 0 for none.
    pub workers: u32,
    pub debug: bool,
    pub limits: Limits,
    pub stop: Stop,
    pub readiness: Readiness,
    /// How long a new worker may take to listen; `None` for what the module says.
    pub start_timeout: Option<Duration>,
    /// A worker is replaced at an age between this and twice this.
    pub max_age: Option<Duration>,
    /// Standard output and standard error go to two files.
    pub split_streams: bool,
    /// Each worker has files of its own.
    pub split_workers: bool,
    /// Whether what listens is asked in HTTP, and not in FastCGI.
    pub speaks_http: bool,
    /// How to ask a worker of an app whether it is well.
    pub health: Option<HealthTest>,
}

/// Limits of one worker; `None` for those of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Bytes.
    pub address_space: Option<u64>,
    pub open_files: Option<u64>,
    /// Bytes.
    pub stack: Option<u64>,
    /// Bytes.
    pub file_size: Option<u64>,
}

/// How a worker is stopped: no new requests, those under way are waited for, a signal, a delay, and the end of
/// whatever is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// How long requests under way are waited for.
    pub drain: Duration,
    pub signal: i32,
    /// Between the signal and the kill.
    pub delay: Duration,
}

/// When a worker does its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// As soon as it runs; two of them would do the work twice.
    AtOnce,
    /// Once it accepts connections on a socket of its own; it can run beside its successor.
    Socket,
    /// Once it has started processes of its own.
    Children,
}

/// A request that a well app answers as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthTest {
    /// The whole path, as nginx hands it to the app.
    pub path: String,
    pub status: u16,
    pub body: String,
    pub timeout: Duration,
}

/// More are a slip of somebody's hand, and would take the machine down.
const MOST_WORKERS: i64 = 1000;

/// SIGTERM, SIGKILL and the like are at most this.
const LAST_SIGNAL: i64 = 64;

/// What a path of a socket may have, less the end of text and what the supervisor appends while a new worker starts.
const MAX_PATH: usize = 107 - 8;

/// Whether a worker's socket may have this path.
pub fn check_socket(path: &Path) -> Result<()> {
    let length = path.as_os_str().len();
    if length <= MAX_PATH {
        return Ok(());
    }
    Err(Error::input(format!(
        "the path of the socket {} has {length} bytes; at most {MAX_PATH} are allowed",
        text::path(path)
    ))
    .hint("use a shorter runtime home (MFMODULE_RUNTIME_HOME), or shorter names"))
}

impl Service {
    /// Every service of a plugin, in the order of its configuration; those without a command (static apps) have no
    /// processes and are left out.
    pub fn of_plugin(plugin: &Plugin, site: &Site) -> Result<Vec<Service>> {
        let mut services = Vec::new();
        for (section, kind, service) in Service::sections(plugin, site) {
            let Some(service) = service.transpose()? else { continue };
            let gives_back = kind == ServiceKind::Step
                && plugin.label.module == Module::Mfdata
                && retries::are_wanted(section);
            let retries = gives_back.then(|| retries::service_for(&service, plugin, section, site));
            for service in std::iter::once(service).chain(retries) {
                if let Some(known) = services.iter().find(|known: &&Service| known.id == service.id) {
                    return Err(Error::input(format!(
                        "{}: the step `{}` is there already, and retries of another need that name",
                        text::path(&plugin.dir),
                        known.id.name
                    ))
                    .hint("rename the step that ends in `_reinject`"));
                }
                services.push(service);
            }
        }
        Ok(services)
    }

    /// Every section that a service can come of, with its kind and, where it has a command, the service or what is
    /// wrong with it.
    pub fn sections<'p>(
        plugin: &'p Plugin,
        site: &Site,
    ) -> Vec<(&'p Section, ServiceKind, Option<Result<Service>>)> {
        let kinds = [ServiceKind::App, ServiceKind::Step, ServiceKind::Extra];
        let mut found = Vec::new();
        for section in &plugin.config.sections {
            let kind = kinds.into_iter().find(|kind| section.name.starts_with(kind.section_prefix()));
            let (Some(kind), Some(name)) = (kind, &section.instance) else { continue };
            let has_command = !section.text("_cmd_and_args").trim().is_empty();
            let service = has_command.then(|| Service::of_section(plugin, section, kind, name, site));
            found.push((section, kind, service));
        }
        found
    }

    fn of_section(
        plugin: &Plugin,
        section: &Section,
        kind: ServiceKind,
        name: &str,
        site: &Site,
    ) -> Result<Service> {
        let label = &plugin.label;
        let workers = section.int("numprocesses");
        if !(0..=MOST_WORKERS).contains(&workers) {
            return Err(out_of_range(
                plugin,
                section,
                "numprocesses",
                workers,
                "0 to 1000 workers are allowed",
            ));
        }
        let debug = section.bool("debug");
        let is_step = kind == ServiceKind::Step && label.module == Module::Mfdata;
        let step = is_step.then(|| StepPlaceholders::new(plugin, section, name, site));
        let written = section.text("_cmd_and_args");
        let command = CommandLine::parse(written, name, plugin, section, step.as_ref())?;
        let seconds = |key: &str| Duration::from_secs(section.int(key).try_into().unwrap_or(0));
        let limit = |key: &str| u64::try_from(section.int(key)).ok().filter(|value| *value > 0);
        let is_web_app = kind == ServiceKind::App && label.module.has_nginx();
        let stop = if is_web_app {
            let signal = section.int("smart_stop_signal");
            if !(1..=LAST_SIGNAL).contains(&signal) {
                let allowed = format!("the number of a signal, from 1 to {LAST_SIGNAL}, is allowed");
                return Err(out_of_range(plugin, section, "smart_stop_signal", signal, &allowed));
            }
            Stop {
                drain: seconds("timeout"),
                signal: i32::try_from(signal).unwrap_or(15),
                delay: seconds("smart_stop_delay"),
            }
        } else {
            // A step may work on a file as long as its time-out says.
            let own = seconds("timeout");
            let delay =
                if kind == ServiceKind::Step && !own.is_zero() { own } else { seconds("graceful_timeout") };
            Stop { drain: Duration::ZERO, signal: 15, delay }
        };
        let readiness = if command.uses_socket() { Readiness::Socket } else { Readiness::AtOnce };
        let health = is_web_app.then(|| HealthTest::of_section(&label.name, name, section)).flatten();
        Ok(Service {
            id: ServiceId { plugin: label.name.to_string(), kind, name: name.to_owned() },
            home: plugin.dir.clone(),
            command,
            workers: workers.try_into().unwrap_or(0),
            debug,
            limits: Limits {
                address_space: limit("rlimit_as"),
                open_files: limit("rlimit_nofile"),
                stack: limit("rlimit_stack"),
                file_size: limit("rlimit_fsize"),
            },
            stop,
            readiness,
            start_timeout: Some(seconds("smart_start_timeout"))
                .filter(|timeout| is_web_app && !timeout.is_zero()),
            max_age: Some(seconds("max_age")).filter(|age| !age.is_zero()),
            split_streams: section.bool("log_split_stdout_stderr"),
            split_workers: section.bool("log_split_multiple_workers"),
            speaks_http: is_web_app && section.text("_gateway_interface_mode") != "fastcgi",
            health,
        })
    }

    /// A program of the module itself, of which one runs.
    pub(in crate::run) fn of_module(
        name: &str,
        home: PathBuf,
        words: Vec<String>,
        stop: Stop,
        readiness: Readiness,
    ) -> Service {
        Service {
            id: ServiceId { plugin: String::new(), kind: ServiceKind::Module, name: name.to_owned() },
            home,
            command: CommandLine::of_words(words),
            workers: 1,
            debug: false,
            limits: Limits::default(),
            stop,
            readiness,
            start_timeout: None,
            max_age: None,
            split_streams: false,
            split_workers: false,
            speaks_http: false,
            health: None,
        }
    }

    /// Whether its workers listen on sockets of their own.
    pub fn listens(&self) -> bool {
        self.command.uses_socket()
    }

    /// How long its stop takes at most.
    pub fn longest_stop(&self) -> Duration {
        let drain = if self.listens() { self.stop.drain } else { Duration::ZERO };
        drain + self.stop.delay
    }

    /// Where requests reach a worker; `var` is that of the module's runtime home.
    pub fn socket(&self, worker: u32, var: &Path) -> PathBuf {
        var.join(format!("{}_{worker}.socket", self.id.file_stem()))
    }

    /// The files that a worker's standard output and standard error go to; `log` is that of the runtime home.
    pub fn logs(&self, worker: u32, log: &Path) -> [PathBuf; 2] {
        self.log_names(&worker.to_string()).map(|name| log.join(name))
    }

    /// The names of those files.
    pub fn log_names(&self, worker: &str) -> [String; 2] {
        let stem = self.id.file_stem();
        let stem = if self.split_workers { format!("{stem}_worker{worker}") } else { stem };
        let endings = if self.split_streams { ["stdout", "stderr"] } else { ["log", "log"] };
        endings.map(|ending| format!("{stem}.{ending}"))
    }
}

/// A number that is none of those allowed, with its place.
fn out_of_range(plugin: &Plugin, section: &Section, key: &str, found: i64, allowed: &str) -> Error {
    let place = match section.entry(key).and_then(|entry| entry.origin.as_ref()) {
        Some(origin) => text::place(&origin.file, origin.line, Some(origin.column)),
        None => text::path(&plugin.dir),
    };
    Error::input(format!("{place}: [{}] {key}: found {found}; {allowed}", section.name))
        .hint("mend the value there")
}

impl HealthTest {
    /// The endpoint is one of the app: a path that does not start with the plugin's own is put behind the app's.
    fn of_section(plugin: &PluginName, app: &str, section: &Section) -> Option<HealthTest> {
        let endpoint = section.text("_http_test_endpoint").trim();
        if endpoint.is_empty() {
            return None;
        }
        let slash = if endpoint.starts_with('/') { "" } else { "/" };
        let endpoint = format!("{slash}{endpoint}");
        let own = format!("/{plugin}");
        let is_whole = endpoint == own || endpoint.starts_with(&format!("{own}/"));
        Some(HealthTest {
            path: if is_whole { endpoint } else { format!("{own}/{app}{endpoint}") },
            status: section.int("_http_test_expected_status_code").try_into().unwrap_or(200),
            body: section.text("_http_test_expected_body").to_owned(),
            timeout: Duration::from_secs(section.int("_http_test_timeout").try_into().unwrap_or(0)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs;
    use crate::site::Environment;

    fn services(module: &str, sections: &str) -> Result<Vec<Service>> {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("my plugins/hello");
        fs::create_dir_all(&dir).unwrap();
        let general = "[general]\n_version=1\n_summary=x\n_license=x\n_url=x\n_maintainer=x\n_vendor=x\n";
        let label = format!("plugin_hello@{module}\n");
        for (name, content) in [
            (".layerapi2_label", label.as_str()),
            (".plugin_format_version", "1.0.0\n"),
            ("config.ini", &format!("{general}{sections}")),
        ] {
            fs::write_atomic(&dir.join(name), content.as_bytes()).unwrap();
        }
        let plugin = Plugin::load(&dir, &Site::new(Environment::default())).unwrap();
        Service::of_plugin(&plugin, &Site::new(Environment::default()))
    }

    #[test]
    fn a_step_is_called_with_its_queue_its_policy_and_the_values_of_custom() {
        let custom = "[custom]\ndest_dir=/a b/c\nkind-of=x\n";
        let words = |section: &str| {
            let mut found = services("mfdata", &format!("[step_main]\n{section}{custom}"))?;
            Ok(found.remove(0).command.words("1", Path::new("")))
        };
        let runtime = Site::new(Environment::default()).runtime_home(&Module::Mfdata);
        let socket = format!("--redis-unix-socket-path={}/var/redis.socket", runtime.display());
        let step = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            words("_cmd_and_args=run --x={CUSTOM_DEST_DIR} --k={CUSTOM_KIND_OF} {STANDARD_STEP_ARGUMENTS}\n")
                .unwrap(),
            step(&["run", "--x=/a b/c", "--k=x", "--step-name=main", &socket, "step.hello.main"])
        );
        assert_eq!(
            words(
                "_cmd_and_args=run {STANDARD_STEP_ARGUMENTS}\nfailure_policy=move\n\
                 failure_policy_move_dest_dir=/it's here\n"
            )
            .unwrap(),
            step(&[
                "run",
                "--failure-policy=move",
                "--failure-policy-move-dest-dir=/it's here",
                "--step-name=main",
                &socket,
                "step.hello.main"
            ])
        );
        let dir = format!("{}/var/in/step.hello.main", runtime.display());
        let single = "_cmd_and_args=run {MFDATA_CURRENT_STEP_NAME} {MFDATA_CURRENT_STEP_QUEUE} {MFDATA_CURRENT_STEP_DIR}\n";
        assert_eq!(words(single).unwrap(), step(&["run", "main", "step.hello.main", &dir]));
        let refused = |section: &str| -> String {
            let result: Result<Vec<String>> = words(section);
            result.unwrap_err().to_string()
        };
        assert!(
            refused("_cmd_and_args=run {CUSTOM_NONE}\n")
                .contains("found `{CUSTOM_NONE}`, which is no placeholder")
        );
        let error =
            services("mfserv", "[app_main]\n_cmd_and_args=run {STANDARD_STEP_ARGUMENTS}\n").unwrap_err();
        assert!(error.to_string().contains("found `{STANDARD_STEP_ARGUMENTS}`"), "{error}");
        assert!(error.problems[0].hint.as_deref().unwrap().contains("steps of mfdata"), "{error}");
    }

    #[test]
    fn placeholders_stay_one_word_and_options_are_several() {
        let config = "[app_main]\n_cmd_and_args=run \"{plugin_dir}/{app_name}\" --socket={unix_socket_path} \
                      {timeout} {debug_extra_options} 'a b' $(circus.wid)\n_debug_extra_options=-v --deep\n";
        let words = |config: &str| {
            let service = services("mfserv", config).unwrap().remove(0);
            let words = service.command.words("2", Path::new("/a b/s"));
            words
                .into_iter()
                .map(|word| word.replace(&*service.home.to_string_lossy(), "HOME"))
                .collect::<Vec<_>>()
        };
        assert_eq!(words(config), ["run", "HOME/main", "--socket=/a b/s", "60", "a b", "2"]);
        let debug = format!("{config}debug=1\nnumprocesses=7\n");
        assert_eq!(words(&debug), ["run", "HOME/main", "--socket=/a b/s", "60", "-v", "--deep", "a b", "2"]);
        assert_eq!(services("mfserv", &debug).unwrap()[0].workers, 1);
    }

    #[test]
    fn quotes_go_in_pairs() {
        let error = services("mfserv", "[app_main]\n_cmd_and_args=sh -c 'open\n").unwrap_err();
        assert!(
            error.to_string().contains("[app_main] _cmd_and_args: found `sh -c 'open`; quotes go in pairs")
        );
    }

    #[test]
    fn each_kind_has_its_own_way_to_stop_and_its_own_logs() {
        let found = services(
            "mfserv",
            "[app_main]\n_cmd_and_args=x {unix_socket_path}\ntimeout=5\nsmart_stop_signal=2\nsmart_stop_delay=4\n\
             log_split_stdout_stderr=1\n[extra_daemon_foo]\n_cmd_and_args=x\ngraceful_timeout=7\n\
             log_split_multiple_workers=1\n[app_static]\n",
        );
        let found = found.unwrap();
        let [app, daemon] = found.as_slice() else { panic!("{found:?}") };
        let seconds = Duration::from_secs;
        assert_eq!(app.stop, Stop { drain: seconds(5), signal: 2, delay: seconds(4) });
        assert_eq!(daemon.stop, Stop { drain: seconds(0), signal: 15, delay: seconds(7) });
        assert!(app.listens() && !daemon.listens());
        let logs = |service: &Service| service.logs(3, Path::new("")).map(|path| path.display().to_string());
        assert_eq!(logs(app), ["app_hello_main.stdout", "app_hello_main.stderr"]);
        assert_eq!(logs(daemon), ["extra_hello_foo_worker3.log", "extra_hello_foo_worker3.log"]);
        assert_eq!(app.socket(3, Path::new("/var")), Path::new("/var/app_hello_main_3.socket"));
    }

    #[test]
    fn a_step_has_its_timeout_to_finish_what_it_works_on() {
        let found =
            services("mfdata", "[step_main]\n_cmd_and_args={plugin_dir}/main.py {step_name}\n").unwrap();
        assert_eq!(
            (found[0].id.file_stem().as_str(), found[0].stop.delay),
            ("step_hello_main", Duration::from_secs(600))
        );
    }

    #[test]
    fn an_endpoint_is_below_the_app_unless_it_names_the_plugin() {
        for (endpoint, path) in [
            ("/ping", "/hello/main/ping"),
            ("ping?x=1", "/hello/main/ping?x=1"),
            ("/hello/ping", "/hello/ping"),
            ("/helloworld", "/hello/main/helloworld"),
        ] {
            let config = format!("[app_main]\n_cmd_and_args=x\n_http_test_endpoint={endpoint}\n");
            let service = services("mfserv", &config).unwrap().remove(0);
            assert_eq!(service.health.unwrap().path, path);
        }
    }

    #[test]
    fn a_signal_that_is_none_is_refused() {
        let error = services("mfserv", "[app_main]\n_cmd_and_args=x\nsmart_stop_signal=99\n").unwrap_err();
        assert!(error.to_string().contains("[app_main] smart_stop_signal: found 99; the number of a signal"));
    }

    #[test]
    fn a_path_that_is_too_long_for_a_socket_is_refused() {
        assert!(check_socket(&PathBuf::from("x".repeat(99))).is_ok());
        let error = check_socket(&PathBuf::from("x".repeat(100))).unwrap_err();
        assert!(error.to_string().contains("has 100 bytes; at most 99 are allowed"), "{error}");
    }
}
