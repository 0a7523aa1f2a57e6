//! Whatever wheels bring, a virtualenv is made beside a file that nobody touches, or refused.

use proptest::prelude::*;
use rawzip::CompressionMethod;

use super::*;
use crate::python::archive::tests::packed;

/// Names as they come, and as somebody would choose them who means no good.
fn names() -> impl Strategy<Value = String> {
    let evil = proptest::sample::select(vec![
        "..",
        ".",
        "",
        "bin",
        "python3",
        "Python3",
        "activate",
        "pyvenv.cfg",
        "lib",
        "foo-1.0.data",
        "scripts",
        "data",
        "purelib",
        "foo-1.0.dist-info",
        "RECORD",
        "entry_points.txt",
        "x",
        "\u{1b}",
        "site-packages",
    ]);
    let part = prop_oneof![4 => evil.prop_map(str::to_owned), 1 => ".{0,8}"];
    proptest::collection::vec(part, 1..5).prop_map(|parts| parts.join("/"))
}

fn wheel(dir: &Path, name: &str, members: &[(String, Vec<u8>)]) -> Wheel {
    let path = dir.join(format!("{name}-1.0-py3-none-any.whl"));
    let info = (format!("{name}-1.0.dist-info/METADATA"), Vec::new());
    let members = members.iter().chain([&info]).map(|(name, content)| (name, content));
    fs::write_atomic(&path, &packed(members, CompressionMethod::STORE)).unwrap();
    Wheel::of(&path).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_outside_is_touched_and_what_is_made_is_the_same_every_time(
        one in proptest::collection::vec((names(), proptest::collection::vec(any::<u8>(), 0..20)), 0..6),
        other in proptest::collection::vec((names(), "(\\[console_scripts\\]\n)?[a-z./=: \n]{0,40}"), 0..6),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let host = dir.path().join("host");
        fs::create_dir_all(&host).unwrap();
        let python = host.join("python3");
        fs::write_atomic(&python, b"precious").unwrap();
        let interpreter = Interpreter::stand_in(&python);
        let other: Vec<_> = other.into_iter().map(|(name, text)| (name, text.into_bytes())).collect();
        let wheels = [wheel(dir.path(), "foo", &one), wheel(dir.path(), "bar", &other)];
        let lock = "bar==1.0\nfoo==1.0\n";
        let made = ["a", "b"].map(|name| {
            let root = dir.path().join(name);
            let made = create(&root, &interpreter, &wheels, lock, &Limits::default());
            let files = crate::artifact::describe(dir.path(), name).unwrap_or_default().into_iter();
            let files = files.map(|mut entry| { entry.path = entry.path.split_off(name.len()); entry });
            (made.map_err(|error| error.to_string().replace(&root.display().to_string(), "")), files.collect::<Vec<_>>())
        });
        prop_assert_eq!(fs::read(&python).unwrap(), b"precious");
        prop_assert_eq!(fs::list(&host).unwrap().len(), 1);
        let left: Vec<_> = fs::list(dir.path()).unwrap();
        prop_assert!(left.len() <= 5, "{left:?}");
        let [first, second] = made;
        if first.0.is_ok() {
            prop_assert_eq!(&first, &second);
            prop_assert_eq!(std::fs::read_link(dir.path().join("a/bin/python3")).unwrap(), python);
            prop_assert_eq!(check(&wheels, lock, &Limits::default()).is_ok(), true);
        }
    }
}
