//! Locks of Python: they change as little as they must, are checked, and are what the requirements ask for – by pip and
//! by uv, from directories of tiny wheels, without a network.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use crate::support::wheel::{project, wheel, wheel_with};
use crate::support::{Done, Sandbox, path_with_uv, path_without_uv};

const LINKS: &str = "--no-index\n--find-links ./vendor\n";
const SOURCES: &str = "p/python3_virtualenv_sources";
const LOCK: &str = "p/python3_virtualenv_sources/requirements3.txt";
const FILES: &str = "p/python3_virtualenv_sources/pylock.toml";

fn paths() -> [OsString; 2] {
    [path_with_uv(), path_without_uv()]
}

/// Runs without the index settings of the machine.
fn run(sandbox: &Sandbox, path: &OsString, arguments: &[&str]) -> Done {
    let mut mwp = sandbox.mwp(arguments);
    Done::of(mwp.env("PATH", path).env_remove("PIP_FIND_LINKS"))
}

/// A plugin with these requirements, and the directory that it takes its wheels from.
fn plugin(sandbox: &Sandbox, requirements: &str) -> PathBuf {
    let dir = sandbox.python_plugin("p", &format!("{LINKS}{requirements}"));
    let vendor = dir.join("python3_virtualenv_sources/vendor");
    fs::create_dir_all(&vendor).unwrap();
    vendor
}

fn want(sandbox: &Sandbox, requirements: &str) {
    sandbox.write(&format!("{SOURCES}/requirements-to-freeze.txt"), format!("{LINKS}{requirements}"));
}

fn pins(sandbox: &Sandbox) -> Vec<String> {
    sandbox.read(LOCK).lines().filter(|line| !line.starts_with(['#', '-'])).map(str::to_owned).collect()
}

fn sha256(path: &std::path::Path) -> String {
    let output = Done::of(Command::new("sha256sum").arg(path)).succeeded().stdout;
    output.split(' ').next().unwrap().to_owned()
}

#[test]
fn a_lock_changes_as_little_as_it_must() {
    for path in &paths() {
        let sandbox = Sandbox::new();
        let vendor = plugin(&sandbox, "flask==3.0.0\n");
        wheel_with(&vendor, "flask", "3.0.0", "f", &["Requires-Dist: werkzeug"], &[]);
        wheel(&vendor, "werkzeug", "1.0", "w", &[]);
        run(&sandbox, path, &["build", "-C", "p"]).succeeded().says("freeze: + flask 3.0.0");
        // Newer versions of all come out.
        wheel_with(&vendor, "flask", "3.1.0", "f", &["Requires-Dist: werkzeug"], &[]);
        wheel(&vendor, "werkzeug", "2.0", "w", &[]);
        wheel_with(&vendor, "requests", "2.34", "r", &["Requires-Dist: werkzeug"], &[]);
        run(&sandbox, path, &["build", "-C", "p"]).succeeded();
        assert_eq!(pins(&sandbox), ["flask==3.0.0", "werkzeug==1.0"]);
        want(&sandbox, "flask\nrequests\n");
        run(&sandbox, path, &["build", "--locked", "-C", "p"]).exited(1);
        run(&sandbox, path, &["build", "-C", "p"])
            .succeeded()
            .says("freeze: + requests 2.34")
            .never_says("~ ");
        assert_eq!(pins(&sandbox), ["flask==3.0.0", "requests==2.34", "werkzeug==1.0"]);
        // What has to move moves, and nothing else.
        want(&sandbox, "flask>3.0\nrequests\n");
        run(&sandbox, path, &["build", "-C", "p"]).succeeded().says("freeze: ~ flask 3.0.0 → 3.1.0");
        assert_eq!(pins(&sandbox), ["flask==3.1.0", "requests==2.34", "werkzeug==1.0"]);
        want(&sandbox, "flask>3.0\n");
        run(&sandbox, path, &["build", "-C", "p"]).succeeded().says("freeze: - requests 2.34");
        assert_eq!(pins(&sandbox), ["flask==3.1.0", "werkzeug==1.0"]);
    }
}

