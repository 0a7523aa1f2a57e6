//! Wheels are fetched by ourselves, from a real server, as pip would fetch them; what we cannot do, pip does.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::index::Index;
use crate::support::wheel::{project, wheel};
use crate::support::{Done, Sandbox, path_without_uv, tree};

const SOURCES: &str = "p/python3_virtualenv_sources";
const FILES: &str = "p/python3_virtualenv_sources/pylock.toml";
const VARIABLES: [&str; 9] = [
    "PIP_FIND_LINKS",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
];

/// `mwp` with none of the machine's settings.
fn mwp(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = sandbox.mwp(arguments);
    command.env("PATH", path_without_uv()).env("PIP_CONFIG_FILE", "/dev/null");
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command
}

fn run(sandbox: &Sandbox, arguments: &[&str]) -> Done {
    Done::of(&mut mwp(sandbox, arguments))
}

/// The directory of an index with the wheels `alpha` and `beta`.
fn offered(sandbox: &Sandbox) -> PathBuf {
    let directory = sandbox.path("index");
    for name in ["alpha", "beta"] {
        wheel(&directory, name, "1.0", name, &[]);
    }
    directory
}

/// A plugin with a lock of both; of what was asked for it, nothing counts.
fn locked(sandbox: &Sandbox, index: &Index) {
    sandbox.python_plugin("p", &format!("{}alpha\nbeta\n", index.option()));
    run(sandbox, &["lock", "-C", "p"]).succeeded();
    assert!(sandbox.read(FILES).contains("sha256"), "{}", sandbox.read(FILES));
    index.begin();
}

fn wheels(sandbox: &Sandbox) -> Vec<String> {
    tree(&sandbox.work().join(SOURCES).join("src"))
}

fn is_by_us(request: &str) -> bool {
    request.split(' ').nth(1) == Some("mwp")
}

/// `alpha` for any machine, for another one, and as source.
fn offered_for_others(sandbox: &Sandbox) -> PathBuf {
    let directory = sandbox.path("index");
    let file = wheel(&directory, "alpha", "1.0", "alpha", &[]);
    for other in ["alpha-1.0-cp39-cp39-win_amd64.whl", "alpha-1.0.0.tar.gz", "alpha-1.0.1.tar.gz"] {
        fs::copy(&file, directory.join(other)).unwrap();
    }
    directory
}

#[test]
fn an_index_tells_the_files_for_other_machines_with_and_without_pip() {
    let [json, html] = ["json", "plain"].map(|behaviour| {
        let sandbox = Sandbox::new();
        let index = Index::start(&offered_for_others(&sandbox), behaviour, None);
        // The newer one is source alone, which pip could build.
        sandbox.python_plugin("p", &format!("{}alpha==1.0\n", index.option()));
        run(&sandbox, &["lock", "-C", "p"]).succeeded();
        let lock = sandbox.read(FILES);
        for file in [
            "/files/alpha-1.0-py3-none-any.whl",
            "/files/alpha-1.0-cp39-cp39-win_amd64.whl",
            "/files/alpha-1.0.0.tar.gz",
        ] {
            assert!(lock.contains(file), "{file} {lock}");
        }
        assert!(!lock.contains("1.0.1"), "{lock}");
        let asked = index.all_requests();
        assert!(asked.lines().any(|line| line.starts_with("/simple/alpha/ mwp ")), "{asked}");
        // What it was made from names the index.
        let packages = lock.split("[tool.mwp]").next().unwrap();
        packages.replace(&index.port.to_string(), "PORT")
    });
    assert_eq!(json, html);
}

#[test]
fn an_index_is_asked_with_its_password_which_stands_in_no_lock() {
    let sandbox = Sandbox::new();
    let index = Index::start(&offered_for_others(&sandbox), "json", None);
    sandbox.python_plugin("p", "alpha==1.0\n");
    let address = format!("http://me:secret@127.0.0.1:{}/simple", index.port);
    Done::of(mwp(&sandbox, &["lock", "-C", "p"]).env("PIP_INDEX_URL", address)).succeeded();
    let asked = index.all_requests();
    assert!(asked.contains("/simple/alpha/ mwp Basic bWU6c2VjcmV0"), "{asked}");
    let lock = sandbox.read(FILES);
    assert!(lock.contains("win_amd64") && !lock.contains("secret"), "{lock}");
}

#[test]
fn files_are_fetched_side_by_side() {
    let sandbox = Sandbox::new();
    // Neither of the files comes before both were asked for.
    let index = Index::start(&offered(&sandbox), "together", None);
    locked(&sandbox, &index);
    run(&sandbox, &["build", "--locked", "-C", "p"]).succeeded();
    assert_eq!(wheels(&sandbox), ["alpha-1.0-py3-none-any.whl", "beta-1.0-py3-none-any.whl"]);
    assert!(
        index.requests().len() == 2 && index.requests().iter().all(|line| is_by_us(line)),
        "{:?}",
        index.requests()
    );
    // What was fetched is kept for other plugins.
    fs::remove_dir_all(sandbox.path("home/.cache/mwp/tasks-v2")).unwrap();
    fs::remove_dir_all(sandbox.work().join(SOURCES).join("src")).unwrap();
    index.begin();
    run(&sandbox, &["build", "--locked", "-C", "p"]).succeeded();
    assert_eq!(index.requests(), [""; 0]);
}

