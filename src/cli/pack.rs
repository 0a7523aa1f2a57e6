//! `mwp pack`: plugin directories become `.plugin` files.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::Context;
use crate::artifact::{self, Description, Packed};
use crate::error::{Error, Result};
use crate::fs;
use crate::plugin::Label;
use crate::site::Site;
use crate::text;

/// Pack a plugin's directory into a `.plugin` file
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Plugin directory; may be given several times [default: the current directory]
    #[arg(short = 'C', long = "directory", value_name = "DIR")]
    directories: Vec<PathBuf>,
    /// How to compress: gzip for machines that still run upstream's installer
    #[arg(long, value_enum, default_value_t = Format::Zstd)]
    format: Format,
    /// Where to write the file [default: the current directory]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Describe what was made as JSON
    #[arg(long)]
    json: bool,
    /// Print nothing but the file's path, warnings and errors
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Zstd,
    Gzip,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<()> {
    let here = [PathBuf::from(".")];
    let directories = if arguments.directories.is_empty() { &here[..] } else { &arguments.directories };
    let options = PackOptions {
        format: match arguments.format {
            Format::Zstd => artifact::Format::Zstd,
            Format::Gzip => artifact::Format::Gzip,
        },
        output: arguments.output.as_deref().unwrap_or(Path::new(".")),
        source_date_epoch: source_date_epoch(&context.site)?,
        build_host: context.site.host_name(),
        frame_store: context.site.cache.join("frames"),
    };
    let mut reports = Vec::new();
    for directory in directories {
        let packed = pack(directory, &options)?;
        for warning in &packed.warnings {
            context.output.warning(&warning.message);
            if let Some(hint) = &warning.hint {
                context.output.hint(hint);
            }
        }
        if arguments.json {
            reports.push(Report::new(&packed));
            continue;
        }
        context.output.line(&packed.file.to_string_lossy());
        if !arguments.quiet {
            context.output.note(&format!(
                "packed {}, {}",
                text::count(packed.files, "file"),
                text::size(packed.file_size)
            ));
        }
    }
    if arguments.json {
        context.output.json(&reports);
    }
    Ok(())
}

struct PackOptions<'a> {
    format: artifact::Format,
    output: &'a Path,
    source_date_epoch: Option<i64>,
    build_host: String,
    frame_store: PathBuf,
}

fn pack(directory: &Path, options: &PackOptions<'_>) -> Result<Packed> {
    let description = describe(directory)?;
    artifact::pack(
        directory,
        &description,
        &artifact::Options {
            format: options.format,
            output: options.output,
            source_date_epoch: options.source_date_epoch,
            build_host: &options.build_host,
            frame_store: Some(&options.frame_store),
            excluded: &|_| false,
        },
    )
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

#[derive(Serialize)]
struct Report {
    file: String,
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
    fn new(packed: &Packed) -> Report {
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

/// STAND-IN for `plugin::Plugin::load`: reads label and `[general]` of `config.ini` without variants, overrides
/// and templates. To be replaced as a whole.
fn describe(directory: &Path) -> Result<Description> {
    let label = Label::read(directory)?;
    let file = directory.join("config.ini");
    let content = fs::read_text(&file)?;
    let general = content.lines().skip_while(|line| line.trim() != "[general]").skip(1);
    let general: Vec<&str> = general.take_while(|line| !line.starts_with('[')).collect();
    let get = |key: &str| {
        let value = general.iter().find_map(|line| {
            let (name, value) = line.split_once('=')?;
            (name.trim() == key).then(|| value.trim().to_owned())
        });
        value.ok_or_else(|| Error::input(format!("{}: section [general] has no `{key}`", text::path(&file))))
    };
    Ok(Description {
        label,
        version: get("_version")?,
        release: get("_release").unwrap_or_else(|_| "1".to_owned()),
        summary: get("_summary")?,
        license: get("_license")?,
        packager: get("_maintainer")?,
        vendor: get("_vendor")?,
        url: get("_url")?,
    })
}
