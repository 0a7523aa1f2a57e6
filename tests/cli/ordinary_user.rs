//! The whole life of a plugin as an ordinary user, whatever the umask is.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::{Done, Sandbox, tree};

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().permissions().mode() & 0o7777
}

/// What is below `dir` and others can write to; links have no mode of their own.
fn open_to_others(dir: &Path) -> Vec<String> {
    let is_open = |name: &String| {
        let path = dir.join(name);
        !path.is_symlink() && mode(&path) & 0o002 != 0
    };
    tree(dir).into_iter().filter(is_open).collect()
}

/// Two versions of a plugin with a package, a daemon and a private file, and another one for development.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    for (dir, version) in [("one/p", "0.0.1"), ("two/p", "0.0.2"), ("q", "0.0.1")] {
        let name = dir.rsplit('/').next().unwrap();
        sandbox.daemon_plugin(name, "exec sleep 9000\n");
        let at = sandbox.work().join(dir);
        if dir != name {
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            fs::rename(sandbox.work().join(name), &at).unwrap();
        }
        let config = sandbox
            .read(&format!("{dir}/config.ini"))
            .replace("_version=0.0.1", &format!("_version={version}"));
        sandbox.write(&format!("{dir}/config.ini"), config);
        let secret = sandbox.write(&format!("{dir}/secret"), "key");
        fs::set_permissions(secret, fs::Permissions::from_mode(0o600)).unwrap();
        let sources = format!("{dir}/python3_virtualenv_sources");
        sandbox.write(
            &format!("{sources}/requirements-to-freeze.txt"),
            "--no-index\n--find-links vendor\nalpha\n",
        );
        sandbox.write(&format!("{sources}/allow_binary_packages"), "");
        crate::support::wheel::wheel(&sandbox.work().join(sources).join("vendor"), "alpha", "1.0", "a", &[]);
    }
    sandbox
}

fn lives(umask: &str) {
    let sandbox = sandbox();
    let run = |arguments: &[&str]| {
        let mut mwp = sandbox.as_ordinary_user_with_umask(umask, arguments);
        for (variable, name) in
            [("PIP_CACHE_DIR", "pip"), ("UV_CACHE_DIR", "uv"), ("npm_config_cache", "npm")]
        {
            mwp.env(variable, sandbox.path("home").join(name));
        }
        Done::of(&mut mwp)
    };
    run(&["bootstrap", "create", "--no-input", "--template", "python3_noweb", "made"]).succeeded();
    run(&["build", "-C", "one/p"]).succeeded();
    for dir in ["one/p", "two/p"] {
        run(&["release", "-q", "-C", dir]).succeeded();
    }
    run(&["install", "p-0.0.1-1.metwork.mfserv.plugin"]).succeeded();
    run(&["verify"]).succeeded().says("p is as it was packed");
    run(&["exec", "p", "--", "python3", "-c", "import alpha"]).succeeded();

    // Without nginx, which may not be there.
    let settings = sandbox.path("home/.local/share/mwp/mfserv/config/config.ini");
    fs::write(settings, "[nginx]\nflag=0\n").unwrap();
    struct Down<'a>(&'a dyn Fn(&[&str]) -> Done);
    impl Drop for Down<'_> {
        fn drop(&mut self) {
            (self.0)(&["down"]);
        }
    }
    run(&["up", "--detach", "--module", "mfserv"]).succeeded();
    let down = Down(&run);
    run(&["status"]).succeeded();
    run(&["install", "--force", "p-0.0.2-1.metwork.mfserv.plugin"]).succeeded();
    run(&["status"]).succeeded();
    for dir in ["home", "work"] {
        assert_eq!(open_to_others(&sandbox.path(dir)), [""; 0], "umask {umask}");
    }
    drop(down);
    run(&["status"]).exited(1).says("no module is up");

    run(&["list"]).succeeded().prints("0.0.2");
    run(&["verify"]).succeeded().says("p is as it was packed");
    run(&["repackage", "--force", "p"]).succeeded();
    run(&["develop", "-C", "q"]).succeeded();
    run(&["list"]).succeeded().prints("dev_link");
    run(&["cronwrap", "--lock", "--log-capture-to", "job.log", "--", "echo", "x"]).succeeded();
    assert_eq!(mode(&sandbox.base().join("p/secret")), 0o600);
    assert_eq!(mode(&sandbox.base().join("p/config.ini")), 0o644);
    assert_eq!(mode(&sandbox.base().join("p")), 0o755);
    for dir in ["home", "work"] {
        assert_eq!(open_to_others(&sandbox.path(dir)), [""; 0], "umask {umask}");
    }
    run(&["uninstall", "p", "q"]).succeeded();
    assert_eq!(run(&["list", "--raw"]).succeeded().stdout, "");
}

#[test]
fn a_plugin_lives_as_an_ordinary_user_and_umask_000_opens_nothing() {
    lives("000");
}

#[test]
fn a_plugin_lives_as_an_ordinary_user_with_umask_022() {
    lives("022");
}

#[test]
fn a_plugin_lives_as_an_ordinary_user_with_umask_077() {
    lives("077");
}