#[test]
fn lock_makes_upgrades_and_checks_without_building() {
    for path in &paths() {
        let sandbox = Sandbox::new();
        let vendor = plugin(&sandbox, "alpha\nbeta\n");
        wheel(&vendor, "alpha", "1.0", "a", &[]);
        wheel(&vendor, "beta", "1.0", "b", &[]);
        run(&sandbox, path, &["lock", "--check", "-C", "p"]).exited(1).says("hint: run `mwp lock`");
        assert!(!sandbox.work().join(LOCK).exists());
        run(&sandbox, path, &["lock", "-C", "p"]).succeeded().says("+ alpha 1.0").says("+ beta 1.0");
        assert!(
            !sandbox.work().join(format!("{SOURCES}/src")).exists()
                && !sandbox.work().join("p/local").exists()
        );
        run(&sandbox, path, &["lock", "--check", "-C", "p"]).succeeded().prints("`p`: the locks fit");
        for version in ["2.0", "3.0"] {
            wheel(&vendor, "alpha", version, "a", &[]);
            wheel(&vendor, "beta", version, "b", &[]);
        }
        run(&sandbox, path, &["lock", "-C", "p"]).succeeded();
        assert_eq!(pins(&sandbox), ["alpha==1.0", "beta==1.0"]);
        run(&sandbox, path, &["lock", "--upgrade-package", "alpha==2.0", "-C", "p"]).succeeded();
        assert_eq!(pins(&sandbox), ["alpha==2.0", "beta==1.0"]);
        run(&sandbox, path, &["lock", "--upgrade-package", "Beta", "-C", "p"]).succeeded();
        assert_eq!(pins(&sandbox), ["alpha==2.0", "beta==3.0"]);
        let done = run(&sandbox, path, &["lock", "--upgrade", "--json", "-C", "p"]).succeeded();
        assert!(done.stdout.contains("~ alpha 2.0 → 3.0"), "{}", done.stdout);
        assert_eq!(pins(&sandbox), ["alpha==3.0", "beta==3.0"]);
        let lock = sandbox.read(LOCK);
        run(&sandbox, path, &["lock", "--upgrade-package", "alhpa", "-C", "p"])
            .exited(2)
            .says("error: the lock has no package `alhpa`")
            .says("hint: did you mean `alpha`?");
        want(&sandbox, "alpha<3\n");
        run(&sandbox, path, &["lock", "--check", "-C", "p"]).exited(1).says("does not fit");
        assert_eq!(sandbox.read(LOCK), lock);
    }
}

#[test]
fn a_hash_in_the_requirements_is_carried_and_enforced() {
    for path in &paths() {
        let sandbox = Sandbox::new();
        let zeros = "0".repeat(64);
        let vendor = plugin(&sandbox, &format!("alpha\nbeta==1.0 --hash=sha256:{zeros}\n"));
        wheel(&vendor, "alpha", "1.0", "a", &[]);
        let beta = sha256(&wheel(&vendor, "beta", "1.0", "b", &[]));
        run(&sandbox, path, &["build", "-C", "p"]).exited(1).says(&format!(
            "requirements-to-freeze.txt:4: no file of `beta` 1.0 has sha256:{zeros}; found sha256:{beta}"
        ));
        assert!(!sandbox.work().join(LOCK).exists());
        want(&sandbox, &format!("alpha\nbeta==1.0 \\\n  --hash=sha256:{beta}\n"));
        run(&sandbox, path, &["build", "-C", "p"]).succeeded();
        assert!(
            sandbox.read(LOCK).contains(&format!("beta==1.0 --hash=sha256:{beta}\n")),
            "{}",
            sandbox.read(LOCK)
        );
        // pip asks for all hashes where there is one: upstream's pip reads this lock too.
        assert!(sandbox.read(LOCK).contains("alpha==1.0 --hash=sha256:"));
        // A lock that upstream made, and a file that somebody put there.
        let lock = sandbox
            .read(LOCK)
            .replace(&beta, &zeros)
            .lines()
            .skip(1)
            .fold(String::new(), |all, line| all + line + "\n");
        sandbox.write(LOCK, lock);
        fs::remove_file(sandbox.work().join(FILES)).unwrap();
        fs::remove_file(sandbox.work().join(format!("{SOURCES}/requirements-to-freeze.txt"))).unwrap();
        run(&sandbox, path, &["build", "--locked", "-C", "p"])
            .exited(1)
            .says(&format!("the file of `beta==1.0` has sha256 {beta}; the lock allows {zeros}"));
    }
}

