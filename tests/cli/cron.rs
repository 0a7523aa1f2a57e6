//! Plugins' jobs in the user's crontab: `mwp cron`, and what installing does to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::{CONFIG, Done, Sandbox, tree};

const JOB: &str = "0 2 * * * {{MFSERV_HOME}}/bin/cronwrap.sh --lock --log-capture-to x.log -- \
                   plugin_wrapper {{MFSERV_CURRENT_PLUGIN_NAME}} -- echo {{MFSERV_CURRENT_PLUGIN_CUSTOM_WORD}}\n";

impl Sandbox {
    /// Releases a plugin with this crontab, and removes its directory.
    fn with_jobs(&self, name: &str, version: &str, crontab: &str) -> PathBuf {
        let dir = self.plugin(name);
        let config = CONFIG.replace("_version=0.0.1", &format!("_version={version}"));
        self.write(&format!("{name}/config.ini"), format!("{config}[custom]\nword=one\n"));
        self.write(&format!("{name}/crontab"), crontab);
        self.ok(["release", "-q", "-C", name]);
        fs::remove_dir_all(dir).unwrap();
        self.work().join(format!("{name}-{version}-1.metwork.mfserv.plugin"))
    }

    fn install(&self, file: &Path) -> Done {
        self.ok(["install".as_ref(), "--force".as_ref(), file.as_os_str()])
    }

    fn home_of_commands(&self) -> PathBuf {
        self.path("home/.local/share/mwp/mfserv/var/metwork/mfserv")
    }

    fn block(&self, name: &str, lines: &str) -> String {
        format!(
            "##### BEGINNING OF METWORK MFSERV PLUGIN {name} CRONTAB #####\n\
             # made by mwp, edits are lost; plugins base: {}\n{lines}\
             ##### END OF METWORK MFSERV PLUGIN {name} CRONTAB #####\n",
            fs::canonicalize(self.base()).unwrap().display()
        )
    }

    /// The lines of [`JOB`].
    fn job(&self, name: &str, word: &str) -> String {
        let home = self.home_of_commands();
        format!(
            "0 2 * * * {}/bin/cronwrap.sh --lock --log-capture-to x.log -- plugin_wrapper {name} -- echo {word}\n",
            home.display()
        )
    }

    fn has_note(&self) -> bool {
        self.base().join(".mwp/crontab").exists()
    }
}

#[test]
fn jobs_come_and_go_with_their_plugin_and_foreign_lines_stay() {
    let sandbox = Sandbox::new();
    let foreign = "MAILTO=me\n\n  # caf\u{e9}\t\r\n17 3 * * * mine % x\n";
    sandbox.write_crontab(foreign);
    let one = sandbox.with_jobs("p", "0.0.1", &format!("# comment\n\n{JOB}"));
    let two = sandbox.with_jobs("p", "0.0.2", "@daily other\n");
    sandbox.install(&one).never_says("warning");
    assert_eq!(sandbox.crontab(), format!("{foreign}{}", sandbox.block("p", &sandbox.job("p", "one"))));
    sandbox.ok(["install".as_ref(), "--new-name=q".as_ref(), one.as_os_str()]);
    let q = sandbox.block("q", &sandbox.job("q", "one"));
    assert!(sandbox.crontab().ends_with(&q));
    sandbox.install(&two);
    let p = sandbox.block("p", "@daily other\n");
    assert_eq!(sandbox.crontab(), format!("{foreign}{p}{q}"));
    sandbox.ok(["uninstall", "p"]);
    assert_eq!(sandbox.crontab(), format!("{foreign}{q}"));
    sandbox.ok(["uninstall", "q"]);
    assert_eq!(sandbox.crontab(), foreign);
    assert_eq!(tree(&sandbox.base()), [".mwp", ".mwp/lock"]);
}

