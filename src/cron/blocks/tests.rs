use super::*;

const JOB: &str = "* * * * * true";

fn wanted(plugins: &[(&str, &[&str])]) -> Wanted {
    let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
    plugins.iter().map(|(name, jobs)| ((*name).to_owned(), lines(jobs))).collect()
}

fn block(base: &str, name: &str, job: &str) -> String {
    format!(
        "##### BEGINNING OF METWORK MFSERV PLUGIN {name} CRONTAB #####\n\
         # made by mwp, edits are lost; plugins base: {base}\n{job}\n\
         ##### END OF METWORK MFSERV PLUGIN {name} CRONTAB #####\n"
    )
}

fn applied(crontab: impl AsRef<[u8]>, plugins: &[(&str, &[&str])], all: bool) -> Vec<u8> {
    let owner = Owner { module: "MFSERV".to_owned(), base: "/b".to_owned(), user: "me".to_owned() };
    apply(crontab.as_ref(), &owner, &wanted(plugins), all)
}

#[test]
fn what_is_foreign_stays_byte_for_byte() {
    for foreign in [
        &b""[..],
        b"\n",
        b"MAILTO=me\n* * * * * mine\n",
        b"* * * * * mine",
        b"# dos\r\n* * * * * mine\r\n\r\n",
        b"caf\xe9 \xff\x00\n\n\n",
        b"##### END OF METWORK MFSERV PLUGIN a CRONTAB #####\n",
        b"##### BEGINNING OF METWORK MFSERV PLUGIN x CRONTAB #####\n* * * * * half\n",
    ] {
        let one = applied(foreign, &[("a", &[JOB]), ("b", &[JOB, JOB])], true);
        assert!(one.starts_with(foreign), "{one:?}");
        assert_eq!(applied(&one, &[("a", &[JOB]), ("b", &[JOB, JOB])], true), one);
        let changed = applied(&one, &[("a", &["@daily x"])], false);
        assert!(changed.starts_with(foreign));
        for order in [["a", "b"], ["b", "a"]] {
            let less = applied(&changed, &[(order[0], &[])], false);
            assert_eq!(applied(&less, &[(order[1], &[])], false), foreign, "{order:?}");
        }
        assert_eq!(applied(&changed, &[], true), foreign);
    }
}

#[test]
fn a_line_added_behind_a_block_is_not_joined_to_the_line_before_it() {
    let one = applied("mine", &[("a", &[JOB])], true);
    let with = [one.as_slice(), b"later\n"].concat();
    assert_eq!(applied(with, &[], true), b"mine\nlater\n");
}

#[test]
fn a_block_keeps_its_place_and_lines_behind_it_stay() {
    let text = format!("one\n{}two\n{}three", block("/b", "a", JOB), block("/b", "b", JOB));
    let expected = format!("one\n{}two\n{}three", block("/b", "a", "@daily x"), block("/b", "b", JOB));
    assert_eq!(applied(&text, &[("a", &["@daily x"])], false), expected.as_bytes());
    assert_eq!(applied(&text, &[], true), b"one\ntwo\nthree");
}

#[test]
fn blocks_of_other_bases_modules_and_tools_are_not_ours() {
    let data = block("/b", "a", JOB).replace("MFSERV", "MFDATA");
    let unmarked = "##### BEGINNING OF METWORK MFSERV PLUGIN c CRONTAB #####\n\
                    * * * * * c\n##### END OF METWORK MFSERV PLUGIN c CRONTAB #####\n";
    let text = format!("{}{data}{unmarked}", block("/other", "a", JOB));
    assert_eq!(applied(&text, &[], true), text.as_bytes());
    let with = applied(&text, &[("a", &[JOB])], true);
    assert_eq!(with, format!("{text}{}", block("/b", "a", JOB)).as_bytes());
    // The block of an earlier tool is taken over when its plugin is installed or removed.
    let taken = applied(&text, &[("c", &[JOB])], false);
    assert!(String::from_utf8(taken).unwrap().ends_with(&block("/b", "c", JOB)));
    assert!(!String::from_utf8(applied(&text, &[("c", &[])], false)).unwrap().contains(unmarked));
}

#[test]
fn an_unfinished_or_nested_block_eats_no_foreign_line() {
    let beginning = |name: &str| format!("##### BEGINNING OF METWORK MFSERV PLUGIN {name} CRONTAB #####\n");
    let end = |name: &str| format!("##### END OF METWORK MFSERV PLUGIN {name} CRONTAB #####\n");
    let unfinished = format!("{}* * * * * foreign\n", beginning("a"));
    let other_end = format!("{}* * * * * foreign\n{}", beginning("a"), end("b"));
    let module =
        format!("{}x\n##### BEGINNING OF METWORK MFSERV CRONTAB #####\n{}", beginning("a"), end("a"));
    for text in [unfinished, other_end, module] {
        assert_eq!(applied(&text, &[("a", &[])], true), text.as_bytes());
        let blocks = Blocks::parse(text.as_bytes());
        assert_eq!(blocks.blocks, []);
        assert_eq!((blocks.unfinished[0].name.as_str(), blocks.unfinished[0].line), ("a", 1));
        let with = applied(&text, &[("a", &[JOB])], true);
        assert_eq!(with, format!("{text}{}", block("/b", "a", JOB)).as_bytes());
        assert_eq!(applied(&with, &[("a", &[JOB])], true), with);
        assert_eq!(applied(&with, &[("a", &[])], true), text.as_bytes());
    }
    let nested = format!("{}1\n{}2\n{}", beginning("a"), block("/b", "b", JOB), end("a"));
    let without = format!("{}1\n2\n{}", beginning("a"), end("a"));
    assert_eq!(applied(nested, &[("b", &[])], false), without.as_bytes());
}

#[test]
fn of_two_blocks_of_one_plugin_one_is_left() {
    let text = format!("{0}x\n{0}", block("/b", "a", JOB));
    let expected = format!("{}x\n", block("/b", "a", "@daily y"));
    assert_eq!(applied(text, &[("a", &["@daily y"])], false), expected.as_bytes());
}

#[test]
fn a_crontab_that_an_editor_gave_other_line_ends_is_understood() {
    let text = format!("mine\n{}", block("/b", "a", JOB)).replace('\n', "\r\n");
    let expected = format!("mine\r\n{}", block("/b", "a", JOB));
    assert_eq!(applied(text, &[("a", &[JOB])], false), expected.as_bytes());
}

#[test]
fn what_a_block_tells_cron_ends_with_it() {
    let foreign = "MAILTO=boss\n@daily mine\n";
    let one = applied(foreign, &[("a", &["MAILTO=a", "CRON_TZ=UTC", JOB]), ("b", &[JOB])], true);
    let expected = format!(
        "{foreign}{}{}",
        block("/b", "a", &format!("MAILTO=a\nCRON_TZ=UTC\n{JOB}\nMAILTO=boss\nCRON_TZ=\"\"")),
        block("/b", "b", JOB)
    );
    assert_eq!(one, expected.as_bytes());
    // A line that the user changes before the block is what holds behind it from the next time on.
    let edited = expected.replacen("MAILTO=boss", "MAILTO=other", 1);
    let again = applied(edited, &[("a", &["MAILTO=a", "CRON_TZ=UTC", JOB]), ("b", &[JOB])], true);
    assert_eq!(String::from_utf8(again).unwrap(), expected.replace("boss", "other"));
}
