use super::*;
use crate::python::pylock::{Directory, File, Vcs};

#[test]
fn a_summary_says_what_changed() {
    let changes = changes(
        &Lock::parse(
            "flask==3.0.0\nsix==1 ; python_version > '3'\nold==1 ; python_version < '3'\nx==1.0\n./lib/foo\nv @ git+https://h/v@1\n",
        ),
        &Lock::parse("flask==3.1.3\nrequests==2.34.2\nsix==1\n./lib/foo\nv @ git+https://h/v@2\n"),
        &crate::python::interpreter::markers(),
    );
    let shown: Vec<String> = changes.iter().map(Change::to_string).collect();
    assert_eq!(
        shown,
        [
            "~ flask 3.0.0 → 3.1.3",
            "+ requests 2.34.2",
            "~ v git+https://h/v@1 → git+https://h/v@2",
            "- x 1.0"
        ]
    );
}

#[test]
fn what_was_given_as_a_place_is_pinned_as_one() {
    let package = |name: &str| Package { name: name.into(), version: Some("1".into()), ..Package::default() };
    let vcs = Vcs {
        kind: "git".into(),
        url: Some("https://h/foo.git".into()),
        commit_id: "abc".into(),
        subdirectory: Some("x".into()),
        ..Vcs::default()
    };
    let directory = |path: &str| Some(Directory { path: path.into() });
    let archive = |url: &str| Some(File { url: Some(url.into()), ..File::default() });
    for (package, expected) in [
        (package("foo"), "foo==1"),
        (Package { vcs: Some(vcs), ..package("foo") }, "foo @ git+https://h/foo.git@abc#subdirectory=x"),
        (Package { directory: directory("lib/foo"), ..package("foo") }, "./lib/foo"),
        (Package { directory: directory("../foo"), ..package("foo") }, "../foo"),
        (Package { directory: directory("/srv/a b"), ..package("foo") }, "foo @ file:///srv/a%20b"),
        (Package { archive: archive("https://h/f.zip"), ..package("foo") }, "foo @ https://h/f.zip"),
    ] {
        assert_eq!(pin_line(&package), expected);
    }
}

#[test]
fn a_requirement_moves_to_another_place_with_extras_and_marker() {
    for (bare, expected) in [
        ("./lib/foo", "file:///x/foo"),
        ("./lib/foo[a,b] ; python_version > '3'", "/x/foo[a,b] ; python_version > '3'"),
        ("foo[a] @ file:///srv/foo", "foo[a] @ file:///x/foo"),
    ] {
        assert_eq!(at_place(bare, Path::new("/x/foo")), expected);
    }
    assert_eq!(without_extras("a[x,y]>=1"), "a>=1");
    assert_eq!(without_extras("a>=1 ; extra == 'x[y]'"), "a>=1 ; extra == 'x[y]'");
}

#[test]
fn one_hash_in_the_requirements_gives_every_pin_its_own() {
    let file = |digest: &str| File {
        name: Some(format!("{digest}.whl")),
        hashes: [("sha256".to_owned(), digest.to_owned())].into(),
        ..File::default()
    };
    let package = |name: &str, digest: &str| Package {
        name: name.into(),
        version: Some("1".into()),
        wheels: vec![file(digest), file("cc")],
        ..Package::default()
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.txt");
    let wanted = |text: &str| {
        fs::write_atomic(&path, text.as_bytes()).unwrap();
        Wanted::read(&path, &crate::site::Environment::default()).unwrap().unwrap()
    };
    let mut packages = [package("a", "aa"), package("b", "bb")];
    let right = wanted("a==1 --hash=sha256:aa\nb");
    check_hashes(&right, &mut packages, false).unwrap();
    assert_eq!(
        pin_lines(&packages, &right),
        ["a==1 --hash=sha256:aa", "b==1 --hash=sha256:bb --hash=sha256:cc"]
    );
    assert!(check_hashes(&right, &mut packages, true).unwrap_err().to_string().contains("`b==1`"));
    let wrong =
        check_hashes(&wanted("\na==1 --hash=sha256:00"), &mut packages, false).unwrap_err().to_string();
    assert!(wrong.contains("r.txt:2: no file of `a` 1 has sha256:00; found sha256:aa"), "{wrong}");
}