#[test]
fn who_had_no_crontab_has_none_again() {
    let sandbox = Sandbox::new();
    let file = sandbox.with_jobs("p", "0.0.1", JOB);
    sandbox.install(&file);
    assert!(sandbox.path("crontab").exists());
    sandbox.ok(["uninstall", "p"]);
    assert!(!sandbox.path("crontab").exists());
}

#[test]
fn a_broken_crontab_is_left_out_with_a_warning_and_the_others_are_installed() {
    let sandbox = Sandbox::new();
    let bad = sandbox.with_jobs("bad", "0.0.1", "# one\n==== BASE ====\n61 * * * * x\n");
    let good = sandbox.with_jobs("good", "0.0.1", "@daily good\n");
    sandbox
        .ok(["install".as_ref(), bad.as_os_str(), good.as_os_str()])
        .says("installed bad")
        .says("warning: the cron jobs of `bad` were left out: ")
        .says("/bad/crontab:2: found `==== BASE ====`; `MINUTE HOUR DAY MONTH WEEKDAY COMMAND`")
        .says("/bad/crontab:3: found the minute `61`; 0-59")
        .says("hint: ");
    assert_eq!(sandbox.crontab(), sandbox.block("good", "@daily good\n"));
    sandbox.fails(1, ["cron", "sync"]).says("error: ").says("/bad/crontab:3: found the minute `61`");
    sandbox.fails(1, ["cron", "show"]).prints("bad: its crontab is broken\ngood: in the crontab\n");
    // A version that is broken takes the jobs of the old one with it.
    let broken = sandbox.with_jobs("good", "0.0.2", "@dayly good\n");
    sandbox.install(&broken).says("did you mean `@daily`?");
    assert!(!sandbox.path("crontab").exists());
}

#[test]
fn an_override_counts_when_the_crontab_is_made_again() {
    let sandbox = Sandbox::new();
    let file = sandbox.with_jobs("p", "0.0.1", JOB);
    sandbox.install(&file);
    sandbox.ok(["cron", "sync"]).says("the crontab is as it should be");
    sandbox.ok(["cron", "show", "p"]).prints("p: in the crontab\n  0 2 * * * ");
    let overrides = sandbox.path("home/.local/share/mwp/mfserv/config/plugins/p.ini");
    fs::write(overrides, "[custom]\nword=50%\n").unwrap();
    sandbox.fails(1, ["cron", "show"]).prints("p: in the crontab, yet not like this").says("mwp cron sync");
    sandbox.ok(["cron", "sync", "--module", "mfserv"]).says("p: changed, 1 job now");
    assert_eq!(sandbox.crontab(), sandbox.block("p", &sandbox.job("p", "50\\%")));
    let shown: serde_json::Value =
        serde_json::from_str(&sandbox.ok(["cron", "show", "--json"]).stdout).unwrap();
    assert_eq!((&shown[0]["name"], &shown[0]["state"]), (&"p".into(), &"present".into()));
    sandbox.fails(1, ["cron", "show", "q"]).says("the plugin `q` is not installed");
}

#[test]
fn what_is_stale_or_missing_is_put_right_and_edits_in_a_block_go() {
    let sandbox = Sandbox::new();
    for name in ["gone", "kept", "edited"] {
        let file = sandbox.with_jobs(name, "0.0.1", "@daily x\n");
        sandbox.install(&file);
    }
    fs::remove_dir_all(sandbox.base().join("gone")).unwrap();
    let edited = sandbox.crontab().replacen(
        "PLUGIN edited CRONTAB #####\n",
        "PLUGIN edited CRONTAB #####\n@weekly y\n",
        1,
    );
    sandbox.write_crontab(&edited);
    sandbox
        .fails(1, ["cron", "show"])
        .prints("edited: in the crontab, yet")
        .prints("gone: in the crontab, and should not be")
        .prints("kept: in the crontab\n");
    let done = sandbox.ok(["cron", "sync"]);
    done.says("gone: removed");
    sandbox.write_crontab("");
    sandbox.ok(["cron", "sync"]).says("kept: 1 job added");
    assert!(sandbox.crontab().contains(&sandbox.block("kept", "@daily x\n")));
    sandbox.ok(["cron", "show"]);
}

