//! A module's status as metrics, in the text format of Prometheus (version 0.0.4).
//!
//! Names and units are as its conventions have them: `mwp_` in front, base units, `_total` for what only grows.

use std::fmt::Write;

use super::status::{ModuleStatus, QueueStatus, State, WorkerStatus};

/// What an HTTP answer says that this is.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const STATES: [(State, &str); 5] = [
    (State::Starting, "starting"),
    (State::Running, "running"),
    (State::Waiting, "waiting"),
    (State::Stopping, "stopping"),
    (State::Stopped, "stopped"),
];

type Labels<'a> = Vec<(&'static str, &'a str)>;
type Figure = fn(&WorkerStatus) -> Option<f64>;

/// Name, kind and meaning of what is known of each worker; `_total` goes with the kind.
const OF_WORKERS: [(&str, &str, &str, Figure); 10] = [
    ("restarts_total", "counter", "How often another process took its place, or tried to", |worker| {
        Some(number(worker.restarts))
    }),
    ("crashes_total", "counter", "How many restarts were because its process ended by itself", |worker| {
        Some(number(worker.crashes))
    }),
    ("cpu_seconds_total", "counter", "Processor time of its process and those below it", |worker| worker.cpu),
    ("memory_bytes", "gauge", "Memory of its process and those below it", |worker| worker.memory.map(number)),
    ("open_fds", "gauge", "Open file descriptors", |worker| worker.open_files.map(number)),
    ("connections", "gauge", "Clients that are connected to its socket", |worker| {
        worker.connections.map(number)
    }),
    ("uptime_seconds", "gauge", "How long its process has run", |worker| worker.uptime.map(number)),
    ("draining_processes", "gauge", "Processes that were replaced and have not ended yet", |worker| {
        Some(number(worker.draining.len() as u64))
    }),
    ("suspended", "gauge", "Whether a signal has stopped its process", |worker| Some(flag(worker.suspended))),
    ("outdated", "gauge", "Whether its successor could not take over", |worker| Some(flag(worker.outdated))),
];

type QueueFigure = fn(&QueueStatus) -> Option<f64>;

/// Likewise, of the files of each step of mfdata.
const OF_QUEUES: [(&str, &str, &str, QueueFigure); 5] = [
    ("waiting_files", "gauge", "Files in the directories of the step", |queue| Some(number(queue.waiting))),
    ("queued_files", "gauge", "Files in the list in redis", |queue| queue.queued.map(number)),
    ("oldest_file_seconds", "gauge", "How long the oldest file has waited", |queue| queue.oldest.map(number)),
    ("processed_files_total", "counter", "Files that the step took", |queue| queue.processed.map(number)),
    ("failed_files_total", "counter", "Files that it could not process", |queue| queue.failed.map(number)),
];

/// All of it, as text.
pub fn render(status: &ModuleStatus) -> String {
    let mut text = Text::default();
    let module = vec![("module", status.module.as_str())];
    text.family("mwp_module_up", "gauge", "Whether the module is up");
    text.sample(&module, 1.0);
    text.family("mwp_module_healthy", "gauge", "Whether all is well with the module and its plugins");
    text.sample(&module, flag(status.ok));
    text.family("mwp_module_uptime_seconds", "gauge", "How long the supervisor has run");
    text.sample(&module, number(status.uptime));

    plugins(status, &module, &mut text);

    let services = status
        .plugins
        .iter()
        .flat_map(|plugin| plugin.services.iter().map(move |service| (plugin.name.as_str(), service)));
    let numbered: Vec<(&str, &str, &str, String, &WorkerStatus)> = services
        .flat_map(|(plugin, service)| {
            let (kind, name) = (service.kind.word(), service.name.as_str());
            service.workers.iter().map(move |worker| (plugin, kind, name, worker.worker.to_string(), worker))
        })
        .collect();
    let workers = numbered.iter().map(|(plugin, kind, name, number, worker)| {
        let own = [("plugin", *plugin), ("kind", *kind), ("service", *name), ("worker", number.as_str())];
        (module.iter().copied().chain(own).collect(), *worker)
    });
    processes("worker", &workers.collect::<Vec<_>>(), &mut text);
    for (name, program) in [("nginx", &status.nginx), ("redis", &status.redis)] {
        let program: Vec<_> = program.iter().map(|program| (module.clone(), program)).collect();
        processes(name, &program, &mut text);
    }
    queues(status, &module, &mut text);
    text.0
}

