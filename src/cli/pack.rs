//! `mwp pack`: plugin directories become `.plugin` files.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::Context;
use super::build::store;
use super::common::{Common, Places, limit};
use crate::action;
use crate::artifact::{self, Description, Limits, Packed, Remade};
use crate::error::{Error, Result};
use crate::fs;
use crate::plugin::Plugin;
use crate::python::edit;
use crate::recipe;
use crate::site::Site;
use crate::store::Bucket;
use crate::text;

/// Pack a plugin's directory into a `.plugin` file, as it is: nothing is built
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp pack --output dist")]
pub(super) struct Arguments {
    #[command(flatten)]
    packing: Packing,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    places: Places,
}

/// What file to make.
#[derive(Debug, Clone, Args)]
pub(super) struct Packing {
    /// How to compress: gzip for machines that still run upstream's installer
    #[arg(long, value_enum, default_value_t = Format::Zstd)]
    format: Format,
    /// Where to write the file [default: the current directory]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Pack more than is usually installed: members, wheels, bytes, names, depth or path, as in `bytes=64G`
    #[arg(long = "limit", value_name = "NAME=NUMBER", value_parser = limit)]
    limits: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Zstd,
    Gzip,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<()> {
    let common = arguments.common.at(&arguments.places);
    refuse_bad_output(&arguments.packing, &common, context)?;
    let reports = pack_all(&arguments.packing, &common, context)?;
    if context.output.is_json() {
        context.output.json(&reports);
    }
    Ok(())
}

/// Packs each directory, prints the files' paths, and returns what was made.
pub(super) fn pack_all(packing: &Packing, common: &Common, context: &Context) -> Result<Vec<Report>> {
    let mut reports = Vec::new();
    for directory in common.directories()? {
        let packed = pack(&directory, packing, context)?;
        for warning in &packed.warnings {
            context.output.warning(&warning.message);
            if let Some(hint) = &warning.hint {
                context.output.hint(hint);
            }
        }
        if !context.output.is_json() {
            let file = packed.file.strip_prefix(".").unwrap_or(&packed.file);
            context.output.line(&text::visible_bytes(file.as_os_str().as_encoded_bytes()));
            if !common.loudness.quiet {
                let size = text::size(packed.file_size);
                context.output.note(&format!("packed {}, {size}", text::count(packed.files, "file")));
            }
        }
        reports.push(Report::new(&packed));
    }
    if let Err(error) = store(context).make_room() {
        context.output.warnings(&error);
    }
    Ok(reports)
}

/// Whether the plugin requires packages of Python, and no build has brought any.
fn lacks_wheels(directory: &Path) -> Result<bool> {
    let sources = directory.join("python3_virtualenv_sources");
    let required = fs::read_text_optional(&sources.join("requirements-to-freeze.txt"))?.unwrap_or_default();
    Ok(!edit::names(&required).is_empty() && !fs::exists(&sources.join("src")))
}

fn pack(directory: &Path, packing: &Packing, context: &Context) -> Result<Packed> {
    let plugin = Plugin::load(directory, &context.site)?;
    let description = Description::of(&plugin);
    let output = packing.output.as_deref().unwrap_or(Path::new("."));
    // Once more: what was built may have given it its name.
    description.file_in(output)?;
    let remade = Remade::of(directory, recipe::release(directory)?.omit_dev, &context.site)?;
    if let Some(packages) = remade.shipped_for_development() {
        context.output.note(&format!(
            "{} of packages that only development needs are shipped ({}); `omit_dev = true` below `[release]` in \
             mwp.toml leaves them out",
            text::size(packages.bytes),
            text::visible(&packages.names.join(", "))
        ));
    }
    let mut limits = Limits::of(&context.site)?;
    for limit in &packing.limits {
        limits.set(limit)?;
    }
    if lacks_wheels(directory)? {
        context.output.warning(&format!(
            "{} is packed without its wheels: the plugin has not been built",
            text::path(directory)
        ));
        context.output.hint("`mwp release` builds what a release needs, and packs");
    }
    for warning in action::check_wheels(directory, &limits)? {
        context.output.warning(&warning);
    }
    let store = store(context);
    artifact::pack(
        directory,
        &description,
        &artifact::Options {
            limits: &limits,
            format: match packing.format {
                Format::Zstd => artifact::Format::Zstd,
                Format::Gzip => artifact::Format::Gzip,
            },
            output,
            source_date_epoch: source_date_epoch(&context.site)?,
            build_host: &context.site.host_name(),
            frame_store: Some(&store.bucket_dir(Bucket::Frames))
                .filter(|_| store.is_own())
                .map(PathBuf::as_path),
            excluded: &|path| remade.contains(path),
        },
    )
}

/// Refuses what cannot be packed into, before anything is built.
pub(super) fn refuse_bad_output(packing: &Packing, common: &Common, context: &Context) -> Result<()> {
    let output = packing.output.as_deref();
    output.map_or(Ok(()), refuse_no_directory)?;
    let output = output.unwrap_or(Path::new("."));
    for directory in common.directories()? {
        // What is wrong with a plugin is said in its turn.
        if let Ok(plugin) = Plugin::load(&directory, &context.site) {
            Description::of(&plugin).file_in(output)?;
        }
    }
    Ok(())
}

/// Refuses an `--output` that is no directory and cannot become one.
pub(super) fn refuse_no_directory(output: &Path) -> Result<()> {
    // A directory that is not there is made.
    let there = output.ancestors().find(|dir| fs::exists(dir));
    let Some(there) = there.filter(|there| !there.is_dir()) else { return Ok(()) };
    let found = fs::what_is(there);
    Err(Error::usage(format!(
        "`--output {}`: {} is {found}; a directory is allowed",
        text::visible(&output.to_string_lossy()),
        text::path(there)
    ))
    .hint(match found {
        "a file" => "leave out the name of the file: it follows from the plugin",
        _ => "name a directory, or a place where nothing is yet",
    }))
}

/// `SOURCE_DATE_EPOCH`, for files that are the same whoever packs them.
fn source_date_epoch(site: &Site) -> Result<Option<i64>> {
    let Some(value) = site.environment.text("SOURCE_DATE_EPOCH") else { return Ok(None) };
    value.parse().ok().filter(|seconds| *seconds >= 0).map(Some).ok_or_else(|| {
        Error::input(format!(
            "SOURCE_DATE_EPOCH is `{}`; seconds since 1970 are allowed",
            text::visible(value)
        ))
        .hint("set it to the output of `git log -1 --format=%ct`, or unset it")
    })
}

/// A file that was made, for `--json`.
#[derive(Serialize)]
pub(super) struct Report {
    pub(super) file: String,
    bytes: u64,
    hash: String,
    files: usize,
    frames: usize,
    frames_reused: usize,
    version: String,
    release: String,
    warnings: Vec<String>,
}

impl Report {
    pub(super) fn new(packed: &Packed) -> Report {
        Report {
            file: packed.file.to_string_lossy().into_owned(),
            bytes: packed.file_size,
            hash: packed.metadata.plugin_hash(),
            files: packed.files,
            frames: packed.frames,
            frames_reused: packed.frames_reused,
            version: packed.metadata.version.clone(),
            release: packed.metadata.release.clone(),
            warnings: packed.warnings.iter().map(|warning| warning.message.clone()).collect(),
        }
    }
}
