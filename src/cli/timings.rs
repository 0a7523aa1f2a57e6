//! `--timings`: a page that shows where the time of a build, and the size of a release, went.

use std::path::{Path, PathBuf};

use clap::Args;
use minijinja::AutoEscape;
use serde::Serialize;

use super::Context;
use super::progress::seconds;
use crate::artifact::Limits;
use crate::contents::{Contents, Ecosystem, Sizes};
use crate::error::{Error, Result};
use crate::fs;
use crate::graph::{Outcome, ProjectTiming, STATE_DIR, Target, TaskTiming};
use crate::text;

const TEMPLATE: &str = include_str!("../../templates/timings/timings.html");
/// Of packages or directories; the rest is one row.
const MOST_ROWS: usize = 15;

#[derive(Debug, Clone, Default, Args)]
pub(super) struct TimingsOption {
    /// Write a page that shows when each task ran and why, and what takes the time [default: .mwp/timings.html]
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    timings: Option<Option<PathBuf>>,
}

impl TimingsOption {
    /// Where the page goes, `None` where none is wanted.
    pub(super) fn file(&self, directories: &[PathBuf]) -> Option<PathBuf> {
        let first = directories.first().map_or(Path::new("."), PathBuf::as_path);
        self.timings
            .as_ref()
            .map(|file| file.clone().unwrap_or_else(|| first.join(STATE_DIR).join("timings.html")))
    }
}

/// What is shown of a build.
pub(super) struct Page<'a> {
    pub(super) target: Target,
    pub(super) projects: &'a [ProjectTiming],
    /// The files that were packed.
    pub(super) releases: &'a [PathBuf],
}

impl Page<'_> {
    pub(super) fn write(&self, file: &Path, context: &Context) -> Result<()> {
        let limits = Limits::of(&context.site)?;
        let mut sizes = Vec::new();
        for release in self.releases {
            sizes.push((release.as_path(), Contents::of_file(release, &limits)?.sizes()));
        }
        let page = render(&View::new(self, &sizes)).map_err(|error| {
            Error::machine(format!("the page of timings: {error:#}")).hint("build without --timings")
        })?;
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write_atomic(file, page.as_bytes())?;
        context.output.note(&format!("timings are in {}", text::path(file)));
        Ok(())
    }
}

fn render(view: &View<'_>) -> Result<String, minijinja::Error> {
    let mut engine = minijinja::Environment::new();
    engine.set_auto_escape_callback(|_| AutoEscape::Html);
    engine.add_template("timings.html", TEMPLATE)?;
    engine.get_template("timings.html")?.render(minijinja::value::Serde(view))
}

#[derive(Serialize)]
struct View<'a> {
    version: &'static str,
    target: &'static str,
    total: String,
    ticks: Vec<String>,
    projects: Vec<ProjectRow<'a>>,
    releases: Vec<Release>,
    /// For machines.
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    projects: &'a [ProjectTiming],
    releases: Vec<ReleaseData<'a>>,
}

#[derive(Serialize)]
struct ReleaseData<'a> {
    file: String,
    #[serde(flatten)]
    sizes: &'a Sizes,
}

#[derive(Serialize)]
struct ProjectRow<'a> {
    plugin: &'a str,
    directory: &'a str,
    took: String,
    critical_ms: u64,
    critical: String,
    tasks: Vec<TaskRow<'a>>,
}

#[derive(Serialize)]
struct TaskRow<'a> {
    #[serde(flatten)]
    timing: &'a TaskTiming,
    word: &'static str,
    took: String,
    left: String,
    width: String,
}

#[derive(Serialize)]
struct Release {
    name: String,
    packed: String,
    unpacked: String,
    files: usize,
    groups: Vec<Group>,
}

#[derive(Serialize)]
struct Group {
    title: &'static str,
    size: String,
    rows: Vec<SizeRow>,
}

#[derive(Serialize)]
struct SizeRow {
    name: String,
    size: String,
    width: String,
}

