//! The README and `docs/`: each block is run, or read by whoever reads such a thing; each command that is named exists.
//!
//! The blocks of a page run one after the other, in one directory. Comments of HTML above a block say what a reader does
//! not need to see: `<!-- first: COMMANDS -->` what goes before it, `<!-- not run: REASON -->` why it is not run, and
//! `<!-- exit code: N -->` how it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use crate::support::running::Up;
use crate::support::{Done, Sandbox, path_with_uv};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The README and every page below `docs/`.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![PathBuf::from("README.md")];
    for dir in ["docs", "docs/help"] {
        let entries = fs::read_dir(root().join(dir)).unwrap().map(|entry| entry.unwrap().file_name());
        pages.extend(entries.map(|name| Path::new(dir).join(name)));
    }
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    pages
}

#[derive(Debug, Default)]
struct Block {
    place: String,
    language: String,
    text: String,
    first: String,
    not_run: Option<String>,
    code: i32,
}

/// The blocks of a page, and its lines without them.
fn read(page: &Path) -> (Vec<Block>, Vec<String>) {
    let content = fs::read_to_string(root().join(page)).unwrap();
    let (mut blocks, mut prose): (Vec<Block>, Vec<String>) = Default::default();
    let (mut next, mut is_inside) = (Block::default(), false);
    for (number, line) in content.lines().enumerate() {
        let note = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->"));
        match (is_inside, line.strip_prefix("```"), note) {
            (false, Some(language), _) => {
                next.language = language.to_owned();
                next.place = format!("{}:{}", page.display(), number + 1);
                is_inside = true;
            }
            (true, Some(_), _) => {
                blocks.push(std::mem::take(&mut next));
                is_inside = false;
            }
            (true, None, _) => next.text += &format!("{line}\n"),
            (false, None, Some(note)) => match note.split_once(": ") {
                Some(("first", commands)) => next.first = commands.to_owned(),
                Some(("not run", reason)) => next.not_run = Some(reason.to_owned()),
                Some(("exit code", code)) => next.code = code.parse().unwrap(),
                _ => panic!("{}:{}: a comment of another kind", page.display(), number + 1),
            },
            (false, None, None) => {
                let is_blank = line.trim().is_empty();
                let is_used = next.first.is_empty() && next.not_run.is_none() && next.code == 0;
                assert!(is_blank || is_used, "{}:{}: a comment without a block", page.display(), number + 1);
                prose.push(line.to_owned());
            }
        }
    }
    assert!(!is_inside, "{}: a block without an end", page.display());
    (blocks, prose)
}

/// A sandbox with `mwp` on PATH, and modules on a port of their own.
struct Reader<'a> {
    sandbox: &'a Sandbox,
    port: u16,
    _up: Up<'a>,
}

impl<'a> Reader<'a> {
    fn new(sandbox: &'a Sandbox) -> Reader<'a> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = sandbox.path("etc/metwork.config.d/mfserv");
        fs::create_dir_all(&settings).unwrap();
        let text = format!("[nginx]\nport={port}\nlisten=127.0.0.1\nworkers=1\n");
        fs::write(settings.join("config.ini"), text).unwrap();
        fs::create_dir_all(sandbox.path("bin")).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_mwp"), sandbox.path("bin/mwp")).unwrap();
        fs::write(sandbox.path("directory"), sandbox.work().to_str().unwrap()).unwrap();
        Reader { sandbox, port, _up: Up { sandbox, port } }
    }

    /// Runs commands where the ones before ended.
    fn shell(&self, commands: &str) -> Done {
        let commands = commands.replace("18868", &self.port.to_string());
        let directory = self.sandbox.path("directory");
        let mut shell = self.sandbox.command("bash");
        // Resolving is what takes the time, and uv's is short.
        let mut path = std::ffi::OsString::from(self.sandbox.path("bin"));
        path.push(":");
        path.push(path_with_uv());
        shell.env("PATH", path);
        let script = format!("{commands}\npwd >{}", directory.display());
        shell.args(["-ec", &script]).current_dir(fs::read_to_string(directory).unwrap().trim_end());
        Done::of(&mut shell)
    }

