//! `-q` and `-v`, which all commands have.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

const QUIET: &str = "quiet";
const VERBOSE: &str = "verbose";

/// How much to say. The options are those of [`arguments`], which the root has: a command that asks for this adds none.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Loudness {
    /// Nothing but warnings and errors.
    pub(crate) quiet: bool,
    /// Details, too.
    pub(crate) verbose: bool,
}

/// The options; of several, the last counts.
pub(super) fn arguments() -> [Arg; 2] {
    let flag = |name: &'static str, short, help: &'static str| {
        let argument = Arg::new(name).long(name).short(short).help(help).action(ArgAction::SetTrue);
        argument.global(true).overrides_with_all([QUIET, VERBOSE])
    };
    // Behind a command's own, before `--json`.
    [
        flag(QUIET, 'q', "Say nothing but warnings and errors").display_order(898),
        flag(VERBOSE, 'v', "Say more; of `-q` and `-v` the last counts").display_order(899),
    ]
}

impl Loudness {
    pub(super) fn of(matches: &ArgMatches) -> Loudness {
        Loudness { quiet: matches.get_flag(QUIET), verbose: matches.get_flag(VERBOSE) }
    }
}

impl FromArgMatches for Loudness {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Loudness, clap::Error> {
        Ok(Loudness::of(matches))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Loudness::of(matches);
        Ok(())
    }
}

impl Args for Loudness {
    fn augment_args(command: Command) -> Command {
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        command
    }
}
