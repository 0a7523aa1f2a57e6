//! The rules by which mfdata's switches send files to steps.
//!
//! A plugin says in sections of its `config.ini`, or of an override of it, which files it wants: `[switch_rules:TYPE:TAG]`
//! for the plugin `switch`, `[switch_rules@NAME:TYPE:TAG]` for a switch that is installed as `NAME`. `rules` reads what one
//! plugin says. `compiled` puts together what all of them say, into one file for each switch; its step reads that file,
//! and is started anew when it has changed.
//!
//! One bad rule keeps its plugin at the rules that it had before, and touches nobody else's: files that it wanted are not to
//! be taken for files that nobody wants, which are deleted.

mod compiled;
mod rules;

pub use compiled::Compiled;
pub use rules::{Rule, Rules, Target, has_step};
