//! `mwp clean` and `mwp superclean`.

use clap::Args;

use super::Context;
use super::common::{Common, Places};
use crate::clean::{self, Depth};
use crate::error::Result;
use crate::text;

/// Remove what a build makes and can make again
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp clean shop")]
pub(crate) struct Arguments {
    /// Say what would be removed, and remove nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    places: Places,
}

/// Remove what `clean` removes, and the locks: the next build may take newer versions
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp superclean shop")]
pub(crate) struct SupercleanArguments {
    #[command(flatten)]
    pub(crate) arguments: Arguments,
}

pub(crate) fn run(arguments: &Arguments, depth: Depth, context: &Context) -> Result<()> {
    let common = arguments.common.at(&arguments.places);
    let mut removed = Vec::new();
    for dir in common.directories()? {
        let waiting = |holder: &str| context.output.note(&format!("waiting for {holder}"));
        for path in clean::clean(&dir, depth, arguments.dry_run, waiting)? {
            let path = path.strip_prefix(".").unwrap_or(&path);
            let shown = text::visible_bytes(path.as_os_str().as_encoded_bytes());
            if !context.output.is_json() && !common.loudness.quiet {
                let word = if arguments.dry_run { "would remove" } else { "removed" };
                context.output.note(&format!("{word} {shown}"));
            }
            removed.push(shown);
        }
    }
    if context.output.is_json() {
        context.output.json(&removed);
    }
    Ok(())
}
