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
use super::subject::is_path;
use crate::artifact::{self, Artifact, FILES, Limits, MANIFEST, Manifest, ManifestEntry, Metadata};
use crate::contents::{Contents, Ecosystem, PackageSize, Sizes};
use crate::error::{Error, Result};
use crate::fs;
use crate::installed::InstallState;
use crate::plugin::Label;
use crate::python::{Needs, Wheel};
use crate::text;

/// Show what a `.plugin` file or an installed plugin is and holds
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp info shop-1.0.0-1.metwork.mfserv.plugin")]
pub(super) struct Arguments {
    /// Print where it is installed and nothing else
    #[arg(long)]
    just_home: bool,
    /// List the files, too
    #[arg(long)]
    files: bool,
    /// What `plugins.info` prints, to the letter
    #[arg(long, hide = true)]
    upstream: bool,
    #[command(flatten)]
    base: BaseOption,
    /// An installed plugin, or a `.plugin` file
    #[arg(value_name = "NAME|FILE", add = ArgValueCandidates::new(Plugins))]
    plugin: PathBuf,
}

/// Print the hash that tells one build of a plugin from another
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp hash shop-0.0.1-1.metwork.mfserv.plugin")]
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
    /// With sizes, where whoever packed it wrote them down.
    members: Option<Vec<ManifestEntry>>,
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
    if context.output.is_json() {
        context.output.json(&Report::new(&known));
    } else {
        context.output.line(layout(&known, arguments).trim_end());
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
        let manifest = artifact::manifest_of(plugin, &Limits::of(&context.site)?)?;
        return Ok(Known {
            members: manifest
                .map(|content| Manifest::parse(&content))
                .transpose()?
                .map(|manifest| manifest.members),
            label: artifact.label().clone(),
            metadata: artifact.metadata().clone(),
            files: artifact.files().to_vec(),
            home: None,
        });
    }
    let (_, _, installed) = find(&name_of(plugin)?, base, context)?;
    let shown = text::visible(&installed.name);
    match installed.state {
        InstallState::Installed(metadata) => {
            let files = fs::read(&installed.home.join(FILES))?;
            let files = serde_json::from_slice(&files).unwrap_or_default();
            let manifest = fs::read_optional(&installed.home.join(MANIFEST))?;
            let manifest = manifest.map(|content| Manifest::parse(&content)).transpose()?;
            Ok(Known {
                members: manifest.map(|manifest| manifest.members),
                label: Label::read(&installed.home)?,
                metadata: *metadata,
                files,
                home: Some(installed.home),
            })
        }
        InstallState::Devlink(target) => {
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
            Ok(Known { label: plugin.label, metadata, files: Vec::new(), members: None, home: Some(target) })
        }
        InstallState::Broken(target) => {
            Err(Error::input(format!("the plugin `{shown}` is a link to nothing: {}", text::path(&target)))
                .hint(format!("remove it with `mwp uninstall {shown}`")))
        }
        InstallState::Corrupt(reason) => {
            Err(Error::input(format!("the plugin `{shown}` is damaged: {reason}"))
                .hint("install it again from its .plugin file"))
        }
    }
}

fn is_file(plugin: &Path) -> bool {
    is_path(plugin) || plugin.is_file()
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

    fn sizes(&self) -> Option<Sizes> {
        self.members.as_ref().map(|members| Contents::of_members(members.clone()).sizes())
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
    /// Where whoever packed it wrote them down.
    #[serde(skip_serializing_if = "Option::is_none")]
    packages: Option<Vec<PackageSize>>,
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
            packages: known.sizes().map(|sizes| sizes.packages),
            files: &known.files,
        }
    }
}

/// The fields of upstream's `plugins.info`, then what it needs and holds, and where it is.
fn layout(known: &Known, arguments: &Arguments) -> String {
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
    if !arguments.upstream {
        let home = known.home.as_ref().map(|home| ("Home", home.to_string_lossy().into_owned()));
        let needs = known.needs().map(|needs| ("Needs", needs));
        let holds = known.sizes().map(|sizes| ("Holds", holds(&sizes)));
        for (name, value) in [home, needs, holds].into_iter().flatten() {
            let _ = writeln!(page, "{name}: {}", text::visible(&value));
        }
    }
    if arguments.files || arguments.upstream {
        page.push_str("\nList of files:\n\n");
        for file in &known.files {
            let _ = writeln!(page, "- {}", text::visible(file));
        }
    }
    page
}

/// `12 packages of Python (8.2 MB), 30 files of its own (90.1 kB)`
fn holds(sizes: &Sizes) -> String {
    let packages = [(Ecosystem::Python, "Python"), (Ecosystem::Node, "Node.js")].map(|(ecosystem, name)| {
        let packages = sizes.of_ecosystem(ecosystem);
        let (count, bytes) = packages.fold((0, 0), |(count, bytes), one| (count + 1, bytes + one.bytes));
        (count > 0).then(|| format!("{} of {name} ({})", text::count(count, "package"), text::size(bytes)))
    });
    let own = &sizes.own;
    let own = (own.files > 0)
        .then(|| format!("{} of its own ({})", text::count(own.files, "file"), text::size(own.bytes)));
    packages.into_iter().chain([own]).flatten().collect::<Vec<_>>().join(", ")
}
