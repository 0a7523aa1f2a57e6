//! What `mwp status` shows: a line for each worker.

use std::time::Duration;

use super::style::{Color, Style};
use crate::run::status::{ModuleStatus, PluginStatus, ServiceStatus, WorkerStatus};
use crate::text;

const HEADER: [&str; COLUMNS] =
    ["PLUGIN", "SERVICE", "WORKER", "STATE", "PID", "RESTARTS", "UPTIME", "MEMORY", "CPU", "CONN"];
const COLUMNS: usize = 10;
/// The last ones, where there is room for them.
const LUXURY: usize = 2;
/// Those that tell one moment from the next, though nothing has happened.
const FIGURES: usize = 4;

type Row = [String; COLUMNS];

/// All of it; `width` is that of the terminal.
pub(super) fn table(status: &ModuleStatus, width: Option<u16>, style: Style) -> String {
    let at = status.url.as_ref().map(|url| format!(", at {url}")).unwrap_or_default();
    let mut lines = vec![format!("{} is up for {}{at}", status.module, age(status.uptime))];
    let rows = rows(status);
    let is_wide = width.is_some_and(|width| usize::from(width) >= width_of(&rows));
    let shown = if is_wide { COLUMNS } else { COLUMNS - LUXURY };
    lines.extend(aligned(&rows, shown, |column, cell| match HEADER[column] {
        "STATE" => style.paint(color_of(cell.trim_end()), cell),
        _ => cell.to_owned(),
    }));
    let queues = queue_rows(status);
    if queues.len() > 1 {
        lines.push(String::new());
        lines.extend(aligned(&queues, QUEUE_HEADER.len(), |_, cell| cell.to_owned()));
    }
    lines.join("\n")
}

fn widths<const N: usize>(rows: &[[String; N]]) -> [usize; N] {
    std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
}

fn width_of<const N: usize>(rows: &[[String; N]]) -> usize {
    widths(rows).iter().sum::<usize>() + 2 * (N - 1)
}

/// Of the word for a state.
fn color_of(state: &str) -> Color {
    match state.split(',').next().unwrap_or_default() {
        "running" | "static" | "nothing to run" | "no workers" => Color::Green,
        "stopped" | "STATE" => Color::Plain,
        "not running" | "suspended" => Color::Red,
        _ => Color::Yellow,
    }
}

/// A line for each row, of the first columns; `style` gets each cell with its column.
fn aligned<const N: usize>(
    rows: &[[String; N]],
    columns: usize,
    style: impl Fn(usize, &str) -> String,
) -> Vec<String> {
    let widths = widths(rows);
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).take(columns).enumerate();
        let cells = cells.map(|(column, (cell, width))| style(column, &format!("{cell:width$}")));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

const QUEUE_HEADER: [&str; 6] = ["FILES OF", "WAITING", "OLDEST", "PER MINUTE", "PROCESSED", "FAILED"];

/// The files of steps.
fn queue_rows(status: &ModuleStatus) -> Vec<[String; 6]> {
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let mut rows = vec![QUEUE_HEADER.map(str::to_owned)];
    for plugin in &status.plugins {
        for (service, queue) in
            plugin.services.iter().filter_map(|service| Some((service, service.queue.as_ref()?)))
        {
            rows.push([
                format!("{}/{}", text::visible(&plugin.name), text::visible(&service.name)),
                queue.waiting.to_string(),
                or_dash(queue.oldest.map(age)),
                or_dash(queue.per_minute.map(|files| format!("{files:.0}"))),
                or_dash(queue.processed.map(|files| files.to_string())),
                or_dash(queue.failed.map(|files| files.to_string())),
            ]);
        }
    }
    rows
}

/// What differs where something has happened.
pub(super) fn essence(status: &ModuleStatus) -> String {
    let rows = rows(status).into_iter().map(|row| row[..COLUMNS - FIGURES].join("\t"));
    let problems = status.plugins.iter().flat_map(|plugin| &plugin.problems).chain(&status.problems);
    rows.chain(problems.cloned()).collect::<Vec<_>>().join("\n")
}

fn rows(status: &ModuleStatus) -> Vec<Row> {
    let mut rows = vec![HEADER.map(str::to_owned)];
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
        rows.push([&name, "", "", state, "", "", "", "", "", ""].map(str::to_owned));
    }
    // A name once is enough.
    let mut last = (String::new(), String::new());
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
    [plugin, title, "", state, "", "", "", "", "", ""].map(str::to_owned)
}

fn row(plugin: &str, title: &str, worker: &WorkerStatus) -> Row {
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    [
        plugin.to_owned(),
        title.to_owned(),
        worker.worker.to_string(),
        state(worker),
        or_dash(worker.pid.map(|pid| pid.to_string())),
        restarts(worker),
        or_dash(worker.uptime.map(age)),
        or_dash(worker.memory.map(text::size)),
        or_dash(worker.cpu.map(|seconds| format!("{seconds:.1} s"))),
        or_dash(worker.connections.map(|number| number.to_string())),
    ]
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