#[test]
fn a_beginning_without_its_end_is_left_alone_and_told() {
    let sandbox = Sandbox::new();
    let half = "##### BEGINNING OF METWORK MFSERV PLUGIN p CRONTAB #####\n@daily foreign\n";
    sandbox.write_crontab(half);
    let file = sandbox.with_jobs("p", "0.0.1", "@daily x\n");
    sandbox.install(&file).says("line 1 of the user's crontab begins a block of `p` that has no end");
    assert_eq!(sandbox.crontab(), format!("{half}{}", sandbox.block("p", "@daily x\n")));
    sandbox.ok(["uninstall", "p"]);
    assert_eq!(sandbox.crontab(), half);
}

#[test]
fn a_devlink_and_a_provisioned_plugin_have_their_jobs_too() {
    let sandbox = Sandbox::new();
    sandbox.plugin("d");
    sandbox.write("d/crontab", "@daily {{MFSERV_CURRENT_PLUGIN_DIR}}/x\n");
    sandbox.ok(["develop", "--no-build", "-C", "d"]);
    let home = sandbox.base().join("d");
    assert_eq!(sandbox.crontab(), sandbox.block("d", &format!("@daily {}/x\n", home.display())));
    sandbox.ok(["uninstall", "d"]);
    assert_eq!(sandbox.crontab(), "");
    let file = sandbox.with_jobs("p", "0.0.1", "@daily x\n");
    let provisioning = sandbox.path("etc/metwork.config.d/mfserv/plugins");
    fs::create_dir_all(&provisioning).unwrap();
    fs::copy(file, provisioning.join("p.plugin")).unwrap();
    sandbox.ok(["provision"]);
    assert_eq!(sandbox.crontab(), sandbox.block("p", "@daily x\n"));
}

#[test]
fn a_change_that_fails_leaves_the_crontab_as_it_was() {
    let sandbox = Sandbox::new();
    let file = sandbox.with_jobs("p", "0.0.1", "@daily x\n");
    sandbox.install(&file);
    let before = sandbox.crontab();
    sandbox.plugin("p");
    sandbox.write("p/crontab", "@weekly y\n");
    sandbox.write_executable("p/postinstall", "#!/bin/sh\nexit 3\n");
    sandbox.ok(["release", "-q", "-C", "p"]);
    sandbox.fails(1, ["install", "--force", "p-0.0.1-1.metwork.mfserv.plugin"]);
    assert_eq!(sandbox.crontab(), before);
    assert!(!sandbox.has_note());
    sandbox.ok(["cron", "show"]);
}

#[test]
fn without_cron_only_a_plugin_with_jobs_is_warned_about() {
    let sandbox = Sandbox::new();
    let with = sandbox.with_jobs("with", "0.0.1", "@daily x\n");
    let without = sandbox.with_jobs("without", "0.0.1", "# @daily x\n");
    let bin = sandbox.path("only");
    fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(which::which("python3").unwrap(), bin.join("python3")).unwrap();
    let mwp = |code: i32, arguments: &[&std::ffi::OsStr]| {
        Done::of(sandbox.mwp(arguments).env("PATH", &bin)).exited(code)
    };
    mwp(0, &["install".as_ref(), without.as_os_str()]).never_says("warning");
    mwp(0, &["cron".as_ref(), "sync".as_ref()]).says("the crontab is as it should be");
    mwp(0, &["install".as_ref(), with.as_os_str()])
        .says("warning: there is no `crontab` on PATH: the jobs of `with` do not run")
        .says("hint: install cron");
    mwp(3, &["cron".as_ref(), "sync".as_ref()]).says("error: there is no `crontab`");
    mwp(0, &["uninstall".as_ref(), "with".as_ref()]).never_says("warning");
    sandbox.ok(["cron", "sync"]);
}

