//! `mwp logs`: what services wrote, and go on writing.

use std::time::Duration;

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use serde_json::json;

use super::Context;
use super::exec::BaseOption;
use super::output::Output;
use super::shells::Plugins;
use crate::error::{Error, Result};
use crate::installed::modules;
use crate::plugin::Module;
use crate::run::tail::{Tail, files};
use crate::text;

/// Show the logs of a plugin or service
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp logs -f shop/main")]
pub(super) struct Arguments {
    /// Go on as they grow, until ^C
    #[arg(short, long)]
    follow: bool,
    /// How many lines of each log to begin with
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 50)]
    lines: usize,
    /// The module [default: the one whose environment is loaded, or that has such a log]
    #[arg(long)]
    module: Option<String>,
    #[command(flatten)]
    base: BaseOption,
    /// `PLUGIN`, `PLUGIN/SERVICE`, `PLUGIN/SERVICE/WORKER`, `nginx`, `redis` or `supervisor`
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(Plugins))]
    name: String,
}

/// Between two looks for more.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<()> {
    if context.output.is_json() {
        return print_json(arguments, context);
    }
    let mut tails = Vec::new();
    let mut shown = None;
    for path in find(arguments, context)? {
        let (tail, last) = Tail::open(&path, arguments.lines)?;
        tails.push(tail);
        let count = tails.len();
        print(&mut shown, count - 1, &tails, &last, context);
    }
    while arguments.follow && !Output::has_failed() {
        std::thread::sleep(PAUSE);
        for index in 0..tails.len() {
            let more = tails[index].more()?;
            print(&mut shown, index, &tails, &more, context);
        }
    }
    Ok(())
}

fn print_json(arguments: &Arguments, context: &Context) -> Result<()> {
    if arguments.follow {
        return Err(Error::usage("`--follow` does not end, and `--json` is one document")
            .hint("leave out one of them"));
    }
    let mut logs = Vec::new();
    for path in find(arguments, context)? {
        let (_, last) = Tail::open(&path, arguments.lines)?;
        let text = String::from_utf8_lossy(&last);
        logs.push(json!({"file": path.to_string_lossy(), "lines": text.lines().collect::<Vec<_>>()}));
    }
    context.output.json(&logs);
    Ok(())
}

fn find(arguments: &Arguments, context: &Context) -> Result<Vec<std::path::PathBuf>> {
    let base = arguments.base.plugins_base_dir.as_deref();
    let look = |module: &Module| files(&arguments.name, module, base, &context.site);
    let mut first_error = None;
    let mut modules = modules(arguments.module.as_deref(), &context.site)?;
    // What is not there is told of a module that was ever up, if any was.
    modules.sort_by_key(|module| !context.site.runtime_home(module).join("log").is_dir());
    for module in modules {
        match look(&module) {
            Ok(found) => return Ok(found),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or_else(|| Error::input("there are no logs").hint("they begin with `mwp up`")))
}

/// With the name of the log in front, where there are several and the last was another.
fn print(shown: &mut Option<usize>, index: usize, tails: &[Tail], content: &[u8], context: &Context) {
    if content.is_empty() {
        return;
    }
    if tails.len() > 1 && *shown != Some(index) {
        let name = tails[index].path.file_name().unwrap_or_default().as_encoded_bytes();
        context.output.line(&format!("==> {} <==", text::visible_bytes(name)));
    }
    *shown = Some(index);
    context.output.bytes(content);
}
