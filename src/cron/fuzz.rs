//! Whatever a crontab holds, what is not ours stays as it is, byte for byte.

use super::blocks::{Blocks, Owner, Wanted, apply};
use super::plugin::{FILE, Template};
use crate::fs;
use crate::fuzz::{Target, names_file};
use crate::site::Environment;

const WORDS: &[&str] = &[
    "##### BEGINNING OF METWORK MFSERV PLUGIN hello CRONTAB #####\n",
    "##### END OF METWORK MFSERV PLUGIN hello CRONTAB #####\n",
    "##### BEGINNING OF METWORK MFSERV PLUGIN other CRONTAB #####\n",
    "##### END OF METWORK MFSERV PLUGIN other CRONTAB #####\n",
    "##### BEGINNING OF METWORK ",
    "##### END OF METWORK ",
    "# made by mwp, edits are lost; plugins base: /base\n",
    "# made by mwp, edits are lost; plugins base: /elsewhere\n",
    "# made by mwp with the newline before it, edits are lost; plugins base: /base\n",
    "* * * * * true\n",
    "MAILTO=x\n",
];

#[test]
fn what_is_not_ours_in_a_crontab_stays_as_it_is() {
    let owner = Owner { module: "MFSERV".into(), base: "/base".into(), user: "me".into() };
    let wanted = |lines: &[&str]| -> Wanted {
        [("hello".to_owned(), lines.iter().map(|line| (*line).to_owned()).collect())].into()
    };
    Target::new("crontab").words(WORDS).run(|crontab| {
        assert!(apply(crontab, &owner, &Wanted::new(), false) == crontab, "changed for nothing");
        let lines = ["MAILTO=y", "0 1 * * * one", "0 2 * * * two"];
        let with = apply(crontab, &owner, &wanted(&lines), false);
        assert!(apply(&with, &owner, &wanted(&lines), false) == with, "changes each time");
        let is_hello = |name: &str| name == "hello";
        let blocks = Blocks::parse(&with);
        let ours: Vec<_> = blocks.of(&owner, &is_hello).filter(|block| block.name == "hello").collect();
        assert_eq!(ours.len(), 1);
        assert!(ours[0].is(&with, &owner, &lines.map(str::to_owned)));
        let without = apply(&with, &owner, &wanted(&[]), false);
        let before = Blocks::parse(crontab).of(&owner, &is_hello).any(|block| block.name == "hello");
        assert!(before || without == crontab, "the block leaves something behind");
        assert!(!Blocks::parse(&without).of(&owner, &is_hello).any(|block| block.name == "hello"));
        apply(crontab, &owner, &Wanted::new(), true);
    });
}

#[test]
fn the_jobs_of_a_plugin_are_single_lines_or_refused_with_their_file() {
    let mut environment = Environment::default();
    environment.set("X", "a % b\n* * * * * injected");
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join(FILE);
    let words = [
        "{{ X }}",
        "{% if X %}",
        "{% endif %}",
        "@daily ",
        "*/5",
        "A=b\n",
        "SHELL=x\n",
        "MAILTO=x\n",
        "%",
        "jan-dec",
        "\r",
        "1-2/3,",
    ];
    Target::new("plugin-crontab").words(&words).run(|bytes| {
        fs::write_atomic(&file, bytes).unwrap();
        let jobs = Template::read(root.path())
            .and_then(|template| template.map(|it| it.render(&environment, &|| true)).transpose());
        match jobs {
            Err(error) => names_file(&error, &file),
            Ok(jobs) => {
                for line in jobs.map(|jobs| jobs.lines).unwrap_or_default() {
                    assert!(!line.contains(['\n', '\r', '\0']), "{line:?}");
                    assert!(!line.starts_with('#'), "{line:?}");
                }
            }
        }
    });
}
