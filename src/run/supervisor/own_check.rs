//! `bin/plugin.status`, a plugin's own word on whether it is well: exit code 0, or a reason on standard error.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::AsyncReadExt;

use super::process::MARK;
use crate::process::Birth;
use crate::run::Plan;
use crate::run::status::Test;
use crate::text;

/// It takes no longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// It says no more; whoever says more is not listened to any longer.
const LONGEST: u64 = 64 * 1024;

/// What the plugin says, where it has such a program. Whatever the program has started ends with it.
pub(super) async fn own_check(plan: &Plan) -> Option<Test> {
    let home = &plan.plugin.dir;
    let program = home.join("bin/plugin.status");
    is_executable(&program).then_some(())?;
    let outcome = tokio::time::timeout(PATIENCE, run(&program, home, plan)).await;
    let outcome =
        outcome.unwrap_or_else(|_| Err(format!("it did not end within {}", text::duration(PATIENCE))));
    Some(match outcome {
        Ok(()) => Test { ok: true, reason: None },
        Err(reason) => Test { ok: false, reason: Some(format!("bin/plugin.status: {reason}")) },
    })
}

async fn run(program: &Path, home: &Path, plan: &Plan) -> Result<(), String> {
    let mut command = tokio::process::Command::new(program);
    command.current_dir(home).env_clear().envs(plan.environment.iter()).kill_on_drop(true);
    command.env(MARK, "check").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Birth::in_group().ended_with_parent(Signal::KILL).of(command.as_std_mut());
    let failed = |error: std::io::Error| text::io_reason(&error).to_string();
    let mut child = command.spawn().map_err(failed)?;
    let _group = Group(child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)));
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (mut said, mut complained) = (Vec::new(), Vec::new());
    let reading = async {
        let out = async { Some(out?.take(LONGEST).read_to_end(&mut said).await) };
        let err = async { Some(err?.take(LONGEST).read_to_end(&mut complained).await) };
        tokio::join!(out, err)
    };
    // What it left in the background may hold its output open: its own end counts.
    let (status, _) = tokio::join!(child.wait(), tokio::time::timeout(PATIENCE / 2, reading));
    if status.map_err(failed)?.success() {
        return Ok(());
    }
    let said = if complained.is_empty() { said } else { complained };
    let said = String::from_utf8_lossy(&said);
    let line = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it gave no reason");
    Err(text::visible(line))
}

/// Ends with this, whatever it has become.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
