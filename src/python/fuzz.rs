//! Whatever requirement files, locks and wheels hold, they are read, or refused in words.

use std::path::{Path, PathBuf};

use rawzip::CompressionMethod;

use super::archive::tests::packed;
use super::decode::decode;
use super::requirements::{numbered, options};
use super::*;
use crate::artifact::Limits;
use crate::fs;
use crate::fuzz::{Target, has_words, names_file};
use crate::site::Environment;

const WORDS: &[&str] = &[
    "-r ",
    "-c ",
    "-e ",
    "-r one.txt\n",
    "-c two.txt\n",
    "-r ../r.txt\n",
    "--hash=sha256:",
    "--index-url ",
    "git+https://x/y@v#egg=z",
    "flask",
    "==1.0",
    ">=2,<3",
    " @ ",
    "file:",
    "./lib",
    "[extra]",
    "; python_version < '3'",
    "; extra == 'x'",
    " and ",
    " or ",
    "(",
    ")",
    "os_name != 'a'",
    "python_version < '3'",
    " in ",
    " not in ",
    "${X}",
    "${",
    " \\\n",
    " # c\n",
    "\u{feff}",
    "# -*- coding: latin-1 -*-\n",
    "# coding: utf-16\n",
    "%",
    "'",
    "*",
    "~=",
    "===",
    "!=",
    "99999999999999999999",
];

fn environment() -> Environment {
    let mut environment = Environment::default();
    environment.set("X", "${X}${X}");
    environment
}

#[test]
fn requirement_lines_are_read_whatever_they_hold() {
    let (environment, markers) = (environment(), interpreter::markers());
    Target::new("requirements").words(WORDS).run(|bytes| {
        let text = decode(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned());
        let lines = text.lines().count();
        for (number, line) in numbered(&text, &environment) {
            assert!((1..=lines.max(1)).contains(&number));
            assert!(!line.text().is_empty());
            if let Line::Named { requirement, .. } = &line {
                requirement.evaluate_markers(&markers, &[]);
                let _ = (requirement.to_string(), Pin::of(&line), lock::address(&line));
            }
            let _ = (line.name(), line.bare(), line.own_options(), line.hashes(), line.is_nonsense());
            let _ = (line.local_path(&environment), options(line.text()));
        }
        let lock = Lock::parse(&text);
        let _ = (lock.pins().count(), lock.is_foreign(), lock.verdict_alone(None));
        BinaryPolicy::of(Some(&text)).may_be_binary("flask");
    });
}

#[test]
fn a_requirement_file_with_all_that_it_includes_is_read_or_refused() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("p");
    fs::create_dir_all(&dir).unwrap();
    let (main, environment) = (dir.join("r.txt"), environment());
    fs::write_atomic(&dir.join("two.txt"), b"-r r.txt\n-r one.txt\nsix").unwrap();
    Target::new("requirements").words(WORDS).run(|bytes| {
        fs::write_atomic(&main, bytes).unwrap();
        // Each may include the others, and itself.
        fs::write_atomic(&dir.join("one.txt"), bytes).unwrap();
        match Wanted::read(&main, &environment) {
            Err(error) => has_words(&error),
            Ok(wanted) => {
                let wanted = wanted.unwrap();
                let _ = (wanted.digest(), wanted.is_empty());
                if let Err(error) = wanted.check() {
                    has_words(&error);
                }
                let rendered = Lock::render(&wanted, &dir, &wanted.digest(), &[]);
                assert!(!Lock::parse(&rendered).is_foreign());
            }
        }
    });
}

#[test]
fn a_pylock_is_refused_or_read_back_as_it_is() {
    let words = [
        "[[packages]]",
        "name = ",
        "version = ",
        "wheels = [",
        "hashes = {sha256 = \"",
        "size = ",
        "path = \"../",
        "vcs = {",
    ];
    Target::new("pylock").words(&words).run_text(|text| match PyLock::parse(text) {
        Err(reason) => assert!(!reason.is_empty()),
        Ok(lock) => {
            let rendered = lock.render();
            let read = PyLock::parse(&rendered).unwrap();
            assert_eq!(read.render(), rendered);
            assert_eq!(read.packages.len(), lock.packages.len());
            for package in &lock.packages {
                let _ = (
                    package.files().count(),
                    package.hashes(),
                    package.is_checked(),
                    package.wheels().count(),
                );
            }
        }
    });
}

const METADATA: &str = "Metadata-Version: 2.1\nName: foo\nVersion: 1.0\nRequires-Dist: six>=1; extra == 'x'\nRequires-Dist: a@https://x\n\nLong text\n";

