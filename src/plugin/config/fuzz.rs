//! Whatever a configuration holds, it is read with every place in it, or each mistake is told in words.

use crate::error::Error;
use crate::fs;
use crate::fuzz::{Target, has_words};
use crate::plugin::{Label, Module};
use crate::site::{Environment, Site};

use super::reader::Document;
use super::rewrite::NewValue;
use super::{ConfigProblem, ModuleSettings, load};

const WORDS: &[&str] = &[
    "[general]",
    "[app_main]",
    "[extra_daemon_x]",
    "[custom]",
    "[step_s]",
    "[_x]",
    "_version=",
    "numprocesses=",
    "debug[DEV]=",
    "_cmd_and_args=",
    "{{ X }}",
    "{% if X %}",
    "{% endif %}",
    "{# ",
    " #}",
    "{% raw %}",
    "{% for i in range(9) %}",
    "{% endfor %}",
    "\n  more",
    "\n\n  more",
    "\n# c\n",
    "\r\n",
    "\u{a0}",
    "\u{1c}",
    "\u{2028}",
    "null",
    "AUTO",
    "1e9",
    "99999999999999999999",
    "NaN",
    "%",
    ";",
    "k=v\n",
];

pub(in crate::plugin) fn target(name: &'static str) -> Target {
    Target::new(name).words(WORDS)
}

#[test]
fn every_place_in_a_configuration_is_where_it_is_read() {
    target("config").run_text(|text| {
        let (document, mistakes) = Document::parse(text);
        let lines = document.lines().count();
        for mistake in &mistakes {
            assert!((1..=lines).contains(&mistake.line));
            assert!(document.first_column(mistake.line) >= 1);
        }
        for section in &document.sections {
            assert_eq!(document.text[section.name_span.clone()], section.name);
            for entry in &section.entries {
                assert_eq!(document.text[entry.key_span.clone()], entry.key);
                assert!(document.column(entry.value_span.start) >= 1);
                assert!((1..=lines).contains(&entry.line));
                let written = &document.text[entry.value_span.clone()];
                assert!(written.starts_with(entry.value.lines().next().unwrap_or_default()));
            }
        }
    });
}

/// Names and values, by which two documents are compared.
fn values(document: &Document) -> Vec<(String, Vec<(String, String)>)> {
    let pairs = |section: &super::WrittenSection| {
        section.entries.iter().map(|entry| (entry.key.clone(), entry.value.clone())).collect()
    };
    document.sections.iter().map(|section| (section.name.clone(), pairs(section))).collect()
}

#[test]
fn a_value_that_is_replaced_is_read_back_and_the_rest_is_as_it_was() {
    target("config").run_text(|text| {
        let (document, mistakes) = Document::parse(text);
        let before = values(&document);
        if !mistakes.is_empty() || before.len() > 200 {
            return;
        }
        // Each value goes to the next key: what one can hold, any can.
        let mut all: Vec<&mut String> = Vec::new();
        let mut expected = before.clone();
        for (_, entries) in &mut expected {
            all.extend(entries.iter_mut().map(|(_, value)| value));
        }
        if all.len() > 200 {
            return;
        }
        if let Some(first) = all.first().map(|value| (**value).clone()) {
            for index in 0..all.len() {
                let next = all.get(index + 1).map_or_else(|| first.clone(), |value| (**value).clone());
                *all[index] = next;
            }
        }
        let new: Vec<NewValue> = expected
            .iter()
            .flat_map(|(section, entries)| {
                let section = section.clone();
                entries.iter().map(move |(key, value)| NewValue {
                    section: section.clone(),
                    key: key.clone(),
                    value: value.clone(),
                })
            })
            .collect();
        match document.rewrite(&new) {
            Err(error) => has_words(&error),
            Ok(text) => {
                let (rewritten, mistakes) = Document::parse(&text);
                assert_eq!(mistakes, []);
                assert_eq!(values(&rewritten), expected, "{text:?}");
            }
        }
    });
}

