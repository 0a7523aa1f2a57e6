//! Whatever a journal and our other notes in a base hold, nothing but the base and its overrides is touched.

use std::path::{Path, PathBuf};

use super::home::MadeAfter;
use super::journal;
use super::overrides::OverrideFile;
use super::recovery::recover;
use super::*;
use crate::fs;
use crate::fuzz::{Target, has_words};
use crate::installed::Base;
use crate::plugin::config::Document;
use crate::plugin::{Label, PluginName};
use crate::site::{Environment, Site};

/// A runtime home with one plugin, and somebody else's files around it.
struct World {
    root: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        let world = World { root: tempfile::tempdir().unwrap() };
        for (name, content) in [
            ("home/precious", "precious"),
            ("mf/precious", "precious"),
            ("mf/config/plugins/other.ini", "precious"),
            ("mf/config/plugins/hello.ini", "[custom]\n"),
            ("mf/var/plugins/other/file", "precious"),
            ("mf/var/plugins/hello/file", "new"),
            ("mf/var/plugins/hello/.mwp_new", ""),
            ("mf/var/plugins/.mwp/stage-x/plugin/file", "old"),
            ("mf/var/plugins/.mwp/stage-x/file-0", "[custom]\nk=v\n"),
        ] {
            let path = world.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write_atomic(&path, content.as_bytes()).unwrap();
        }
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn base(&self) -> Base {
        Base { dir: self.path("mf/var/plugins") }
    }

    fn site(&self) -> Site {
        let mut environment = Environment::default();
        for (name, value) in
            [("HOME", "home"), ("MWP_ETC_DIR", "etc"), ("PATH", "bin"), ("MFMODULE_RUNTIME_HOME", "mf")]
        {
            environment.set(name, self.path(value));
        }
        Site::new(environment)
    }

    fn is_untouched(&self) {
        let precious =
            ["home/precious", "mf/precious", "mf/config/plugins/other.ini", "mf/var/plugins/other/file"];
        for name in precious {
            assert_eq!(
                fs::read_text_optional(&self.path(name)).unwrap().as_deref(),
                Some("precious"),
                "{name}"
            );
        }
        let names = |dir: &str| -> Vec<String> {
            let paths = fs::list(&self.path(dir)).unwrap();
            paths.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
        };
        assert_eq!(names("home"), ["precious"]);
        assert_eq!(names("mf"), ["config", "precious", "var"]);
        assert_eq!(names("mf/var"), ["plugins"]);
        assert!(
            names("mf/config/plugins")
                .iter()
                .all(|name| ["other.ini", "hello.ini", "hello.ini.new"].contains(&&**name))
        );
        assert_eq!(names(""), ["home", "mf"]);
    }
}

#[test]
fn a_damaged_journal_blocks_nothing_and_touches_nothing_else() {
    let words = [
        "\"old\":null",
        "\"name\":\"other\"",
        "\"stage\":\"stage-x\"",
        "\"saved\":null",
        "\"saved\":\"../x\"",
        "@ROOT@/home/precious",
        "@ROOT@/mf/config/plugins/other.ini",
        "\"path\":\"",
        "\"new_link\":\"",
        "\"is_marked\":false",
        "../",
        "\"name\":\".mwp\"",
    ];
    Target::new("journal").words(&words).cases(150).run_text(|text| {
        let world = World::new();
        let text = text.replace("@ROOT@", &world.root.path().to_string_lossy());
        fs::write_atomic(&journal::path(&world.base()), text.as_bytes()).unwrap();
        // A journal that names the other plugin may do to it what it may do to this one.
        let names_other = journal::plugin(&world.base()).is_some_and(|name| name != "hello");
        for error in recover(&world.base(), &world.site()) {
            has_words(&error);
        }
        assert!(!fs::exists(&journal::path(&world.base())), "the journal is still there");
        if !names_other {
            world.is_untouched();
        }
        assert_eq!(fs::read_text(&world.path("home/precious")).unwrap(), "precious");
        assert_eq!(fs::read_text(&world.path("mf/precious")).unwrap(), "precious");
        // What was recovered is recovered.
        let told = recover(&world.base(), &world.site());
        assert!(told.is_empty(), "{told:?}");
    });
}

#[test]
fn what_an_installation_wrote_down_is_believed_of_the_plugin_alone() {
    let root = tempfile::tempdir().unwrap();
    let home = root.path().join("hello");
    fs::create_dir_all(&home.join("local/bin")).unwrap();
    fs::write_atomic(&home.join("postinstall"), b"").unwrap();
    fs::write_atomic(&home.join("local/bin/x"), b"").unwrap();
    let words = [
        "\"..\"",
        "\"\"",
        "\"local\"",
        "\"/etc\"",
        "\"members\":[",
        "\"python\":{",
        "\"kind\":\"directory\"",
    ];
    Target::new("made").words(&words).run(|bytes| {
        for name in [".mwp_postinstall.json", ".mwp_installed.json"] {
            fs::write_atomic(&home.join(name), bytes).unwrap();
        }
        fs::write_atomic(&home.join(".mwp_manifest.json"), bytes).unwrap();
        let made = MadeAfter::of(&home).unwrap();
        let _ = (made.members(), made.by_postinstall());
        assert!(
            !made.is_ours(Path::new("")) && !made.is_ours(Path::new("config.ini"))
                || made.by_postinstall() > 0
        );
        if let Err(error) = made.kept_in_virtualenv(&home) {
            has_words(&error);
        }
    });
}

#[test]
fn the_note_on_cron_jobs_is_read_or_dropped() {
    let words = ["\"module\":", "\"name\":", "../", "mfserv", "\"hello\""];
    Target::new("cron-note").words(&words).seed(r#"{"module":"mfserv","name":"hello"}"#).cases(100).run(
        |bytes| {
            let world = World::new();
            fs::write_atomic(&world.base().own_dir().join(jobs::NOTE), bytes).unwrap();
            jobs::catch_up(&world.base(), &world.site());
            assert!(!fs::exists(&world.base().own_dir().join(jobs::NOTE)));
            world.is_untouched();
        },
    );
}

#[test]
fn an_override_file_is_made_of_any_configuration_without_a_live_key() {
    let world = World::new();
    let home = world.path("mf/var/plugins/hello");
    fs::write_atomic(&home.join(".layerapi2_label"), b"plugin_hello@mfserv\n").unwrap();
    let (label, name) = (Label::read(&home).unwrap(), PluginName::parse("hello").unwrap());
    Target::new("config").words(&["[custom]", "_k=", "k=v", "# c\rk=v", "\n  more"]).run_text(|text| {
        if !Document::parse(text).1.is_empty() {
            return;
        }
        fs::write_atomic(&home.join("config.ini"), text.as_bytes()).unwrap();
        let file = OverrideFile::of(&label, &world.site());
        file.write(&home, &home, &name).unwrap();
        assert!(!file.is_edited().unwrap(), "{text:?}");
        assert!(!fs::exists(&file.beside));
    });
}