#[test]
fn pylock_says_which_files_the_pins_may_be_and_they_are_checked() {
    for path in &paths() {
        let sandbox = Sandbox::new();
        let vendor = plugin(&sandbox, "alpha\n");
        let digest = sha256(&wheel(&vendor, "alpha", "1.0", "a", &[]));
        run(&sandbox, path, &["build", "-C", "p"]).succeeded();
        let files = sandbox.read(FILES);
        assert!(files.starts_with("lock-version = \"1.0\"\ncreated-by = \"mwp\"\n"), "{files}");
        let entry = format!(
            "{{ path = \"vendor/alpha-1.0-py3-none-any.whl\", hashes = {{ sha256 = \"{digest}\" }} }}"
        );
        assert!(files.contains(&entry), "{files}");
        assert!(!files.contains(&*sandbox.work().to_string_lossy()), "{files}");
        // On another machine, with an index where somebody changed the file.
        sandbox.write(FILES, files.replace(&digest, &"1".repeat(64)));
        run(&sandbox, path, &["build", "--locked", "-C", "p"])
            .exited(1)
            .says(&format!("has sha256 {digest}"));
        // The two locks say one thing.
        sandbox.write(FILES, files.replace("version = \"1.0\"\nwheels", "version = \"2.0\"\nwheels"));
        run(&sandbox, path, &["build", "--locked", "-C", "p"])
            .exited(1)
            .says("--locked does not let it be made");
        run(&sandbox, path, &["build", "-C", "p"]).succeeded();
        assert_eq!(sandbox.read(FILES), files);
        sandbox.write(FILES, "nonsense");
        run(&sandbox, path, &["build", "-C", "p"]).exited(1).says("pylock.toml` is no lock").says("hint: ");
    }
}

#[test]
fn an_upstream_lock_goes_on_working_and_gets_its_files() {
    for path in &paths() {
        let sandbox = Sandbox::new();
        let vendor = plugin(&sandbox, "alpha\n");
        for version in ["1.0", "2.0"] {
            wheel(&vendor, "alpha", version, version, &[]);
        }
        let lock = format!("{LINKS}Alpha==1.0\n");
        sandbox.write(LOCK, &lock);
        run(&sandbox, path, &["build", "--locked", "-C", "p"]).succeeded().never_says("freeze");
        assert!(!sandbox.work().join(FILES).exists());
        run(&sandbox, path, &["explain", "freeze", "-C", "p"]).prints("no `pylock.toml` says which files");
        run(&sandbox, path, &["build", "-C", "p"]).succeeded().never_says("warning");
        assert_eq!(sandbox.read(LOCK), lock);
        assert!(sandbox.read(FILES).contains("version = \"1.0\""));
        // From now on it is known what it was made from.
        fs::remove_dir_all(sandbox.work().join("p/.mwp")).unwrap();
        run(&sandbox, path, &["build", "--locked", "-C", "p"]).succeeded();
        want(&sandbox, "alpha!=7\n");
        run(&sandbox, path, &["build", "--locked", "-C", "p"]).exited(1);
        // Where the index cannot be asked, the lock goes on working all the same.
        want(&sandbox, "alpha\n");
        fs::remove_file(sandbox.work().join(FILES)).unwrap();
        fs::remove_file(vendor.join("alpha-1.0-py3-none-any.whl")).unwrap();
        fs::remove_file(vendor.join("alpha-2.0-py3-none-any.whl")).unwrap();
        let done = run(&sandbox, path, &["lock", "-C", "p"]).succeeded();
        done.says("warning: ").says("so that the wheels are not checked");
        assert_eq!(sandbox.read(LOCK), lock);
    }
}

#[test]
fn an_extra_that_is_added_under_an_upstream_lock_is_noticed() {
    for path in &paths() {
        for was_built in [true, false] {
            let sandbox = Sandbox::new();
            let vendor = plugin(&sandbox, "alpha\n");
            wheel(&vendor, "alpha", "1.0", "a", &["x: gamma"]);
            wheel(&vendor, "gamma", "1.0", "g", &[]);
            sandbox.write(LOCK, format!("{LINKS}alpha==1.0\n"));
            if was_built {
                run(&sandbox, path, &["build", "--locked", "-C", "p"]).succeeded();
            }
            want(&sandbox, "alpha[x]\n");
            run(&sandbox, path, &["build", "--locked", "-C", "p"]).exited(1);
            let done = run(&sandbox, path, &["build", "-C", "p"]).succeeded();
            done.says("freeze: + gamma 1.0").says("was made by another tool");
            assert_eq!(pins(&sandbox), ["alpha==1.0", "gamma==1.0"]);
            run(&sandbox, path, &["build", "--locked", "-C", "p"]).succeeded().says("up to date");
        }
    }
}