#[test]
fn added_keys_are_read_back_and_the_rest_is_as_it_was() {
    target("config").run_text(|text| {
        let (document, mistakes) = Document::parse(text);
        if !mistakes.is_empty() || document.sections.is_empty() || document.sections.len() > 200 {
            return;
        }
        let value = |section: &str| NewValue {
            section: section.to_owned(),
            key: "added_by_the_test".to_owned(),
            value: "one\ntwo".to_owned(),
        };
        let last = document.sections.last().map(|section| section.name.clone()).unwrap_or_default();
        match document.with_keys(&[value(&last), value("custom_added_by_the_test")]) {
            Err(error) => has_words(&error),
            Ok(text) => {
                let (added, mistakes) = Document::parse(&text);
                assert_eq!(mistakes, [], "{text:?}");
                for name in [last.as_str(), "custom_added_by_the_test"] {
                    let entry = added.section(name).and_then(|section| section.entry("added_by_the_test"));
                    assert_eq!(entry.map(|entry| entry.value.as_str()), Some("one\ntwo"), "{text:?}");
                }
                let mut rest = values(&added);
                rest.retain(|(name, _)| name != "custom_added_by_the_test");
                rest.iter_mut().for_each(|(_, keys)| keys.retain(|(key, _)| key != "added_by_the_test"));
                assert_eq!(rest, values(&document), "{text:?}");
            }
        }
    });
}

fn site(root: &std::path::Path) -> Site {
    let mut environment = Environment::default();
    for (name, value) in [("HOME", "home"), ("MWP_ETC_DIR", "etc"), ("PATH", "bin")] {
        environment.set(name, root.join(value));
    }
    environment.set("X", "x");
    Site::new(environment)
}

fn all_have_words(problems: Vec<ConfigProblem>) {
    for problem in problems {
        assert!(!problem.message.is_empty());
        has_words(&Error::many(crate::error::Fault::Input, vec![problem.into()]));
    }
}

#[test]
fn a_configuration_and_its_overrides_are_read_or_all_that_is_wrong_is_told() {
    let root = tempfile::tempdir().unwrap();
    let (site, dir) = (site(root.path()), root.path().join("hello"));
    let [override_file, _] = {
        fs::create_dir_all(&dir).unwrap();
        fs::write_atomic(&dir.join(".layerapi2_label"), b"plugin_hello@mfserv\n").unwrap();
        site.overrides(&Label::read(&dir).unwrap())
    };
    fs::create_dir_all(override_file.parent().unwrap()).unwrap();
    let label = Label::read(&dir).unwrap();
    let good =
        fs::read(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/config/whole.ini"))
            .unwrap();
    target("config").cases(100).run(|bytes| {
        for (main, over) in [(bytes, &b""[..]), (&good, bytes)] {
            fs::write_atomic(&dir.join("config.ini"), main).unwrap();
            fs::write_atomic(&override_file, over).unwrap();
            let loaded = load(&dir, Some(&label), Some(&label.module), &site);
            assert_eq!(loaded.config.is_some(), loaded.problems.is_empty());
            all_have_words(loaded.problems);
            all_have_words(loaded.warnings);
        }
    });
}

#[test]
fn the_settings_of_a_module_are_read_or_all_that_is_wrong_is_told() {
    let root = tempfile::tempdir().unwrap();
    let (site, file) = (site(root.path()), root.path().join("config.ini"));
    let module = Module::parse("mfserv").unwrap();
    target("config").words(&["[nginx]", "port=", "[install]", "limits="]).run(|bytes| {
        fs::write_atomic(&file, bytes).unwrap();
        if let Err(error) = ModuleSettings::read(std::slice::from_ref(&file), &module, &site) {
            crate::fuzz::names_file(&error, &file);
        }
    });
}

#[test]
fn a_label_is_refused_or_written_as_it_was_read() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join(".layerapi2_label");
    let target =
        Target::new("label").words(&["plugin_", "@", "mfserv", "__", "base"]).seed("plugin_hello@mfserv\n");
    target.run(|bytes| {
        fs::write_atomic(&file, bytes).unwrap();
        match Label::read(root.path()) {
            Err(error) => has_words(&error),
            Ok(label) => assert_eq!(String::from_utf8_lossy(bytes).trim(), label.to_string()),
        }
    });
}