impl<'a> View<'a> {
    fn new(page: &Page<'a>, sizes: &'a [(&'a Path, Sizes)]) -> View<'a> {
        let total = page.projects.iter().map(|project| project.end_ms).max().unwrap_or(0);
        let files = |(file, sizes): &'a (&Path, Sizes)| ReleaseData { file: name_of(file), sizes };
        View {
            version: env!("MWP_VERSION"),
            target: if page.target == Target::Release { "release" } else { "build" },
            total: milliseconds(total),
            ticks: (0..=4).map(|quarter| milliseconds(total * quarter / 4)).collect(),
            projects: page.projects.iter().map(|project| project_row(project, total)).collect(),
            releases: sizes.iter().map(|(file, sizes)| Release::new(file, sizes)).collect(),
            data: Data { projects: page.projects, releases: sizes.iter().map(files).collect() },
        }
    }
}

fn project_row(project: &ProjectTiming, total: u64) -> ProjectRow<'_> {
    let row = |timing| TaskRow::new(timing, total);
    ProjectRow {
        plugin: &project.plugin,
        directory: &project.directory,
        took: milliseconds(project.end_ms),
        critical_ms: project.critical_ms,
        critical: milliseconds(project.critical_ms),
        tasks: project.tasks.iter().map(row).collect(),
    }
}

impl TaskRow<'_> {
    fn new(timing: &TaskTiming, total: u64) -> TaskRow<'_> {
        TaskRow {
            word: match timing.outcome {
                Outcome::NotStarted => "not started",
                Outcome::Fresh => "up to date",
                Outcome::Ran => "ran",
                Outcome::Restored => "restored from the cache",
                Outcome::Failed => "failed",
            },
            took: milliseconds(timing.took_ms),
            left: percent(timing.start_ms, total),
            width: percent(timing.took_ms, total),
            timing,
        }
    }
}

impl Release {
    fn new(file: &Path, sizes: &Sizes) -> Release {
        let packages = |ecosystem| {
            let packages = sizes.of_ecosystem(ecosystem);
            packages.map(|size| (size.package.to_string(), size.bytes)).collect::<Vec<_>>()
        };
        let own = sizes.own.below.iter().map(|branch| (branch.name.clone(), branch.bytes)).collect();
        Release {
            name: name_of(file),
            packed: text::size(file.metadata().map_or(0, |metadata| metadata.len())),
            unpacked: text::size(sizes.bytes),
            files: sizes.files,
            groups: vec![
                Group::new("Python packages", packages(Ecosystem::Python)),
                Group::new("Node.js packages", packages(Ecosystem::Node)),
                Group::new("Own files", own),
            ],
        }
    }
}

impl Group {
    /// Of rows, the largest first.
    fn new(title: &'static str, mut sizes: Vec<(String, u64)>) -> Group {
        let whole: u64 = sizes.iter().map(|(_, bytes)| bytes).sum();
        if sizes.len() > MOST_ROWS {
            let rest = sizes.split_off(MOST_ROWS - 1);
            sizes.push((format!("{} smaller ones", rest.len()), rest.iter().map(|(_, bytes)| bytes).sum()));
        }
        let row = |(name, bytes): (String, u64)| SizeRow {
            name: text::visible(&name),
            size: text::size(bytes),
            width: percent(bytes, whole),
        };
        Group { title, size: text::size(whole), rows: sizes.into_iter().map(row).collect() }
    }
}

fn name_of(file: &Path) -> String {
    text::visible(&file.file_name().unwrap_or_default().to_string_lossy())
}

fn milliseconds(time: u64) -> String {
    if time < 1000 { format!("{time} ms") } else { seconds(std::time::Duration::from_millis(time)) }
}

/// With two places, as CSS takes it.
fn percent(part: u64, whole: u64) -> String {
    let hundredths = part.saturating_mul(10_000) / whole.max(1);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}