fn queues(status: &ModuleStatus, module: &Labels<'_>, text: &mut Text) {
    let services = status.plugins.iter().flat_map(|plugin| {
        plugin.services.iter().filter_map(move |service| {
            let own = [("plugin", plugin.name.as_str()), ("step", service.name.as_str())];
            Some((module.iter().copied().chain(own).collect::<Labels<'_>>(), service.queue.as_ref()?))
        })
    });
    let queues: Vec<_> = services.collect();
    for (name, kind, help, figure) in OF_QUEUES {
        if queues.iter().any(|(_, queue)| figure(queue).is_some()) {
            text.family(&format!("mwp_step_{name}"), kind, help);
            for (labels, queue) in &queues {
                text.sample_where_known(labels, figure(queue));
            }
        }
    }
}

fn plugins(status: &ModuleStatus, module: &Labels<'_>, text: &mut Text) {
    if status.plugins.is_empty() {
        return;
    }
    text.family("mwp_plugin_info", "gauge", "The installed plugins");
    for plugin in &status.plugins {
        let own = [
            ("plugin", plugin.name.as_str()),
            ("version", plugin.version.as_str()),
            ("release", plugin.release.as_str()),
        ];
        text.sample(&module.iter().copied().chain(own).collect(), 1.0);
    }
    let of = |name| module.iter().copied().chain([("plugin", name)]).collect::<Labels<'_>>();
    text.family("mwp_plugin_healthy", "gauge", "Whether all is well with the plugin");
    for plugin in &status.plugins {
        text.sample(&of(&plugin.name), flag(plugin.ok));
    }
    if status.plugins.iter().any(|plugin| plugin.memory.is_some()) {
        text.family("mwp_plugin_memory_bytes", "gauge", "Memory of everything that the plugin has started");
        for plugin in &status.plugins {
            text.sample_where_known(&of(&plugin.name), plugin.memory.map(number));
        }
    }
    if status.plugins.iter().any(|plugin| plugin.cpu.is_some()) {
        let help = "Processor time of everything that the plugin has started";
        text.family("mwp_plugin_cpu_seconds_total", "counter", help);
        for plugin in &status.plugins {
            text.sample_where_known(&of(&plugin.name), plugin.cpu);
        }
    }
}

fn processes(what: &str, workers: &[(Labels<'_>, &WorkerStatus)], text: &mut Text) {
    if workers.is_empty() {
        return;
    }
    text.family(&format!("mwp_{what}_state"), "gauge", "1 for the state that it is in, 0 for the others");
    for (labels, worker) in workers {
        for (state, name) in STATES {
            let labels = labels.iter().copied().chain([("state", name)]).collect();
            text.sample(&labels, flag(worker.state == state));
        }
    }
    for (name, kind, help, figure) in OF_WORKERS {
        if !workers.iter().any(|(_, worker)| figure(worker).is_some()) {
            continue;
        }
        text.family(&format!("mwp_{what}_{name}"), kind, help);
        for (labels, worker) in workers {
            text.sample_where_known(labels, figure(worker));
        }
    }
}

#[derive(Default)]
struct Text(String, String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        name.clone_into(&mut self.1);
        // Writing into a string does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}.\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, labels: &Labels<'_>, value: f64) {
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let _ = writeln!(self.0, "{}{{{}}} {value}", self.1, labels.join(","));
    }

    fn sample_where_known(&mut self, labels: &Labels<'_>, value: Option<f64>) {
        if let Some(value) = value {
            self.sample(labels, value);
        }
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// The format has no other numbers.
#[allow(clippy::cast_precision_loss)]
fn number(value: u64) -> f64 {
    value as f64
}

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::ServiceKind;
    use crate::run::status::{PluginStatus, ServiceStatus};

    #[test]
    fn values_are_escaped_and_what_is_not_known_is_left_out() {
        let worker = WorkerStatus { cpu: Some(1.5), ..WorkerStatus::new(2) };
        let service = ServiceStatus {
            kind: ServiceKind::App,
            name: "a\"b\\c\nd".to_owned(),
            workers: vec![worker],
            test: None,
            routes: Vec::new(),
            queue: None,
        };
        let status = ModuleStatus {
            module: "mfserv".to_owned(),
            ok: false,
            pid: 1,
            since: None,
            uptime: 7,
            url: None,
            nginx: None,
            redis: None,
            plugins: vec![PluginStatus {
                name: "p".to_owned(),
                version: "1.0".to_owned(),
                release: "2".to_owned(),
                ok: true,
                services: vec![service],
                memory: None,
                cpu: None,
                test: None,
                problems: Vec::new(),
            }],
            problems: Vec::new(),
            warnings: Vec::new(),
            settled: true,
        };
        let text = render(&status);
        for line in [
            "mwp_module_healthy{module=\"mfserv\"} 0",
            "mwp_module_uptime_seconds{module=\"mfserv\"} 7",
            "mwp_plugin_info{module=\"mfserv\",plugin=\"p\",version=\"1.0\",release=\"2\"} 1",
            "# TYPE mwp_worker_cpu_seconds_total counter",
            "mwp_worker_cpu_seconds_total{module=\"mfserv\",plugin=\"p\",kind=\"app\",service=\"a\\\"b\\\\c\\nd\",worker=\"2\"} 1.5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert!(text.contains("worker=\"2\",state=\"stopped\"} 1\n"), "{text}");
        for absent in ["memory_bytes", "mwp_nginx", "open_fds"] {
            assert!(!text.contains(absent), "{absent} in\n{text}");
        }
    }
}
