//! A terminal with a person at it.

use std::process::Command;

use super::Sandbox;

/// Arguments: the columns, a text to wait for, what is typed then, the program and its arguments. What the terminal showed
/// goes to standard output; on standard error is what its end was like.
const SCRIPT: &str = r"
import fcntl, os, pty, struct, sys, termios
columns, awaited, typed = int(sys.argv[1]), sys.argv[2].encode(), sys.argv[3].encode()
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack('HHHH', 24 if columns else 0, columns, 0, 0))
    os.execv(sys.argv[4], sys.argv[4:])
shown, has_typed = b'', False
try:
    while True:
        if not has_typed and awaited in shown:
            has_typed = True
            os.write(terminal, typed)
        chunk = os.read(terminal, 4096)
        if not chunk:
            break
        shown += chunk
except OSError:
    pass
if termios.tcgetattr(terminal)[3] & termios.ECHOCTL:
    print('control characters are echoed', file=sys.stderr)
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
";

impl Sandbox {
    /// `mwp` on a terminal of so many columns (0: it does not say), where a person types something once a text is shown.
    pub fn on_terminal(&self, columns: u16, (awaited, typed): (&str, &str), arguments: &[&str]) -> Command {
        let mut command = self.command("python3");
        command.args(["-c", SCRIPT, &columns.to_string(), awaited, typed, env!("CARGO_BIN_EXE_mwp")]);
        command.args(arguments).env("TERM", "xterm").env_remove("NO_COLOR").env_remove("CI");
        command
    }
}
