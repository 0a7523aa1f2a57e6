use super::*;

/// A base directory with plugins of mfserv.
struct Base(tempfile::TempDir);

const GENERAL: &str = "[general]\n_version=1\n_summary=s\n_license=l\n_url=u\n_maintainer=m\n_vendor=v\n";

impl Base {
    fn new() -> Base {
        Base(tempfile::tempdir().unwrap())
    }

    fn plugin(&self, name: &str, dependencies: &str, config: &str) -> PathBuf {
        let dir = self.0.path().join(name);
        fs::create_dir_all(&dir.join("bin")).unwrap();
        for (file, content) in [
            (".layerapi2_label", format!("plugin_{name}@mfserv\n")),
            (".layerapi2_dependencies", dependencies.to_owned()),
            (".plugin_format_version", "1.0.0\n".to_owned()),
            ("config.ini", format!("{GENERAL}{config}")),
        ] {
            fs::write_atomic(&dir.join(file), content.as_bytes()).unwrap();
        }
        dir
    }

    fn site(&self, variables: &[(&str, &str)]) -> Site {
        let mut environment = Environment::default();
        environment.set("PATH", "/usr/bin");
        environment.set("MWP_ETC_DIR", self.0.path().join("etc"));
        environment.set("MFMODULE_RUNTIME_HOME", self.0.path().join("runtime"));
        for (name, value) in variables {
            environment.set(*name, *value);
        }
        Site::new(environment)
    }

    fn environment_of(&self, name: &str, variables: &[(&str, &str)]) -> Environment {
        of_plugin(&self.0.path().join(name), self.0.path(), &self.site(variables)).unwrap()
    }
}

/// The example of the format's description.
#[test]
fn a_flask_plugin_sees_its_configuration() {
    let base = Base::new();
    base.plugin(
        "foo",
        "python3@mfext\nroot@mfserv\n",
        "[app_main]\nnumprocesses=4\nrlimit_as=1000000000\n[custom]\nmy-key=a b\n_private=1\nbad key=1\n",
    );
    let environment = base.environment_of("foo", &[]);
    let prefix = "MFSERV_CURRENT_PLUGIN_";
    let ours: Vec<String> = environment
        .iter()
        .filter_map(|(name, value)| Some((name.to_str()?.strip_prefix(prefix)?, value.to_str()?)))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let dir = base.0.path().join("foo");
    let expected = [
        "APP_MAIN_DEBUG=0",
        "APP_MAIN_GRACEFUL_TIMEOUT=73",
        "APP_MAIN_LOG_SPLIT_MULTIPLE_WORKERS=0",
        "APP_MAIN_LOG_SPLIT_STDOUT_STDERR=0",
        "APP_MAIN_MAX_AGE=0",
        "APP_MAIN_NUMPROCESSES=4",
        "APP_MAIN_PREFIX_BASED_ROUTING_EXTRA_ROUTES=",
        "APP_MAIN_RLIMIT_AS=1000000000",
        "APP_MAIN_RLIMIT_FSIZE=0",
        "APP_MAIN_RLIMIT_NOFILE=0",
        "APP_MAIN_RLIMIT_STACK=0",
        "APP_MAIN_SMART_START_DELAY=3",
        "APP_MAIN_SMART_STOP_DELAY=3",
        "APP_MAIN_SMART_STOP_SIGNAL=15",
        "APP_MAIN_TIMEOUT=60",
        "APP_MAIN_VIRTUALDOMAIN_BASED_ROUTING_EXTRA_VHOSTS=",
        "CUSTOM_MY_KEY=a b",
        &format!("DIR={}", dir.display()),
        "LABEL=plugin_foo@mfserv",
        "NAME=foo",
    ];
    assert_eq!(ours, expected);
    for (name, value) in [("MFMODULE", "MFSERV"), ("MFMODULE_LOWERCASE", "mfserv"), ("MFCONFIG", "GENERIC")] {
        assert_eq!(environment.text(name), Some(value));
    }
    let tmp = base.0.path().join("runtime/tmp/foo");
    assert_eq!(environment.path("TMPDIR"), Some(tmp.clone()));
    assert!(tmp.is_dir());
}