#[test]
fn a_crontab_that_cannot_be_read_is_never_written() {
    let sandbox = Sandbox::new();
    let with = sandbox.with_jobs("with", "0.0.1", "@daily x\n");
    let without = sandbox.with_jobs("without", "0.0.1", "");
    let refusal = "case $1 in -l) echo 'You (me) are not allowed to use this program' >&2 ;; *) touch \"$0.used\" ;; esac; exit 1\n";
    sandbox.replace_crontab_program(refusal);
    sandbox.ok(["install".as_ref(), without.as_os_str()]).never_says("warning");
    sandbox
        .ok(["install".as_ref(), with.as_os_str()])
        .says("warning: cannot read the user's crontab: You (me) are not allowed to use this program");
    assert!(!sandbox.path("bin/crontab.used").exists());
    sandbox.fails(3, ["cron", "sync"]);
}

#[test]
fn where_cron_has_no_dry_run_its_refusal_is_found_by_installing() {
    let sandbox = Sandbox::new();
    let file = sandbox.path("crontab");
    sandbox.replace_crontab_program(&format!(
        "file='{}'\ncase $1 in\n-l) cat \"$file\" 2>/dev/null || {{ echo no crontab >&2; exit 1; }} ;;\n\
         -r) rm \"$file\" ;;\n-*) echo usage >&2; exit 1 ;;\n\
         *) if grep -q bad \"$1\"; then echo \"$1:3: bad command\" >&2; exit 1; fi; cp \"$1\" \"$file\" ;;\nesac\n",
        file.display()
    ));
    for (name, job) in [("a", "@daily a"), ("b", "@daily fine"), ("c", "@daily c")] {
        let file = sandbox.with_jobs(name, "0.0.1", job);
        sandbox.install(&file);
    }
    sandbox.write_crontab("@daily mine\n");
    fs::write(sandbox.base().join("b/crontab"), "@daily bad\n").unwrap();
    sandbox.fails(1, ["cron", "sync"]).says("/b/crontab`: cron refuses the jobs: ").says("bad command");
    let expected = ["a", "c"].map(|name| sandbox.block(name, &format!("@daily {name}\n"))).concat();
    assert_eq!(sandbox.crontab(), format!("@daily mine\n{expected}"));
}

#[test]
fn two_modules_and_two_bases_of_one_user_do_not_fight() {
    let sandbox = Sandbox::new();
    let file = sandbox.with_jobs("p", "0.0.1", "@daily serv\n");
    sandbox.install(&file);
    sandbox.write("d/.layerapi2_label", "plugin_p@mfdata\n");
    sandbox.write("d/.layerapi2_dependencies", "python3@mfext\n");
    sandbox.write("d/.plugin_format_version", "1.0.0\n");
    sandbox.write("d/config.ini", CONFIG);
    sandbox.write("d/crontab", "@daily data\n");
    sandbox.ok(["release", "-q", "-C", "d"]);
    sandbox.ok(["install", "p-0.0.1-1.metwork.mfdata.plugin"]);
    let other = |arguments: &[&str]| {
        let base = sandbox.path("other");
        Done::of(sandbox.mwp(arguments).env("MFMODULE_PLUGINS_BASE_DIR", base).env("MFMODULE", "MFSERV"))
            .succeeded()
    };
    let file = sandbox.with_jobs("p", "0.0.2", "@daily other\n");
    other(&["install", file.to_str().unwrap()]);
    for job in ["serv", "data", "other"] {
        assert_eq!(sandbox.crontab().matches(&format!("@daily {job}\n")).count(), 1, "{}", sandbox.crontab());
    }
    let all = sandbox.crontab();
    sandbox.ok(["cron", "sync"]).says("as it should be");
    other(&["cron", "sync"]).says("as it should be");
    other(&["cron", "show"]).prints("p: in the crontab\n  @daily other\n");
    other(&["uninstall", "p"]);
    sandbox.ok(["cron", "sync", "--module=mfdata"]);
    let less = sandbox.crontab();
    assert!(!less.contains("other") && less.contains("serv") && less.contains("data") && all.contains(&less));
}

