//! `mwp release`: build what is stale, then pack.

use clap::Args;

use super::Context;
use super::build::{Building, build};
use super::common::Common;
use super::pack::{Packing, pack_all};
use crate::error::Result;
use crate::recipe::Target;

/// Build what a release needs and pack it into one self-contained `.plugin` file
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    building: Building,
    #[command(flatten)]
    packing: Packing,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<()> {
    let built = build(&arguments.building, &arguments.common, Target::Release, context)?;
    if arguments.building.dry_run {
        if arguments.common.json {
            context.output.json(&built);
        }
        return Ok(());
    }
    pack_all(&arguments.packing, &arguments.common, context).map(drop)
}
