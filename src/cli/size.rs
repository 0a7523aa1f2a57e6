//! `mwp size`: what fills a plugin.

use std::path::PathBuf;

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use serde::Serialize;

use super::exec::BaseOption;
use super::shells::Plugins;
use super::subject::{Extent, Subject};
use super::{Context, branches};
use crate::contents::{Branch, Ecosystem, Sizes};
use crate::error::Result;
use crate::text;

/// Rows of one kind that are shown without `--all`.
const MOST_ROWS: usize = 10;
/// Levels of directories that are shown without `--all`.
const MOST_LEVELS: usize = 2;

/// Show what fills a `.plugin` file, an installed plugin, or what a directory would pack
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp size shop-1.0.0-1.metwork.mfserv.plugin")]
pub(super) struct Arguments {
    /// Show every package, directory and file, and not the largest alone
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    base: BaseOption,
    /// A `.plugin` file, an installed plugin, or a directory
    #[arg(value_name = "FILE|NAME|DIR", default_value = ".", add = ArgValueCandidates::new(Plugins))]
    plugin: PathBuf,
}

#[derive(Serialize)]
struct Report<'a> {
    plugin: String,
    version: Option<String>,
    /// Of the `.plugin` file, in bytes.
    file_size: Option<u64>,
    #[serde(flatten)]
    sizes: &'a Sizes,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<()> {
    let subject = Subject::read(&arguments.plugin, Extent::Installed, &arguments.base, context)?;
    let sizes = subject.contents.sizes();
    if context.output.is_json() {
        let plugin = arguments.plugin.to_string_lossy().into_owned();
        let (version, file_size) = (subject.version(), subject.file_size);
        context.output.json(&Report { plugin, version, file_size, sizes: &sizes });
        return Ok(());
    }
    let packed = subject.file_size.map(|size| format!(", packed into {}", text::size(size)));
    let title = format!(
        "{}: {} in {}{}",
        text::visible_bytes(arguments.plugin.as_os_str().as_encoded_bytes()),
        text::size(sizes.bytes),
        text::count(sizes.files, "file"),
        packed.unwrap_or_default()
    );
    let mut rows = Rows { rows: vec![(0, title)], total: sizes.bytes, all: arguments.all };
    for (ecosystem, name) in
        [(Ecosystem::Python, "packages of Python"), (Ecosystem::Node, "packages of Node.js")]
    {
        let packages: Vec<Branch> = sizes
            .of_ecosystem(ecosystem)
            .map(|one| Branch::leaf(one.package.to_string(), one.bytes, one.files))
            .collect();
        if !packages.is_empty() {
            rows.add(&Branch::over(name.to_owned(), packages), 1);
        }
    }
    if sizes.own.files > 0 {
        rows.add(&Branch { name: "files of its own".to_owned(), ..sizes.own }, 1);
    }
    for line in branches::draw(&rows.rows) {
        context.output.line(&line);
    }
    Ok(())
}

struct Rows {
    rows: Vec<(usize, String)>,
    total: u64,
    all: bool,
}

impl Rows {
    fn add(&mut self, branch: &Branch, depth: usize) {
        self.rows.push((depth, self.row(&branch.name, branch.bytes, branch.files)));
        if !self.all && depth > MOST_LEVELS {
            return;
        }
        let most = if self.all { branch.below.len() } else { MOST_ROWS };
        let (shown, rest) = branch.below.split_at(most.min(branch.below.len()));
        for below in shown {
            self.add(below, depth + 1);
        }
        if !rest.is_empty() {
            let bytes = rest.iter().map(|one| one.bytes).sum();
            let files = rest.iter().map(|one| one.files).sum();
            self.rows.push((depth + 1, self.row(&format!("{} more (--all)", rest.len()), bytes, files)));
        }
    }

    fn row(&self, name: &str, bytes: u64, files: usize) -> String {
        let share = (bytes * 100).checked_div(self.total);
        let share = share.filter(|share| *share > 0).map(|share| format!("{share} %"));
        let files = (files > 1).then(|| text::count(files, "file"));
        let notes: Vec<String> = share.into_iter().chain(files).collect();
        let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) };
        format!("{}  {}{notes}", text::visible(name), text::size(bytes))
    }
}
