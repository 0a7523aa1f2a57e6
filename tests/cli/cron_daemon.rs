//! The machine's own cron, in a world of its own: a job of an installed plugin fires.

use std::fs;
use std::process::{Command, Stdio};

use crate::support::{Done, Sandbox, path_without_uv};

/// Waits for at most 75 seconds: a job of every minute has started by then.
const SCRIPT: &str = r#"
set -e
for dir in /var/spool/cron /etc/cron.d /run; do mount -t tmpfs none $dir; done
mount --bind /dev/null /etc/crontab
mkdir /var/spool/cron/crontabs
chgrp crontab /var/spool/cron/crontabs
chmod 1730 /var/spool/cron/crontabs
printf 'A=b\n# mine\n17 3 1 1 * mine\n' | crontab -
"$MWP" install "$1"
crontab -l >with
PATH=$PATH:/usr/sbin:/sbin
env -i PATH=/usr/bin:/bin "$(command -v cron)" -f &
for i in $(seq 150); do
    [ -s "$2" ] && break
    sleep 0.5
done
"$MWP" uninstall p
crontab -l >without
"#;

#[test]
fn a_job_fires_and_its_output_is_in_the_log_of_the_runtime_home() {
    let probe = ["--mount", "--pid", "--fork", "mount", "-t", "tmpfs", "none", "/var/spool"];
    let can_mount = Command::new("unshare").args(probe).stderr(Stdio::null()).status();
    if which::which("crontab").is_err() || !can_mount.is_ok_and(|status| status.success()) {
        println!("skipped: this needs cron and root");
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.write(
        "p/crontab",
        "SHELL=/bin/bash\nHOME=/tmp\nMAILTO=\"\"\n* * * * * [[ $PWD == /tmp ]] && \
         {{MFSERV_HOME}}/bin/cronwrap.sh --lock --log-capture-to x.log -- \
         plugin_wrapper {{MFSERV_CURRENT_PLUGIN_NAME}} -- sh -c 'echo $MFSERV_CURRENT_PLUGIN_NAME was here'\n",
    );
    sandbox.ok(["release", "-q", "-C", "p"]);
    let log = sandbox.path("home/.local/share/mwp/mfserv/log/x.log");
    let mwp = sandbox.mwp([""; 0]);
    let mut unshare = Command::new("unshare");
    // With the first process of the new world everything in it ends, cron too.
    unshare.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", SCRIPT, "sh"]);
    unshare.arg("p-0.0.1-1.metwork.mfserv.plugin").arg(&log).current_dir(sandbox.work());
    unshare.envs(mwp.get_envs().filter_map(|(name, value)| Some((name, value?))));
    unshare.env("PATH", path_without_uv()).env("MWP", mwp.get_program());
    Done::of(&mut unshare).succeeded();
    let with = sandbox.read("with");
    let foreign = "A=b\n# mine\n17 3 1 1 * mine\n";
    assert!(
        with.starts_with(&format!("{foreign}##### BEGINNING OF METWORK MFSERV PLUGIN p CRONTAB #####\n")),
        "{with}"
    );
    assert_eq!(fs::read_to_string(log).unwrap(), "p was here\n");
    assert_eq!(sandbox.read("without"), foreign);
}