fn wheels() -> Target {
    let members = [
        ("foo/__init__.py", "x = 1\n"),
        ("foo-1.0.data/scripts/run", "#!python\nprint()\n"),
        ("foo-1.0.data/data/share/x", "x"),
        ("foo-1.0.dist-info/METADATA", METADATA),
        ("foo-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\n"),
        ("foo-1.0.dist-info/entry_points.txt", "[console_scripts]\nfoo = foo:main [x]\n"),
        ("foo-1.0.dist-info/RECORD", "foo/__init__.py,,\n"),
    ];
    let wheel = |method| packed(members, method);
    Target::new("wheel").seed(wheel(CompressionMethod::DEFLATE)).seed(wheel(CompressionMethod::STORE)).words(
        &[
            "../",
            "bin/python3",
            "foo-1.0.data/",
            "scripts/",
            "data/",
            ".dist-info/",
            "RECORD",
            "PK\x01\x02",
            "PK\x03\x04",
            "PK\x05\x06",
        ],
    )
}

#[test]
fn a_damaged_wheel_is_refused_with_its_name_and_nothing_else_is_touched() {
    let limits = Limits { wheels: 100, bytes: 2_000_000, ratio: 1, names: 10_000, ..Limits::default() };
    wheels().cases(200).run(|bytes| {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("foo-1.0-py3-none-any.whl");
        let python = root.path().join("host/python3");
        fs::create_dir_all(python.parent().unwrap()).unwrap();
        fs::write_atomic(&python, b"precious").unwrap();
        fs::write_atomic(&file, bytes).unwrap();
        let wheel = Wheel::of(&file).unwrap();
        if let Err(error) = wheel.requirements() {
            names_file(&error, &file);
        }
        let interpreter = Interpreter::stand_in(&python);
        let made = virtualenv::create(&root.path().join("v"), &interpreter, &[wheel], "foo==1.0\n", &limits);
        if let Err(error) = made {
            names_file(&error, &file);
        }
        assert_eq!(fs::read(&python).unwrap(), b"precious");
        assert_eq!(fs::list(python.parent().unwrap()).unwrap().len(), 1);
        assert!(fs::list(root.path()).unwrap().len() <= 3);
    });
}

#[test]
fn what_a_wheel_says_of_itself_is_read_whatever_it_is() {
    let words = [
        "Requires-Dist: ",
        "\n\n",
        "; extra == ",
        " and ",
        " or (",
        "os_name != 'a'",
        "python_version < '3'",
        "[console_scripts]",
        " = a.b:c",
        "../",
        "bin/x",
    ];
    Target::new("wheel-metadata").words(&words).seed(METADATA).run_text(|text| {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("foo-1.0-py3-none-any.whl");
        let members = [("foo-1.0.dist-info/METADATA", text), ("foo-1.0.dist-info/entry_points.txt", text)];
        fs::write_atomic(&file, &packed(members, CompressionMethod::DEFLATE)).unwrap();
        let wheel = Wheel::of(&file).unwrap();
        wheel.requirements().unwrap();
        Needs::of(&[wheel]);
        for (name, (module, function)) in scripts::entry_points(text) {
            assert!(!name.contains('/') && !module.is_empty() && !function.is_empty());
        }
    });
}

#[test]
fn a_record_owns_nothing_outside_of_its_virtualenv() {
    let words = [
        "../../../bin/x,,",
        "../../../../../../etc/passwd,,",
        "/etc/passwd,,",
        "\"a,b\",sha256=x,1",
        "./x",
        ",,\n",
    ];
    let seed = "foo/__init__.py,sha256=x,6\n../../../bin/foo,sha256=y,1\nfoo-1.0.dist-info/RECORD,,\n";
    let root = tempfile::tempdir().unwrap();
    let info = root.path().join("lib/python3.11/site-packages/foo-1.0.dist-info");
    fs::create_dir_all(&info).unwrap();
    Target::new("record").words(&words).seed(seed).run(|bytes| {
        fs::write_atomic(&info.join("RECORD"), bytes).unwrap();
        for path in virtualenv::owned_files(root.path(), Path::new("local")).unwrap() {
            let is_plain = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
            assert!(path.starts_with("local") && is_plain, "{}", path.display());
        }
    });
}

#[test]
fn the_name_of_a_file_is_that_of_a_wheel_or_not() {
    let target = Target::new("wheel-name").seed("foo-1.0-py3-none-any.whl").words(&[
        "-",
        ".",
        "cp311",
        "manylinux_2_17_x86_64",
    ]);
    target.run_text(|text| {
        if let Some(wheel) = Wheel::of(&PathBuf::from(text)) {
            let _ = (wheel.file_name(), wheel.is_version("1.0"));
            let _ = Interpreter::stand_in(Path::new("python3")).accepts(&wheel);
        }
    });
}
