//! `mwp cache info` and `mwp cache prune`.

use clap::{Args, Subcommand};

use super::Context;
use super::build::store;
use crate::error::Result;
use crate::text;

/// Show or empty the user's cache of task outputs, wheels and frames
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp cache info")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show where the cache is and how much it holds
    #[command(after_help = "Example: mwp cache info")]
    Info,
    /// Remove what nobody used for 30 days, and what is above the size limit (MWP_CACHE_SIZE bytes, 5 GB)
    #[command(after_help = "Example: mwp cache prune --all")]
    Prune {
        /// Remove everything
        #[arg(long)]
        all: bool,
    },
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<()> {
    let store = store(context);
    match &arguments.command {
        Command::Info => {
            let usage = store.usage()?;
            if context.output.is_json() {
                context.output.json(&usage);
                return Ok(());
            }
            context.output.row(&format!("directory  {}", usage.directory.display()));
            context.output.row(&format!(
                "size       {} of {}",
                text::size(usage.size),
                text::size(usage.limit)
            ));
            for bucket in &usage.buckets {
                let entries = if bucket.entries == 1 { "entry" } else { "entries" };
                context.output.row(&format!(
                    "{:10} {} in {} {entries}",
                    bucket.name,
                    text::size(bucket.size),
                    bucket.entries
                ));
            }
            Ok(())
        }
        Command::Prune { all } => {
            let freed = store.prune(*all)?;
            context.output.note(&format!("freed {}", text::size(freed)));
            if context.output.is_json() {
                context.output.json(&serde_json::json!({ "freed": freed }));
            }
            Ok(())
        }
    }
}