#[test]
fn a_plugin_in_a_base_that_is_not_the_modules_has_no_jobs() {
    let sandbox = Sandbox::new();
    let file = sandbox.with_jobs("p", "0.0.1", "@daily x\n");
    let install = ["install".as_ref(), "--plugins-base-dir=elsewhere".as_ref(), file.as_os_str()];
    sandbox.ok(install).says("warning: the cron jobs of `p` do not run").says("without --plugins-base-dir");
    assert_eq!(sandbox.crontab(), "");
    sandbox.install(&file);
    sandbox.ok(["uninstall", "--plugins-base-dir=elsewhere", "p"]);
    assert_eq!(sandbox.crontab(), sandbox.block("p", "@daily x\n"));
}

#[test]
fn a_loaded_metwork_has_its_own_home_in_the_crontab() {
    let sandbox = Sandbox::new();
    let file = sandbox.with_jobs("p", "0.0.1", "@daily {{MFSERV_HOME}} {{MFMODULE_HOME}}\n");
    let mut install = sandbox.mwp(["install".as_ref(), file.as_os_str()]);
    for name in ["MFSERV_HOME", "MFMODULE_HOME", "MFEXT_HOME"] {
        install.env(name, "/opt/metwork");
    }
    Done::of(&mut install).succeeded();
    assert_eq!(sandbox.crontab(), sandbox.block("p", "@daily /opt/metwork /opt/metwork\n"));
    assert!(!sandbox.home_of_commands().exists());
}

/// The command of the one job, run as cron runs it.
fn run_as_cron_does(sandbox: &Sandbox) -> Done {
    let crontab = sandbox.crontab();
    let line = crontab.lines().find(|line| !line.starts_with('#')).unwrap();
    let command = line.splitn(6, ' ').last().unwrap().replace("\\%", "%");
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &command]).env_clear().current_dir("/");
    shell.env("HOME", "/").env("LOGNAME", "me").env("SHELL", "/bin/sh").env("PATH", "/usr/bin:/bin");
    Done::of(&mut shell)
}

#[test]
fn a_job_runs_in_the_bare_environment_of_cron_and_logs_to_the_runtime_home() {
    for (home, name) in [("home", "p"), ("home of 'me' 50% $x", "q")] {
        let sandbox = Sandbox::new();
        fs::create_dir_all(sandbox.path(home)).unwrap();
        let job = JOB.replace("echo", "sh -c 'echo $MFSERV_CURRENT_PLUGIN_NAME $MFMODULE \"$HOME\"'");
        let file = sandbox.with_jobs(name, "0.0.1", &job);
        let mut install = sandbox.mwp(["install".as_ref(), file.as_os_str()]);
        Done::of(install.env("HOME", sandbox.path(home))).succeeded();
        let done = run_as_cron_does(&sandbox).succeeded();
        let log = sandbox.path(home).join(".local/share/mwp/mfserv/log/x.log");
        let log = fs::read_to_string(log).unwrap_or_else(|_| panic!("no log: {done:?}"));
        assert_eq!(log, format!("{name} MFSERV {}\n", sandbox.path(home).display()));
    }
}

