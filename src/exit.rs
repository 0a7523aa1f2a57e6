//! Every exit code of `mwp`, in one place.
//!
//! The shims for existing commands have codes of their own, documented beside each of them.

/// Done; nothing to report.
pub const DONE: u8 = 0;
/// The plugin or its input is at fault: a bad label, a bad configuration, a failed task, a refused archive.
pub const INPUT: u8 = 1;
/// The command line is at fault: an unknown option, a missing argument.
pub const USAGE: u8 = 2;
/// The machine is at fault: a full disk, no network, a missing tool, a directory that cannot be written.
pub const MACHINE: u8 = 3;
/// What was asked for is done; something after it failed, and the message says what.
pub const DONE_BUT: u8 = 4;
/// Interrupted by a signal (^C, SIGTERM, SIGHUP).
pub const INTERRUPTED: u8 = 130;

/// `exec` and `env`: the command is there and cannot be run, as shells have it.
pub const NOT_EXECUTABLE: u8 = 126;
/// `exec` and `env`: there is no such command, as shells have it.
pub const NOT_FOUND: u8 = 127;
/// `cronwrap`: the command did not end in time and was killed.
pub const TIMED_OUT: u8 = 12;
