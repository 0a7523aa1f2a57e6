//! `mwp info` and `mwp hash`: what a `.plugin` file, or an installed plugin, says about itself.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use serde::Serialize;

use super::Context;
use super::exec::BaseOption;
use super::installed::find;
use super::shells::Plugins;
use crate::artifact::{Artifact, FILES, Metadata};
use crate::error::{Error, Result};
use crate::fs;
use crate::installed::Standing;
use crate::plugin::Label;
use crate::python::{Needs, Wheel};
use crate::text;

/// Show what a `.plugin` file or an installed plugin is and holds
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Print where it is installed and nothing else
    #[arg(long)]
    just_home: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    base: BaseOption,
    /// An installed plugin, or a `.plugin` file
    #[arg(value_name = "NAME|FILE", add = ArgValueCandidates::new(Plugins))]
    plugin: PathBuf,
}

/// Print the hash that tells one build of a plugin from another
#[derive(Debug, Args)]
pub(super) struct HashArguments {
    #[command(flatten)]
    base: BaseOption,
    /// An installed plugin, or a `.plugin` file
    #[arg(value_name = "NAME|FILE", add = ArgValueCandidates::new(Plugins))]
    plugin: PathBuf,
}

/// What is known of a plugin.
struct Known {
    label: Label,
    metadata: Metadata,
    files: Vec<String>,
    home: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<()> {
    if arguments.just_home && !is_file(&arguments.plugin) {
        let (_, _, installed) = find(&name_of(&arguments.plugin)?, &arguments.base, context)?;
        context.output.line(&installed.home.to_string_lossy());
        return Ok(());
    }
    let known = look_up(&arguments.plugin, &arguments.base, context)?;
    if arguments.just_home {
        return Err(Error::input(format!("{} is a file and not installed", text::path(&arguments.plugin)))
            .hint("give the name of an installed plugin"));
    }
    if arguments.json {
        context.output.json(&Report::new(&known));
    } else {
        context.output.line(layout(&known).trim_end());
    }
    Ok(())
}

pub(super) fn run_hash(arguments: &HashArguments, context: &Context) -> Result<()> {
    let known = look_up(&arguments.plugin, &arguments.base, context)?;
    let hash = known.metadata.plugin_hash();
    if context.output.is_json() {
        let metadata = &known.metadata;
        context.output.json(&serde_json::json!({
            "name": known.label.name.as_str(),
            "version": metadata.version,
            "release": metadata.release,
            "hash": hash,
        }));
        return Ok(());
    }
    context.output.line(&hash);
    Ok(())
}

/// A file by its path, else an installed plugin by its name.
fn look_up(plugin: &Path, base: &BaseOption, context: &Context) -> Result<Known> {
    if is_file(plugin) {
        let artifact = Artifact::open(plugin)?;
        return Ok(Known {
            label: artifact.label().clone(),
            metadata: artifact.metadata().clone(),
            files: artifact.files().to_vec(),
            home: None,
        });
    }
    let (_, _, installed) = find(&name_of(plugin)?, base, context)?;
    let shown = text::visible(&installed.name);
    match installed.standing {
        Standing::Installed(metadata) => {
            let files = fs::read(&installed.home.join(FILES))?;
            let files = serde_json::from_slice(&files).unwrap_or_default();
            Ok(Known {
                label: Label::read(&installed.home)?,
                metadata: *metadata,
                files,
                home: Some(installed.home),
            })
        }
        Standing::Devlink(target) => {
            let plugin = crate::plugin::Plugin::load(&installed.home, &context.site)?;
            let general = plugin.config.general;
            let (word, unknown) = (|| "dev_link".to_owned(), || "unknown".to_owned());
            let metadata = Metadata {
                version: word(),
                release: word(),
                build_host: unknown(),
                build_date: unknown(),
                size: unknown(),
                summary: general.summary,
                license: general.license,
                packager: general.maintainer,
                vendor: general.vendor,
                url: general.url,
            };
            Ok(Known { label: plugin.label, metadata, files: Vec::new(), home: Some(target) })
        }
        Standing::Broken(target) => {
            Err(Error::input(format!("the plugin `{shown}` is a link to nothing: {}", text::path(&target)))
                .hint(format!("remove it with `mwp uninstall {shown}`")))
        }
        Standing::Corrupt(reason) => Err(Error::input(format!("the plugin `{shown}` is damaged: {reason}"))
            .hint("install it again from its .plugin file")),
    }
}

/// A name has neither a slash nor the ending of a file.
fn is_file(plugin: &Path) -> bool {
    let bytes = plugin.as_os_str().as_encoded_bytes();
    bytes.contains(&b'/') || bytes.ends_with(b".plugin") || plugin.is_file()
}

fn name_of(plugin: &Path) -> Result<String> {
    plugin.to_str().map(str::to_owned).ok_or_else(|| {
        Error::input(format!("the plugin {} is not installed", text::path(plugin)))
            .hint("`mwp list` shows what is")
    })
}

impl Known {
    /// What the wheels inside ask of a machine.
    fn needs(&self) -> Option<String> {
        let wheels = self.files.iter().filter(|file| file.contains("python3_virtualenv_sources/src/"));
        let wheels: Vec<Wheel> = wheels.filter_map(|file| Wheel::of(Path::new(file))).collect();
        (!wheels.is_empty()).then(|| Needs::of(&wheels).to_string())
    }
}

#[derive(Serialize)]
struct Report<'a> {
    name: &'a str,
    module: &'a str,
    version: &'a str,
    release: &'a str,
    build_host: &'a str,
    build_date: &'a str,
    /// Bytes; of a devlink nobody knows.
    size: Option<u64>,
    summary: &'a str,
    license: &'a str,
    maintainer: &'a str,
    /// The name of the maintainer in the file's own metadata.
    packager: &'a str,
    vendor: &'a str,
    url: &'a str,
    hash: String,
    home: Option<String>,
    /// What it asks of a machine, as the tags of its wheels say.
    needs: Option<String>,
    files: &'a [String],
}