    fn run(&self, block: &Block) {
        let ends = |done: &Done| {
            assert_eq!(done.code, Some(block.code), "{}\n{}{}", block.place, done.stdout, done.stderr);
        };
        match block.language.as_str() {
            "sh" => ends(&self.shell(&format!("{}\n{}", block.first, block.text))),
            "console" => {
                let commands = block.text.lines().filter_map(|line| line.strip_prefix("$ "));
                let typed: Vec<String> =
                    commands.map(|command| format!("echo '$ {command}'\n{command}")).collect();
                let done = self.shell(&format!("exec 2>&1\n{}\n{}", block.first, typed.join("\n")));
                ends(&done);
                let home = self.sandbox.path("home").display().to_string();
                let printed = done.stdout.replace(&home, "/home/me").replace(&self.port.to_string(), "18868");
                assert_same(&block.place, &block.text, &printed.replace("127.0.0.1", "localhost"));
            }
            "toml" => {
                self.sandbox.plugin("read");
                self.sandbox.write("read/mwp.toml", &block.text);
                self.sandbox.ok(["graph", "-C", "read"]);
            }
            "crontab" => {
                self.sandbox.plugin("read");
                self.sandbox.write("read/crontab", &block.text);
                self.sandbox.ok(["check", "-C", "read"]);
            }
            "ini" => {
                self.sandbox.configure_module(&block.text);
                self.sandbox.ok(["circus", "--module", "mfserv"]);
            }
            "yaml" => {
                let read: serde_yaml_ng::Value = serde_yaml_ng::from_str(&block.text).expect(&block.place);
                assert!(read.is_mapping(), "{}", block.place);
            }
            other => panic!("{}: `{other}` is read by nobody", block.place),
        }
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let _ = self.sandbox.mwp(["down", "--module", "mfdata"]).output();
    }
}

/// Compares what is shown with what was printed, but for numbers, blanks, and rows that differ in these alone. A line `…`
/// stands for any number of lines.
#[track_caller]
fn assert_same(place: &str, shown: &str, printed: &str) {
    let lines = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(without_numbers).collect();
        lines.dedup();
        lines
    };
    let (shown, printed) = (lines(shown), lines(printed));
    let mut rest = printed.as_slice();
    let mut may_skip = false;
    for line in &shown {
        if line == "…" {
            may_skip = true;
            continue;
        }
        let at = rest.iter().position(|other| other == line);
        match at {
            Some(at) if may_skip || at == 0 => rest = &rest[at + 1..],
            _ => panic!("{place}: no {line:?} in:\n{}", printed.join("\n")),
        }
        may_skip = false;
    }
    assert!(may_skip || rest.is_empty(), "{place}: this was printed, too:\n{}", rest.join("\n"));
}