#[test]
fn a_file_that_changed_is_refused_and_nothing_is_left() {
    let sandbox = Sandbox::new();
    let directory = offered(&sandbox);
    let index = Index::start(&directory, "plain", None);
    locked(&sandbox, &index);
    wheel(&directory, "beta", "1.0", "evil", &[]);
    run(&sandbox, &["build", "--locked", "-C", "p"])
        .exited(1)
        .says("error: the file of `beta-1.0-py3-none-any.whl` has sha256 ")
        .says("; the lock allows ")
        .says("hint: nothing was installed; find out who changed the file");
    assert!(!sandbox.work().join(SOURCES).join("src").exists());
    assert!(!tree(&sandbox.work()).iter().any(|path| path.ends_with(".whl")), "{:?}", tree(&sandbox.work()));
    // pip is not asked for a second opinion.
    assert!(index.requests().iter().all(|line| is_by_us(line)), "{:?}", index.requests());
}

#[test]
fn a_server_that_stops_in_the_middle_is_asked_again() {
    let sandbox = Sandbox::new();
    let index = Index::start(&offered(&sandbox), "cut", None);
    locked(&sandbox, &index);
    run(&sandbox, &["build", "--locked", "-C", "p"]).succeeded();
    assert_eq!(wheels(&sandbox).len(), 2);
    assert!(
        index.requests().len() == 4 && index.requests().iter().all(|line| is_by_us(line)),
        "{:?}",
        index.requests()
    );
}

#[test]
fn a_password_comes_from_netrc_and_follows_to_no_other_server() {
    let sandbox = Sandbox::new();
    let directory = offered(&sandbox);
    // `me:secret`
    let index = Index::start(&directory, "authorized=Basic bWU6c2VjcmV0", None);
    locked(&sandbox, &index);
    fs::write(sandbox.path("home/.netrc"), "machine 127.0.0.1 login me password secret\n").unwrap();
    run(&sandbox, &["build", "--locked", "-C", "p"]).succeeded();
    assert!(
        index.requests().len() == 2 && index.requests().iter().all(|line| is_by_us(line)),
        "{:?}",
        index.requests()
    );

    let sandbox = Sandbox::new();
    let other = Index::start(&offered(&sandbox), "plain", None);
    let index = Index::start(&directory, &format!("redirect=http://localhost:{}", other.port), None);
    locked(&sandbox, &index);
    fs::write(sandbox.path("home/.netrc"), "machine 127.0.0.1 login me password secret\n").unwrap();
    run(&sandbox, &["build", "--locked", "-C", "p"]).succeeded();
    assert!(
        index.requests().iter().all(|line| line.ends_with(" mwp Basic bWU6c2VjcmV0")),
        "{:?}",
        index.requests()
    );
    assert_eq!(other.requests().len(), 2);
    assert!(other.requests().iter().all(|line| line.ends_with(" mwp -")), "{:?}", other.requests());
}

#[test]
fn a_proxy_leads_to_the_server() {
    let sandbox = Sandbox::new();
    let proxy = Index::start(&offered(&sandbox), "plain", None);
    // Nobody but the proxy knows that host.
    sandbox.python_plugin(
        "p",
        "--index-url http://index.invalid/simple\n--trusted-host index.invalid\nalpha\nbeta\n",
    );
    for arguments in [["lock", "-C", "p"].as_slice(), &["build", "--locked", "-C", "p"]] {
        proxy.begin();
        let mut command = mwp(&sandbox, arguments);
        command.env("http_proxy", format!("http://127.0.0.1:{}", proxy.port));
        Done::of(&mut command).succeeded();
    }
    assert_eq!(wheels(&sandbox).len(), 2);
    assert!(
        proxy.requests().len() == 2 && proxy.requests().iter().all(|line| is_by_us(line)),
        "{:?}",
        proxy.requests()
    );
}

#[test]
fn a_server_with_a_certificate_of_ones_own_is_believed_where_pip_is_told_so() {
    let sandbox = Sandbox::new();
    let script = "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=ours -days 2\n\
        openssl req -newkey rsa:2048 -nodes -keyout own.key -out own.csr -subj /CN=localhost\n\
        echo subjectAltName=DNS:localhost >own.ext\n\
        openssl x509 -req -in own.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out own.crt -days 2 -extfile own.ext\n\
        cat own.crt own.key >own.pem\n";
    Done::of(Command::new("sh").args(["-ec", script]).current_dir(sandbox.work())).succeeded();
    let [authority, own] = ["ca.pem", "own.pem"].map(|name| sandbox.work().join(name));
    let index = Index::start(&offered(&sandbox), "plain", Some(&own));
    let option = format!("--index-url https://localhost:{}/simple\n", index.port);
    sandbox.python_plugin("p", &format!("{option}alpha\nbeta\n"));
    let with = |arguments: &[&str], name: &str, value: &str| {
        Done::of(mwp(&sandbox, arguments).env(name, value).env("PIP_RETRIES", "0"))
    };
    with(&["lock", "-C", "p"], "PIP_CERT", authority.to_str().unwrap()).succeeded();
    with(&["build", "--locked", "-C", "p"], "PIP_RETRIES", "0").exited(1);
    let is_trusted = format!("localhost:{}", index.port);
    for (name, value) in [
        ("PIP_CERT", authority.to_str().unwrap()),
        ("REQUESTS_CA_BUNDLE", authority.to_str().unwrap()),
        ("PIP_TRUSTED_HOST", &is_trusted),
    ] {
        let _ = fs::remove_dir_all(sandbox.path("home/.cache/mwp"));
        let _ = fs::remove_dir_all(sandbox.work().join(SOURCES).join("src"));
        index.begin();
        with(&["build", "--locked", "-C", "p"], name, value).succeeded();
        assert_eq!(wheels(&sandbox).len(), 2);
        assert!(
            index.requests().len() == 2 && index.requests().iter().all(|line| is_by_us(line)),
            "{:?}",
            index.requests()
        );
    }
}

