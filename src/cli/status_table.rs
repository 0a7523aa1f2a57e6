//! What `mwp status` shows: a line for each worker.

use std::time::Duration;

use super::style::{Look, Style};
use super::table::{self, Cell, least_width};
use crate::run::status::{ModuleStatus, PluginStatus, ServiceStatus, WorkerStatus};
use crate::text;

const HEADER: [&str; COLUMNS] =
    ["PLUGIN", "SERVICE", "WORKER", "STATE", "PID", "RESTARTS", "UPTIME", "MEMORY", "CPU", "CONN"];
const COLUMNS: usize = 10;
/// The last ones, where there is room for them.
const LUXURY: usize = 2;
/// What is shown on the narrowest terminal: the columns up to the process.
const LEAST: usize = 5;
/// Those from the process on.
const FROM_PROCESS: usize = 6;
/// Those that tell one moment from the next, though nothing has happened.
const FIGURES: usize = 4;

type Row = Vec<Cell>;

/// All of it; `width` is that of the terminal.
pub(super) fn table(status: &ModuleStatus, width: Option<usize>, style: Style) -> String {
    let at = status.url.as_ref().map(|url| format!(", at {url}")).unwrap_or_default();
    let mut lines = vec![format!("{} is up for {}{at}", status.module, age(status.uptime))];
    lines.extend(table::table(&with_room(rows(status), width), width, style));
    let queues = queue_rows(status);
    if queues.len() > 1 {
        lines.push(String::new());
        lines.extend(table::table(&queues, width, style));
    }
    lines.join("\n")
}

/// The columns that there is room for.
fn with_room(rows: Vec<Row>, width: Option<usize>) -> Vec<Row> {
    let first = |columns: usize| rows.iter().map(|row| row[..columns].to_vec()).collect::<Vec<Row>>();
    let Some(width) = width else { return first(COLUMNS - LUXURY) };
    if table::width(&rows) <= width {
        return rows;
    }
    let narrower = (LEAST..=COLUMNS - LUXURY).rev().map(first);
    narrower.into_iter().find(|rows| least_width(rows) <= width).unwrap_or_else(|| first(LEAST))
}

fn header(names: &[&str]) -> Row {
    names.iter().map(|name| Cell::new(Look::Bold, *name)).collect()
}

/// Of the word for a state.
fn look_of(state: &str) -> Look {
    match state.split(',').next().unwrap_or_default() {
        "running" | "static" | "nothing to run" | "no workers" => Look::Ok,
        "stopped" => Look::Plain,
        "not running" | "suspended" => Look::Error,
        _ => Look::Warning,
    }
}

const QUEUE_HEADER: [&str; 6] = ["FILES OF", "WAITING", "OLDEST", "PER MINUTE", "PROCESSED", "FAILED"];

/// The files of steps.
fn queue_rows(status: &ModuleStatus) -> Vec<Row> {
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let mut rows = vec![header(&QUEUE_HEADER)];
    for plugin in &status.plugins {
        for (service, queue) in
            plugin.services.iter().filter_map(|service| Some((service, service.queue.as_ref()?)))
        {
            let name = format!("{}/{}", text::visible(&plugin.name), text::visible(&service.name));
            let figures = [
                queue.waiting.to_string(),
                or_dash(queue.oldest.map(age)),
                or_dash(queue.per_minute.map(|files| format!("{files:.0}"))),
                or_dash(queue.processed.map(|files| files.to_string())),
                or_dash(queue.failed.map(|files| files.to_string())),
            ];
            rows.push(std::iter::once(Cell::from(name)).chain(figures.map(Cell::whole)).collect());
        }
    }
    rows
}

/// What differs where something has happened.
pub(super) fn essence(status: &ModuleStatus) -> String {
    let rows = rows(status)
        .into_iter()
        .map(|row| row[..COLUMNS - FIGURES].iter().map(Cell::text).collect::<Vec<_>>().join("\t"));
    let problems = status.plugins.iter().flat_map(|plugin| &plugin.problems).chain(&status.problems);
    rows.chain(problems.cloned()).collect::<Vec<_>>().join("\n")
}

fn rows(status: &ModuleStatus) -> Vec<Row> {
    let mut rows = vec![header(&HEADER)];
    for (name, program) in [("nginx", &status.nginx), ("redis", &status.redis)] {
        rows.extend(program.iter().map(|program| row("", name, program)));
    }
    for plugin in &status.plugins {
        add_rows(plugin, &mut rows);
    }
    rows
}

fn add_rows(plugin: &PluginStatus, rows: &mut Vec<Row>) {
    let name = format!("{} {}-{}", text::visible(&plugin.name), plugin.version, plugin.release);
    let name = if plugin.version.is_empty() { text::visible(&plugin.name) } else { name };
    let before = rows.len();
    for service in &plugin.services {
        let title = format!("{} {}", service.kind.word(), text::visible(&service.name));
        if service.workers.is_empty() {
            rows.push(quiet_row(&name, &title, service));
        }
        for worker in &service.workers {
            rows.push(row(&name, &title, worker));
        }
    }
    if rows.len() == before {
        let state = if plugin.ok { "nothing to run" } else { "not running" };
        rows.push(full_row(&name, "", "", state, Default::default()));
    }
    // A name once is enough.
    let mut last = <(Cell, Cell)>::default();
    for row in &mut rows[before..] {
        let this = (row[0].clone(), row[1].clone());
        if this.0 == last.0 {
            row[0].clear();
            if this.1 == last.1 {
                row[1].clear();
            }
        }
        last = this;
    }
}

/// A service without workers: static files, or `numprocesses=0`.
fn quiet_row(plugin: &str, title: &str, service: &ServiceStatus) -> Row {
    let state = if service.routes.is_empty() { "no workers" } else { "static" };
    full_row(plugin, title, "", state, Default::default())
}

fn full_row(plugin: &str, title: &str, worker: &str, state: &str, figures: [String; FROM_PROCESS]) -> Row {
    let begin = [plugin.into(), title.into(), Cell::whole(worker), Cell::new(look_of(state), state)];
    begin.into_iter().chain(figures.map(Cell::whole)).collect()
}

fn row(plugin: &str, title: &str, worker: &WorkerStatus) -> Row {
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let figures = [
        or_dash(worker.pid.map(|pid| pid.to_string())),
        restarts(worker),
        or_dash(worker.uptime.map(age)),
        or_dash(worker.memory.map(text::size)),
        or_dash(worker.cpu.map(|seconds| format!("{seconds:.1} s"))),
        or_dash(worker.connections.map(|number| number.to_string())),
    ];
    full_row(plugin, title, &worker.worker.to_string(), &state(worker), figures)
}

/// With how many of them nobody asked for.
fn restarts(worker: &WorkerStatus) -> String {
    match worker.crashes {
        0 => worker.restarts.to_string(),
        crashes => format!("{} ({})", worker.restarts, plural(crashes)),
    }
}

fn plural(crashes: u64) -> String {
    if crashes == 1 { "1 crash".to_owned() } else { format!("{crashes} crashes") }
}

/// With what was replaced or stopped and is still answering.
fn state(worker: &WorkerStatus) -> String {
    let word = if worker.suspended { "suspended" } else { worker.state.word() };
    match worker.draining.len() {
        0 => word.to_owned(),
        number => format!("{word}, {number} draining"),
    }
}

fn age(seconds: u64) -> String {
    match seconds {
        0..10 => format!("{seconds} s"),
        _ => text::duration(Duration::from_secs(seconds)),
    }
}