#[test]
fn what_a_plugins_crontab_sets_holds_for_its_own_jobs_alone() {
    let sandbox = Sandbox::new();
    sandbox.write_crontab("MAILTO=boss\n@daily mine\n");
    let set = "SHELL=/bin/bash\nHOME=/tmp\nPATH=/opt/bin:/usr/bin:/bin\nMAILTO=\"\"\n";
    let script = "[[ a == a ]] && echo $SHELL $PATH $PWD 5\\% && cat%in";
    let one = sandbox.with_jobs("a", "0.0.1", &format!("{set}0 2 * * * {script}\n"));
    let two = sandbox.with_jobs("b", "0.0.1", "@daily b\n");
    sandbox.ok(["install".as_ref(), one.as_os_str(), two.as_os_str()]).never_says("warning");
    sandbox.ok(["cron", "show"]);
    let crontab = sandbox.crontab();
    let (own, behind) = crontab.split_once("##### END OF").unwrap();
    assert!(behind.contains("\n@daily b\n") && !behind.contains("SHELL"), "{crontab}");
    // What holds behind the block is what held before it.
    let set: Vec<&str> = own.lines().filter(|line| line.starts_with("MAILTO")).collect();
    assert_eq!(set, ["MAILTO=boss", "MAILTO=\"\"", "MAILTO=boss"]);
    assert!(!own.lines().any(|line| line.starts_with("SHELL") || line.starts_with("HOME")), "{crontab}");
    // As cron does: what is behind the `%` is input.
    let line = own.lines().find(|line| line.starts_with("0 2")).unwrap();
    let command = line.splitn(6, ' ').last().unwrap().replace("\\%", "\0");
    let (command, input) = command.split_once('%').unwrap();
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &command.replace('\0', "%")]).env_clear().current_dir("/").stdin(Stdio::piped());
    let mut child = shell.stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "/bin/bash /opt/bin:/usr/bin:/bin /tmp 5%\nin",
        "{crontab}"
    );
    sandbox.ok(["uninstall", "a", "b"]);
    assert_eq!(sandbox.crontab(), "MAILTO=boss\n@daily mine\n");
}

#[test]
fn a_variable_that_this_cron_does_not_know_is_told_with_its_line() {
    let sandbox = Sandbox::new();
    let told = [
        "/crontab:1: `CRON_TZ` does nothing here: this machine's cron does not know it",
        "/crontab:3: `RANDOM_DELAY` does nothing here",
    ];
    let crontab = "CRON_TZ=UTC\n# so\nRANDOM_DELAY=5\n@daily a\n";
    let file = sandbox.with_jobs("a", "0.0.1", crontab);
    sandbox.install(&file).says(told[0]).says(told[1]);
    sandbox.ok(["cron", "sync"]).says(told[0]).says(told[1]);
    let lines = "CRON_TZ=UTC\nRANDOM_DELAY=5\n@daily a\nCRON_TZ=\"\"\nRANDOM_DELAY=0\n";
    assert_eq!(sandbox.crontab(), sandbox.block("a", lines));
    sandbox.plugin("c");
    sandbox.write("c/crontab", crontab);
    sandbox.ok(["check", "-C", "c"]).says("c/crontab:1").says("`CRON_TZ` does nothing here");
    // cronie knows them.
    let program = fs::read_to_string(sandbox.path("bin/crontab")).unwrap();
    let program = program.replace("#!/bin/sh\n", "").replace("-l)", "-V) echo cronie 1.6 ;;\n-l)");
    sandbox.replace_crontab_program(&program);
    sandbox.ok(["cron", "sync"]).never_says("warning");
    sandbox.ok(["check", "-C", "c"]).never_says("CRON_TZ");
}