fn without_numbers(line: &str) -> String {
    // Which packages a requirement brings is not ours.
    if line.starts_with("freeze: + ") {
        return "freeze: + a package".to_owned();
    }
    let is_number = |word: &str| word.trim_matches([':', ',']).parse::<f64>().is_ok();
    let words = line.split_whitespace().map(|word| match word {
        _ if is_number(word) => "N",
        // A short time is milliseconds, a longer one seconds.
        "ms" | "kB" | "MB" => "unit",
        "s" => "unit",
        // Versions as of the day.
        _ if word.starts_with(|c: char| c.is_ascii_digit()) => "N",
        _ => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

fn read_aloud(page: &str) {
    let sandbox = Sandbox::new();
    let reader = Reader::new(&sandbox);
    let (blocks, _) = read(Path::new(page));
    for block in blocks.iter().filter(|block| block.not_run.is_none()) {
        reader.run(block);
    }
}

/// A test for each page, so that they run side by side.
macro_rules! pages {
    ($($test:ident: $page:literal,)*) => {
        const TESTED: &[&str] = &[$($page),*];
        $(#[test] fn $test() { read_aloud($page); })*
    };
}

pages! {
    the_readme_works_as_written: "README.md",
    building_works_as_written: "docs/building.md",
    ci_works_as_written: "docs/ci.md",
    data_works_as_written: "docs/data.md",
    help_on_cron_works_as_written: "docs/help/cron.md",
    help_on_json_works_as_written: "docs/help/json.md",
    help_on_recipes_works_as_written: "docs/help/recipes.md",
    installing_works_as_written: "docs/installing.md",
    moving_works_as_written: "docs/moving.md",
    running_works_as_written: "docs/running.md",
    settings_work_as_written: "docs/settings.md",
    templates_work_as_written: "docs/templates.md",
}

#[test]
fn each_page_with_a_block_is_tested_and_what_is_not_run_has_a_reason() {
    let mut with_blocks = BTreeSet::new();
    for page in pages() {
        let (blocks, _) = read(&page);
        if !blocks.is_empty() {
            with_blocks.insert(page.to_str().unwrap().to_owned());
        }
        for block in blocks {
            let reason = block.not_run.unwrap_or_else(|| "it is run".to_owned());
            assert!(reason.split_whitespace().count() >= 3, "{}: the reason is `{reason}`", block.place);
        }
    }
    assert_eq!(with_blocks, TESTED.iter().map(|page| (*page).to_owned()).collect());
}

#[test]
fn the_picture_of_the_readme_is_what_a_terminal_shows_today() {
    let sandbox = Sandbox::new();
    let picture = fs::read_to_string(root().join("docs/session.svg")).unwrap();
    let texts = picture.lines().filter_map(|line| line.trim().strip_prefix("<text ")?.split_once('>'));
    let lines = texts.map(|(_, text)| text.strip_suffix("</text>").unwrap().to_owned() + "\n");
    let text = lines.collect::<String>().replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let place = "docs/session.svg (`python3 docs/session.py` makes it anew)".to_owned();
    Reader::new(&sandbox).run(&Block { place, language: "console".into(), text, ..Block::default() });
}

/// What stands in back-ticks, with where.
fn quoted() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for page in pages() {
        for line in read(&page).1 {
            let is_whole = line.matches('`').count() % 2 == 0;
            assert!(is_whole, "{}: back-ticks go over the end of a line: {line}", page.display());
            let spans = line.split('`').skip(1).step_by(2);
            found.extend(spans.map(|span| (page.display().to_string(), span.to_owned())));
        }
    }
    found
}

#[test]
fn each_command_that_a_page_names_exists_with_its_options() {
    let sandbox = Sandbox::new();
    let mut helps: BTreeMap<Vec<String>, String> = BTreeMap::new();
    let mut help = |command: &[String]| {
        let words = command.iter().map(String::as_str).chain(["--help"]);
        helps.entry(command.to_vec()).or_insert_with(|| sandbox.ok(words).stdout).clone()
    };
    for (page, span) in quoted() {
        let Some(line) = span.strip_prefix("mwp ") else { continue };
        let ours = line.split([';', '|', '>']).next().unwrap().split(" -- ").next().unwrap();
        let words: Vec<String> = ours.split_whitespace().map(str::to_owned).collect();
        let is_name = |word: &String| word.chars().all(|c| c.is_ascii_lowercase());
        let mut command: Vec<String> = words.iter().take(1).filter(|word| is_name(word)).cloned().collect();
        let has_commands = help(&command).contains("Usage: mwp ") && help(&command).contains("\nCommands:\n");
        if has_commands {
            command.extend(words.get(1).filter(|word| is_name(word)).cloned());
        }
        let help = help(&command);
        for word in &words[command.len()..] {
            let word = word.trim_matches(['[', ']', '…', '`']);
            let option = word.split(['=', '[']).next().unwrap();
            if option.starts_with('-') && option != "--" {
                let known = help.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
                assert!(known.into_iter().any(|known| known == option), "{page}: `{span}` has no {option}");
            }
        }
        if let [first, topic] = words.as_slice()
            && first == "help"
            && is_name(topic)
        {
            sandbox.ok(["help", topic]);
        }
    }
}

#[test]
fn links_between_pages_lead_somewhere() {
    for page in pages() {
        for line in read(&page).1 {
            for link in line.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
                let target = root().join(&page).parent().unwrap().join(link);
                assert!(link.starts_with("https://") || target.exists(), "{}: {link}", page.display());
            }
        }
    }
}

#[test]
fn every_variable_of_our_own_is_documented() {
    fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            match entry.is_dir() {
                true => sources(&entry, found),
                false => found.push(entry),
            }
        }
    }
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    // Fuzzing is a test.
    files.retain(|file| !file.ends_with("src/fuzz.rs"));
    let documented = fs::read_to_string(root().join("docs/help/environment.md")).unwrap();
    // What the build script sets is read by the compiler.
    let mut known: BTreeSet<&str> = BTreeSet::from(["MWP_VERSION"]);
    known.extend(names(&documented));
    for file in files {
        let source = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
        for name in names(&source) {
            assert!(known.contains(name), "{name} of {} is not documented", file.display());
        }
    }
}

/// The names that begin with `MWP_`.
fn names(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("MWP_") && word.len() > 4).collect()
}