impl<'a> Report<'a> {
    fn new(known: &'a Known) -> Report<'a> {
        let metadata = &known.metadata;
        Report {
            name: known.label.name.as_str(),
            module: known.label.module.as_str(),
            version: &metadata.version,
            release: &metadata.release,
            build_host: &metadata.build_host,
            build_date: &metadata.build_date,
            size: metadata.size.parse().ok(),
            summary: &metadata.summary,
            license: &metadata.license,
            maintainer: &metadata.packager,
            packager: &metadata.packager,
            vendor: &metadata.vendor,
            url: &metadata.url,
            hash: known.metadata.plugin_hash(),
            home: known.home.as_ref().map(|home| home.to_string_lossy().into_owned()),
            needs: known.needs(),
            files: &known.files,
        }
    }
}

/// The layout of upstream's `plugins.info`.
fn layout(known: &Known) -> String {
    let metadata = &known.metadata;
    let fields = [
        ("Name", known.label.name.as_str()),
        ("Version", &metadata.version),
        ("Release", &metadata.release),
        ("Summary", &metadata.summary),
        ("Size", &metadata.size),
        ("Build Host", &metadata.build_host),
        ("Build Date", &metadata.build_date),
        ("License", &metadata.license),
        ("Maintainer", &metadata.packager),
        ("Vendor", &metadata.vendor),
        ("URL", &metadata.url),
    ];
    let mut page = String::from("Metadata:\n\n");
    for (name, value) in fields {
        let _ = writeln!(page, "{name}: {}", text::visible(value));
    }
    if let Some(needs) = &known.needs() {
        let _ = writeln!(page, "Needs: {}", text::visible(needs));
    }
    page.push_str("\nList of files:\n\n");
    for file in &known.files {
        let _ = writeln!(page, "- {}", text::visible(file));
    }
    page
}
