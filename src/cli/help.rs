//! `mwp help`: the commands in groups, a command, or a topic.

use clap::Args;

use super::{Context, described};
use crate::error::{Error, Result};
use crate::text;

/// The first page. It names each command once.
pub(super) const OVERVIEW: &str = "\
Builds, ships and runs MetWork plugins

Usage: mwp [OPTIONS] [COMMAND]      without a command: build

Make
  new, init              a plugin from a template: a new directory, or this one
  add, remove            what it requires of PyPI or npm: edits, locks, builds
  bootstrap, migrate     list and update templates; plugins before MetWork 1.0
Build
  build, watch           what is stale; again at each edit
  run, test              a command, or the tests, in the plugin's environment
  lock, outdated, tree   lock or upgrade; what is newer; who requires what
  check, explain, graph  what would be refused; why it is stale; the tasks
  clean, superclean      what a build made; the locks as well
  cache                  show or empty the cache of this user
Ship
  release, pack          a `.plugin` file: built first, or as it is
  info, hash, size, diff what a file or plugin is; what fills it; what changed
Install
  install, uninstall     `.plugin` files, without a network
  hotswap, provision     another version under load; what an image brings
  develop                a directory as it is: edits take effect at once
  list, verify           what is installed; whether it is what was packed
  repackage              a `.plugin` file of what is installed
Run
  up, down, reload       a module: nginx, apps, steps, daemons
  restart, stop          plugins, services, workers
  inject                 files to a step of mfdata
  cron, cronwrap         jobs in the crontab; one run of one
  systemd, circus        units or a circus.ini in place of `mwp up`
Look
  status, logs, metrics  what runs, what it said, for Prometheus
  doctor                 what this machine has and lacks, and how to get it
  env, exec              a shell or a command in a plugin's environment
  help, man, completions this, pages for man, completion for a shell
  shims                  the existing commands of MetWork, done by mwp

Options: -C DIR, -q, -v, --json, -h, -V; `mwp COMMAND --help` has the rest
Topics: mwp help recipes, formats, environment, exit-codes, config, cron, json";

/// What can be read beside the commands.
const TOPICS: [(&str, &str); 7] = [
    ("recipes", include_str!("../../docs/help/recipes.md")),
    ("formats", include_str!("../../docs/help/formats.md")),
    ("environment", include_str!("../../docs/help/environment.md")),
    ("exit-codes", include_str!("../../docs/help/exit-codes.md")),
    ("config", include_str!("../../docs/help/config.md")),
    ("cron", include_str!("../../docs/help/cron.md")),
    ("json", include_str!("../../docs/help/json.md")),
];

/// Show the commands, how one is used, or a topic
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp help exit-codes")]
pub(super) struct Arguments {
    /// A command or a topic: recipes, formats, environment, exit-codes, config, cron, json
    #[arg(value_name = "COMMAND|TOPIC")]
    names: Vec<String>,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<()> {
    let Some(name) = arguments.names.first() else {
        context.output.line(OVERVIEW);
        return Ok(());
    };
    if let Some((_, text)) = TOPICS.iter().find(|(topic, _)| topic == name) {
        context.output.line(text.trim_end());
        return Ok(());
    }
    let mut command = described();
    for name in &arguments.names {
        command = match command.find_subcommand(name) {
            Some(found) => found.clone(),
            None => return Err(unknown(name)),
        };
    }
    context.output.line(command.render_long_help().to_string().trim_end());
    Ok(())
}

fn unknown(name: &str) -> Error {
    let root = described();
    let commands = root.get_subcommands().map(clap::Command::get_name);
    let known = commands.chain(TOPICS.iter().map(|(topic, _)| *topic));
    let error = Error::usage(format!("there is no command or topic `{}`", text::visible(name)));
    match text::nearest(name, known) {
        Some(nearest) => error.hint(format!("did you mean `mwp help {nearest}`?")),
        None => error.hint("`mwp help` lists them"),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::CommandLine;

    #[test]
    fn the_first_page_has_each_command_once_and_at_most_forty_lines_of_eighty_columns() {
        assert!(OVERVIEW.lines().count() <= 40, "{}", OVERVIEW.lines().count());
        assert!(OVERVIEW.lines().all(|line| line.chars().count() <= 80));
        let rows = OVERVIEW.lines().filter_map(|line| line.strip_prefix("  ")?.get(..22));
        let mut named: Vec<&str> = rows.flat_map(|names| names.split(',')).map(str::trim).collect();
        named.sort_unstable();
        let root = described();
        let commands = root.get_subcommands().filter(|command| !command.is_hide_set());
        let mut known: Vec<&str> = commands.map(clap::Command::get_name).collect();
        known.sort_unstable();
        assert_eq!(named, known);
    }

    /// Each command that does something, with its name: `bootstrap list`.
    fn commands(parent: &clap::Command, path: &str) -> Vec<(String, clap::Command)> {
        let visible = parent.get_subcommands().filter(|command| !command.is_hide_set());
        let below = visible.flat_map(|command| {
            let path = format!("{path} {}", command.get_name());
            [vec![(path.clone(), command.clone())], commands(command, &path)].concat()
        });
        below.collect()
    }

    #[test]
    fn each_command_shows_an_example_of_itself_that_is_allowed() {
        let commands = commands(&described(), "mwp");
        assert!(commands.iter().any(|(name, _)| name == "mwp cache prune"), "{commands:?}");
        for (name, command) in commands {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let example = help.strip_prefix("Example: ").unwrap_or_else(|| panic!("`{name}` has no example"));
            assert!(example.starts_with(&name), "`{name}` has the example of another command: {example}");
            let mut words = shlex::split(example).unwrap();
            if let Some(last) = words.iter().position(|word| word.ends_with(';')) {
                words.truncate(last + 1);
                words[last].pop();
            }
            CommandLine::try_parse_from(words).unwrap_or_else(|refusal| panic!("{example}: {refusal}"));
        }
    }
}