#[test]
fn what_an_upstream_lock_lacks_is_added_and_its_pins_stay() {
    for path in &paths() {
        let sandbox = Sandbox::new();
        let vendor =
            plugin(&sandbox, "flask\nrequests ; python_version >= '3'\nnever ; python_version < '3'\n");
        for version in ["2.0.3", "3.0"] {
            wheel(&vendor, "flask", version, "f", &[]);
        }
        wheel(&vendor, "requests", "2.0", "r", &[]);
        wheel(&vendor, "more", "1.0", "m", &[]);
        sandbox.write(LOCK, format!("{LINKS}Flask==2.0.3\nmore==1.0\n"));
        run(&sandbox, path, &["build", "--locked", "-C", "p"]).exited(1);
        let done = run(&sandbox, path, &["build", "-C", "p"]).succeeded();
        assert_eq!(done.stderr.matches("warning: ").count(), 1, "{}", done.stderr);
        done.says("the lock has no pin for `requests ; python_version >= '3'`")
            .says("freeze: + requests 2.0");
        assert_eq!(pins(&sandbox), ["flask==2.0.3", "more==1.0", "requests==2.0"]);
    }
}

#[test]
fn a_failure_leaves_the_locks_as_they_were() {
    for path in &paths() {
        let sandbox = Sandbox::new();
        let vendor = plugin(&sandbox, "alpha\n");
        wheel(&vendor, "alpha", "1.0", "a", &[]);
        run(&sandbox, path, &["build", "-C", "p"]).succeeded();
        let before = (sandbox.read(LOCK), sandbox.read(FILES));
        want(&sandbox, "alpha\n;;\n");
        run(&sandbox, path, &["build", "-C", "p"]).exited(1).says("requirements-to-freeze.txt:4: found `;;`");
        want(&sandbox, "alpha>5\n");
        run(&sandbox, path, &["build", "-C", "p"]).exited(1).says("alpha>5");
        assert_eq!((sandbox.read(LOCK), sandbox.read(FILES)), before);
        let left = fs::read_dir(sandbox.work().join(SOURCES)).unwrap().count();
        assert_eq!(left, 6, "the two locks, the requirements, the policy, vendor and src");
    }
}

#[test]
fn a_branch_stays_at_its_commit_until_it_is_upgraded() {
    for path in &paths() {
        let sandbox = Sandbox::new();
        let repository = sandbox.work().join("there");
        project(&repository, "there", "one");
        let git = |arguments: &[&str]| {
            let mut git = Command::new("git");
            git.args(["-c", "user.name=t", "-c", "user.email=t@localhost"]).args(arguments);
            Done::of(git.current_dir(&repository)).succeeded().stdout.trim().to_owned()
        };
        git(&["init", "-q", "-b", "main"]);
        git(&["add", "."]);
        git(&["commit", "-qm", "one"]);
        let first = git(&["rev-parse", "HEAD"]);
        let address = format!("git+file://{}", repository.display());
        let vendor = plugin(&sandbox, &format!("{address}@main#egg=there\n"));
        wheel(&vendor, "alpha", "1.0", "a", &[]);
        run(&sandbox, path, &["lock", "-C", "p"]).succeeded();
        assert_eq!(pins(&sandbox), [format!("there @ {address}@{first}")]);
        assert!(sandbox.read(FILES).contains("requested-revision = \"main\""), "{}", sandbox.read(FILES));
        git(&["commit", "-qm", "two", "--allow-empty"]);
        git(&["tag", "v2"]);
        let second = git(&["rev-parse", "HEAD"]);
        want(&sandbox, &format!("{address}@main#egg=there\nalpha\n"));
        run(&sandbox, path, &["lock", "-C", "p"]).succeeded();
        assert_eq!(pins(&sandbox), ["alpha==1.0".to_owned(), format!("there @ {address}@{first}")]);
        run(&sandbox, path, &["lock", "--upgrade-package", "there", "-C", "p"]).succeeded();
        assert!(pins(&sandbox).contains(&format!("there @ {address}@{second}")));
        // Another tag is another requirement, under a lock of upstream's too.
        sandbox.write(LOCK, format!("{LINKS}-e {address}@{first}#egg=there\nalpha==1.0\n"));
        fs::remove_file(sandbox.work().join(FILES)).unwrap();
        want(&sandbox, &format!("{address}@v2#egg=there\nalpha\n"));
        run(&sandbox, path, &["build", "--locked", "-C", "p"]).exited(1);
        run(&sandbox, path, &["lock", "-C", "p"]).succeeded();
        assert!(pins(&sandbox).contains(&format!("there @ {address}@{second}")), "{:?}", pins(&sandbox));
    }
}