#[test]
fn the_plugins_directory_is_behind_what_layers_put_on_the_python_path() {
    let base = Base::new();
    let dir = base.plugin("foo", "", "");
    fs::create_dir_all(&dir.join("local/lib/python3.11/site-packages")).unwrap();
    fs::create_dir_all(&dir.join("lib")).unwrap();
    let path = base.environment_of("foo", &[("PYTHONPATH", "/old")]).text("PYTHONPATH").unwrap().to_owned();
    let dir = dir.to_string_lossy().into_owned();
    let expected = "~/local/lib/python3.11/site-packages:~/local/lib:~/lib:~:/old";
    assert_eq!(path.replace(&dir, "~"), expected);
}

#[test]
fn the_directory_stays_off_the_python_path_where_the_plugin_says_so() {
    let base = Base::new();
    let dir = base.plugin("foo", "", "");
    let config = format!("{GENERAL}_add_plugin_dir_to_python_path=false\n");
    fs::write_atomic(&dir.join("config.ini"), config.as_bytes()).unwrap();
    assert_eq!(base.environment_of("foo", &[]).text("PYTHONPATH"), None);
}

#[test]
fn plugins_that_it_depends_on_contribute_first() {
    let base = Base::new();
    base.plugin("low", "", "[custom]\na=low\nb=low\nc=low\n");
    base.plugin("mid", "plugin_low@mfserv\n", "[custom]\na=mid\nb=mid\n");
    base.plugin("foo", "plugin_mid@mfserv\n-plugin_nosuch@mfserv\n", "[custom]\na=foo\n");
    let environment = base.environment_of("foo", &[]);
    for (name, value) in [("A", "foo"), ("B", "mid"), ("C", "low")] {
        assert_eq!(environment.text(&format!("MFSERV_CURRENT_PLUGIN_CUSTOM_{name}")), Some(value));
    }
    assert_eq!(environment.text("MFSERV_CURRENT_PLUGIN_NAME"), Some("foo"));
    let root = base.0.path().to_string_lossy().into_owned();
    let short = |name: &str| environment.text(name).unwrap().replace(&root, "~");
    assert_eq!(short("PATH"), "~/foo/bin:~/mid/bin:~/low/bin:/usr/bin");
    assert_eq!(short("PYTHONPATH"), "~/foo:~/mid:~/low");
}

#[test]
fn an_absent_plugin_is_named() {
    let base = Base::new();
    let dir = base.plugin("foo", "plugin_other@mfserv\n", "");
    let error = of_plugin(&dir, base.0.path(), &base.site(&[])).unwrap_err();
    assert!(error.to_string().contains("requires the layer `plugin_other@mfserv`"), "{error}");
    assert_eq!(error.problems[0].hint.as_deref(), Some("install the plugin `other` first"));
}

#[test]
fn entering_twice_is_entering_once() {
    let base = Base::new();
    base.plugin("foo", "", "[custom]\na=1\n");
    let once = base.environment_of("foo", &[]);
    let site = Site::new(once.clone());
    let twice = of_plugin(&base.0.path().join("foo"), base.0.path(), &site).unwrap();
    assert_eq!(super::super::changes(&once, &twice), []);
}

#[test]
fn variables_of_an_enclosing_plugin_are_forgotten() {
    let base = Base::new();
    base.plugin("foo", "", "");
    let outer = [("MFSERV_CURRENT_PLUGIN_CUSTOM_X", "1"), ("MFDATA_CURRENT_PLUGIN_NAME", "outer")];
    let environment = base.environment_of("foo", &outer);
    assert_eq!(environment.get("MFSERV_CURRENT_PLUGIN_CUSTOM_X"), None);
    assert_eq!(enclosing_plugin(&environment).as_deref(), Some("foo"));
}

#[test]
fn a_directory_may_have_any_name_but_one_with_a_colon() {
    let base = Base::new();
    let dir = base.plugin("foo", "", "");
    let odd = base.0.path().join("a 'b'\n\"c\"");
    fs::rename(&dir, &odd).unwrap();
    let environment = of_plugin(&odd, base.0.path(), &base.site(&[])).unwrap();
    assert_eq!(environment.path("MFSERV_CURRENT_PLUGIN_DIR"), Some(odd.clone()));
    let colon = base.0.path().join("a:b");
    fs::rename(&odd, &colon).unwrap();
    let error = of_plugin(&colon, base.0.path(), &base.site(&[])).unwrap_err();
    assert!(error.to_string().contains("found `:`"), "{error}");
}