#[test]
fn the_known_name_makes_the_crontab_of_the_module() {
    let sandbox = Sandbox::new();
    let file = sandbox.with_jobs("p", "0.0.1", "@daily x\n");
    sandbox.install(&file);
    sandbox.write_crontab("@daily mine\n");
    sandbox.ok(["shims", "../shims"]);
    let mwp = sandbox.mwp([""; 0]);
    let mut command = Command::new(sandbox.path("shims/_make_and_install_crontab.sh"));
    command.envs(mwp.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("MFMODULE", "MFSERV");
    Done::of(command.current_dir(sandbox.work())).succeeded();
    assert_eq!(sandbox.crontab(), format!("@daily mine\n{}", sandbox.block("p", "@daily x\n")));
    Done::of(sandbox.mwp(["cron", "sync"]).env("MFSERV_CURRENT_PLUGIN_NAME", "p")).exited(1);
}

#[test]
fn two_at_once_do_not_lose_each_others_change() {
    let sandbox = Sandbox::new();
    // A slow crontab: what is read is old when it is written.
    let program = fs::read_to_string(sandbox.path("bin/crontab")).unwrap();
    let slow = program.replace("#!/bin/sh\n", "").replace("*) ", "*) sleep 0.1; ");
    sandbox.replace_crontab_program(&slow);
    sandbox.write_crontab("@daily mine\n");
    let names: Vec<String> = (0..6).map(|number| format!("p{number}")).collect();
    for name in &names {
        let home = sandbox.installed(name);
        fs::write(home.join("crontab"), "@daily x\n").unwrap();
    }
    // Each its own base, so that the bases' locks do not keep them apart.
    let start = |name: &String| {
        let base = sandbox.path("bases").join(name);
        fs::create_dir_all(&base).unwrap();
        fs::rename(sandbox.base().join(name), base.join(name)).unwrap();
        fs::write(base.join(name).join(".metadata.json"), METADATA).unwrap();
        let mut sync = sandbox.mwp(["cron", "sync", "--module=mfserv"]);
        sync.env("MFMODULE_PLUGINS_BASE_DIR", base).stderr(Stdio::null()).spawn().unwrap()
    };
    let children: Vec<_> = names.iter().map(start).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let crontab = sandbox.crontab();
    assert!(crontab.starts_with("@daily mine\n"));
    for name in &names {
        assert_eq!(
            crontab.matches(&format!("BEGINNING OF METWORK MFSERV PLUGIN {name} ")).count(),
            1,
            "{crontab}"
        );
    }
}

const METADATA: &str = r#"{"version": "1.0", "release": "1", "build_host": "box", "build_date": "2026-01-02T03:04:05Z",
    "size": "12", "summary": "s", "license": "BSD", "packager": "me", "vendor": "v", "url": "u"}"#;

#[test]
fn a_command_killed_at_any_moment_leaves_a_crontab_that_the_next_one_puts_right() {
    let sandbox = Sandbox::new();
    sandbox.write_crontab("@daily mine\n");
    let one = sandbox.with_jobs("p", "0.0.1", "@daily one\n");
    let two = sandbox.with_jobs("p", "0.0.2", "@daily two\n");
    let mut noted = 0;
    for round in 0..30 {
        let update = round % 2 == 0;
        sandbox.install(&one);
        let arguments: Vec<&std::ffi::OsStr> = match update {
            true => vec!["install".as_ref(), "--force".as_ref(), two.as_os_str()],
            false => vec!["uninstall".as_ref(), "p".as_ref()],
        };
        let mut child = sandbox.mwp(&arguments).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(2 + round * 3));
        child.kill().unwrap();
        child.wait().unwrap();
        noted += u32::from(sandbox.has_note());
        sandbox.ok(["list"]);
        let expected = match fs::read_to_string(sandbox.base().join("p/crontab")) {
            Ok(jobs) => sandbox.block("p", &jobs),
            Err(_) => String::new(),
        };
        assert_eq!(sandbox.crontab(), format!("@daily mine\n{expected}"), "round {round}");
        assert!(!sandbox.has_note());
    }
    println!("{noted} kills between the first visible step and the end");
    assert!(noted > 0, "no kill came at an interesting moment");
}

#[test]
fn the_status_of_a_module_tells_of_jobs_that_are_not_in_the_crontab() {
    let sandbox = Sandbox::new();
    let file = sandbox.with_jobs("p", "0.0.1", JOB);
    sandbox.install(&file);
    let up = sandbox.up_without_nginx();
    sandbox.ok(["status"]).never_says("crontab");
    sandbox.write_crontab("");
    sandbox.ok(["status"]).says("warning: p: its jobs are not in the crontab");
    drop(up);
}