#[test]
fn pip_that_is_installed_later_is_found() {
    let sandbox = Sandbox::new();
    let dir = sandbox.python_plugin("p", "--no-index\n--find-links vendor\nalpha\n");
    wheel(&dir.join("python3_virtualenv_sources/vendor"), "alpha", "1.0", "a", &[]);
    let (python, site) = (sandbox.path("bin/python3"), sandbox.path("site"));
    // An interpreter that has its packages elsewhere, and no pip there for now.
    let real = String::from_utf8(
        sandbox.command("python3").args(["-c", "import sys; print(sys.executable)"]).output().unwrap().stdout,
    )
    .unwrap();
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *importlib.util*) \"{real}\" \"$@\" | \"{real}\" -c 'import json, os, sys\n\
         said = json.load(sys.stdin)\nsite = \"{site}\"\n\
         said.update(executable=\"{python}\", has_pip=os.path.isdir(site + \"/pip\"))\n\
         print(json.dumps(said))' ;; *) exec \"{real}\" \"$@\" ;; esac\n",
        real = real.trim(),
        site = site.display(),
        python = python.display(),
    );
    fs::create_dir_all(python.parent().unwrap()).unwrap();
    fs::write(&python, script).unwrap();
    fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
    let lock = || {
        let mut mwp = sandbox.mwp(["lock", "-C", "p"]);
        let path = format!("{}:{}", python.parent().unwrap().display(), path_without_uv().display());
        Done::of(mwp.env("PATH", path))
    };
    lock().exited(3).says("there is no `pip` on PATH");
    fs::create_dir_all(site.join("pip")).unwrap();
    lock().succeeded();
}

#[test]
fn a_wheel_of_the_plugin_stands_in_the_lock_by_a_path_that_is_right_in_every_clone() {
    for path in &paths() {
        for requirement in ["./vendor/alpha-1.0-py3-none-any.whl\n", "../wheels/alpha-1.0-py3-none-any.whl\n"]
        {
            let sandbox = Sandbox::new();
            let vendor = plugin(&sandbox, requirement);
            let built = wheel(&vendor, "alpha", "1.0", "a", &[]);
            fs::create_dir_all(sandbox.work().join("p/wheels")).unwrap();
            fs::copy(built, sandbox.work().join("p/wheels/alpha-1.0-py3-none-any.whl")).unwrap();
            run(&sandbox, path, &["lock", "-C", "p"]).succeeded();
            assert_eq!(pins(&sandbox), [requirement.trim()]);
            let work = sandbox.work().display().to_string();
            assert!(!(sandbox.read(LOCK) + &sandbox.read(FILES)).contains(&work), "{}", sandbox.read(FILES));
            // The very first place is gone.
            fs::rename(sandbox.work().join("p"), sandbox.work().join("clone")).unwrap();
            fs::remove_dir_all(sandbox.work().join("clone/.mwp")).unwrap();
            run(&sandbox, path, &["build", "--locked", "-C", "clone"]).succeeded();
        }
    }
}

#[test]
fn a_hash_that_pip_does_not_take_is_named_with_its_line_and_nothing_is_locked() {
    for hash in ["md5:00", "sha256:zz", "sha256", "sha512:ab"] {
        let sandbox = Sandbox::new();
        let vendor = plugin(&sandbox, &format!("alpha==1.0 --hash={hash}\n"));
        wheel(&vendor, "alpha", "1.0", "a", &[]);
        let expected = format!("requirements-to-freeze.txt:3: found the hash `{hash}`; `sha256:`, `sha384:`");
        run(&sandbox, &path_with_uv(), &["check", "-C", "p"]).exited(1).says(&expected);
        run(&sandbox, &path_with_uv(), &["build", "-C", "p"]).exited(1).says(&expected);
        assert!(!sandbox.work().join(LOCK).exists());
    }
}

#[test]
fn a_clone_knows_what_an_extra_needs_by_the_wheels_that_directories_offer() {
    let sandbox = Sandbox::new();
    let vendor = plugin(&sandbox, "alpha[x]\n");
    wheel(&vendor, "alpha", "1.0", "a", &["x: gamma"]);
    wheel(&vendor, "gamma", "1.0", "g", &[]);
    sandbox.write(LOCK, format!("{LINKS}alpha==1.0\n"));
    let expected = "no pin for `gamma`, which `alpha[x]` asks for";
    run(&sandbox, &path_with_uv(), &["lock", "--check", "-C", "p"]).exited(1).says(expected);
    run(&sandbox, &path_with_uv(), &["build", "--locked", "-C", "p"]).exited(1).says(expected);
}