#[test]
fn what_cannot_be_fetched_is_left_to_pip() {
    let sandbox = Sandbox::new();
    let index = Index::start(&offered(&sandbox), "refuse", None);
    locked(&sandbox, &index);
    run(&sandbox, &["build", "--locked", "-C", "p"]).succeeded().never_says("403");
    assert_eq!(wheels(&sandbox).len(), 2);
    let requests = index.requests();
    assert_eq!(
        (requests.len(), requests.iter().filter(|line| is_by_us(line)).count()),
        (4, 2),
        "{requests:?}"
    );
}

#[test]
fn the_index_that_is_set_is_the_only_one_that_is_asked() {
    let sandbox = Sandbox::new();
    let directory = offered(&sandbox);
    let (index, elsewhere) = (Index::start(&directory, "plain", None), sandbox.path("elsewhere"));
    for name in ["alpha", "beta"] {
        wheel(&elsewhere, name, "1.0", name, &[]);
    }
    let other = Index::start(&elsewhere, "plain", None);
    locked(&sandbox, &index);
    // The lock names addresses that this machine is not to ask.
    let lock = sandbox.read(FILES).replace(&index.port.to_string(), &other.port.to_string());
    sandbox.write(FILES, lock);
    run(&sandbox, &["build", "--locked", "-C", "p"]).succeeded();
    assert_eq!((index.requests().len(), other.all_requests().as_str()), (2, ""));
}

#[test]
fn offline_nobody_is_asked_and_a_directory_of_links_serves() {
    let sandbox = Sandbox::new();
    let directory = offered(&sandbox);
    let index = Index::start(&directory, "plain", None);
    locked(&sandbox, &index);
    run(&sandbox, &["build", "--locked", "--offline", "-C", "p"])
        .exited(3)
        .says("hint: run it once without --offline");
    let mut build = mwp(&sandbox, &["build", "--locked", "--offline", "-C", "p"]);
    Done::of(build.env("PIP_FIND_LINKS", &directory)).succeeded();
    assert_eq!(wheels(&sandbox).len(), 2);
    assert_eq!(index.all_requests(), "");
}

#[test]
fn packages_are_compiled_at_the_same_time() {
    if std::thread::available_parallelism().unwrap().get() < 2 {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.python_plugin("p", "./one\n./two\n");
    for (name, other) in [("one", "two"), ("two", "one")] {
        let dir = sandbox.work().join(SOURCES).join(name);
        project(&dir, name, name);
        // Its build ends when the other has begun, once the lock is made.
        let backend = fs::read_to_string(dir.join("backend.py")).unwrap();
        let meeting = format!(
            "    import time\n    open('{0}/{name}', 'w').close()\n    end = time.time() + 60 * os.path.exists('{0}/begun')\n    \
             while not os.path.exists('{0}/{other}') and time.time() < end: time.sleep(0.01)\n    \
             assert os.path.exists('{0}/{other}') or not os.path.exists('{0}/begun'), 'alone'\n",
            sandbox.work().display()
        );
        let (head, body) = backend.split_once("metadata_directory=None):\n").unwrap();
        fs::write(dir.join("backend.py"), format!("{head}metadata_directory=None):\n{meeting}{body}"))
            .unwrap();
    }
    run(&sandbox, &["lock", "-C", "p"]).succeeded();
    for name in ["one", "two"] {
        fs::remove_file(sandbox.work().join(name)).unwrap();
    }
    sandbox.write("begun", "");
    run(&sandbox, &["build", "--locked", "-C", "p"]).succeeded();
    assert_eq!(wheels(&sandbox), ["one-1.0-py3-none-any.whl", "two-1.0-py3-none-any.whl"]);
    // What the two pips say stands one after the other.
    let log = sandbox.read("p/.mwp/log/wheels.log");
    let mut starts =
        log.lines().filter(|line| line.starts_with("$ ") || line.starts_with("Successfully built"));
    let shown: Vec<bool> = starts.by_ref().map(|line| line.starts_with("$ ")).collect();
    assert_eq!(shown, [true, false, true, false], "{log}");
}
