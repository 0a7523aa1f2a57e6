//! What a person sees of a build: on a terminal one line for each running task with its tool's own last line, else
//! plain lines that read well in a log.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::common::Common;
use super::echo::QuietControls;
use super::json;
use super::output::Output;
use crate::graph::{Built, Event, Observer};
use crate::text;
use crate::threads;

pub(super) struct Progress {
    output: Output,
    quiet: bool,
    verbose: bool,
    /// Tasks whose tools speak to the person.
    shown: &'static [&'static str],
    /// Lines say which plugin they are about.
    several: bool,
    bars: Option<MultiProgress>,
    /// As long as there are bars.
    _controls: Option<QuietControls>,
    running: Mutex<BTreeMap<(PathBuf, String), ProgressBar>>,
    restored: Mutex<usize>,
}

impl Progress {
    pub(super) fn new(output: Output, common: &Common, several: bool) -> Progress {
        let shows_bars = output.is_terminal() && !common.loudness.quiet && !common.loudness.verbose;
        Progress {
            shown: &[],
            output,
            quiet: common.loudness.quiet,
            verbose: common.loudness.verbose,
            several,
            bars: shows_bars.then(MultiProgress::new),
            _controls: shows_bars.then(QuietControls::begin).flatten(),
            running: Mutex::default(),
            restored: Mutex::new(0),
        }
    }

    /// As what these tasks print is for the person who waits, it is shown.
    pub(super) fn showing(self, tasks: &'static [&'static str]) -> Progress {
        Progress { shown: tasks, ..self }
    }

    /// The last line about a plugin: what was done.
    fn summary(&self, built: &Built) {
        let plugin = text::visible(&built.plugin);
        let ran = built.tasks.iter().filter(|task| !task.fresh).count();
        let text = if ran == 0 {
            format!("{plugin} is up to date")
        } else {
            format!("{plugin} is built: {} in {}", text::count(ran, "task"), seconds(built.took))
        };
        self.line(&text);
    }

    /// Takes the lines of running tasks off the screen.
    pub(super) fn finish(&self) {
        if let Some(bars) = &self.bars {
            let _ = bars.clear();
        }
    }

    fn line(&self, text: &str) {
        match &self.bars {
            // Under the lock of the bars: what another thread draws at this moment comes before or after.
            Some(bars) => drop(bars.println(self.output.wrapped(text))),
            None => self.output.verbatim(&self.output.wrapped(text)),
        }
    }

    /// As [`line`](Progress::line), as wide as it is.
    fn verbatim(&self, text: &str) {
        match &self.bars {
            Some(bars) => drop(bars.println(text)),
            None => self.output.verbatim(text),
        }
    }

    fn about(&self, project: &Path, text: &str) -> String {
        if self.several {
            format!("{}: {text}", text::visible_bytes(project.as_os_str().as_encoded_bytes()))
        } else {
            text.to_owned()
        }
    }

    fn start(&self, project: &Path, task: &str, summary: &str) {
        let Some(bars) = &self.bars else {
            self.line(&self.about(project, &format!("{task}: {summary}")));
            return;
        };
        let bar = bars.add(ProgressBar::new_spinner());
        if let Ok(style) =
            ProgressStyle::with_template("{spinner:.cyan} {prefix:.bold} {elapsed:>4} {wide_msg:.dim}")
        {
            bar.set_style(style);
        }
        bar.set_prefix(self.about(project, task));
        bar.set_message(summary.to_owned());
        // It panics where it cannot start its thread.
        if threads::start("showing progress", || {}).is_ok() {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        let key = (project.to_owned(), task.to_owned());
        self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(key, bar);
    }

    /// Ends the line of a task and says how it went.
    fn end(&self, project: &Path, task: &str, text: &str) {
        let key = (project.to_owned(), task.to_owned());
        let bar = self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        self.line(&self.about(project, &format!("{task}: {text}")));
    }

    fn show_failure(&self, output: &str, log: &Path) {
        // Reasons stand at the beginning or at the end; what is between is in the log.
        const BEGINNING: usize = 10;
        const END: usize = 25;
        let lines: Vec<&str> = output.lines().collect();
        let left_out = lines.len().saturating_sub(BEGINNING + END);
        for (index, line) in lines.iter().enumerate() {
            match index {
                BEGINNING if left_out > 1 => self.verbatim(&format!("  | … {left_out} more lines")),
                _ if left_out > 1 && (BEGINNING..BEGINNING + left_out).contains(&index) => {}
                // Set apart, so that an `error:` of the tool is not taken for ours.
                _ => self.verbatim(&format!("  | {line}")),
            }
        }
        self.line(&format!("the output is kept in {}", text::path(log)));
    }
}

impl Observer for Progress {
    fn event(&self, project: &Path, event: Event<'_>) {
        if self.output.has_events() {
            self.output.event(&json::event(project, &event));
        }
        match event {
            Event::Warning { task, text } => {
                let text = self.about(project, &format!("{task}: {text}"));
                self.verbatim(&self.output.warning_line(&text));
            }
            Event::Failed { task, error, output, log } => {
                let interrupted = error.fault == crate::error::Fault::Interrupted;
                self.end(project, task, if interrupted { "interrupted" } else { "failed" });
                if !interrupted && !output.is_empty() {
                    self.show_failure(output, log);
                }
            }
            _ if self.quiet => {}
            Event::Waiting { holder } => self.line(&self.about(project, &format!("waiting for {holder}"))),
            Event::Fresh { task } if self.verbose => {
                self.line(&self.about(project, &format!("{task}: up to date")));
            }
            Event::Fresh { .. } => {}
            Event::Started { task, summary, reasons } => {
                self.start(project, task, summary);
                if self.verbose {
                    for reason in reasons {
                        self.line(&format!("  because {reason}"));
                    }
                }
            }
            Event::Line { task, line } if self.shown.contains(&task) && !self.verbose => match &self.bars {
                Some(bars) => drop(bars.println(line)),
                None => self.output.line(line),
            },
            Event::Line { task, line } => {
                if self.verbose {
                    self.verbatim(&format!("  | {line}"));
                } else if let Some(bar) = self
                    .running
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .get(&(project.to_owned(), task.to_owned()))
                    && !line.is_empty()
                {
                    bar.set_message(line.to_owned());
                }
            }
            Event::Restored { task, took } => {
                *self.restored.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                self.end(project, task, &format!("restored from the cache in {}", seconds(took)));
            }
            Event::LockChanged { task, changes } => {
                /// More than that nobody reads; the lock has them all.
                const MOST: usize = 30;
                let more = changes.len().saturating_sub(MOST);
                let shown = if more > 1 { &changes[..MOST] } else { changes };
                for change in shown {
                    self.line(&self.about(project, &format!("{task}: {change}")));
                }
                if more > 1 {
                    self.line(&self.about(project, &format!("{task}: … and {more} more changes")));
                }
            }
            Event::Built { built } => self.summary(built),
            Event::Done { task, took } => self.end(project, task, &format!("done in {}", seconds(took))),
        }
    }
}

/// `0.3 s`, `1 min 12 s`
pub(super) fn seconds(took: Duration) -> String {
    let whole = took.as_secs();
    if whole < 60 {
        format!("{:.1} s", took.as_secs_f64())
    } else {
        format!("{} min {} s", whole / 60, whole % 60)
    }
}
