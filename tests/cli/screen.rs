//! What a person sees on a terminal: colours, lines that break between words, and a screen that is left clean.

use crate::support::{Done, Sandbox};

const NOBODY: (&str, &str) = ("", "");

/// Two tasks, of which one goes first without that its outputs count, and a mistake that takes a long line.
fn plugin(sandbox: &Sandbox) {
    sandbox.task_plugin("p");
    let tasks = sandbox.read("p/mwp.toml");
    let second = "[tasks.look]\nsummary = \"Look at what came of it\"\nalways = true\nafter = [\"copy\"]\ncommand = [\"true\"]\n";
    sandbox.write("p/mwp.toml", tasks + second);
}

#[test]
fn colours_are_for_terminals_and_for_those_who_want_them() {
    let sandbox = Sandbox::new();
    plugin(&sandbox);
    for arguments in [&["explain", "-C", "p"][..], &["graph", "-C", "p"], &["list"], &["check", "p", "q"]] {
        let colored = Done::of(&mut sandbox.on_terminal(80, NOBODY, arguments)).prints("\u{1b}[");
        let plain = Done::of(sandbox.on_terminal(80, NOBODY, arguments).env("NO_COLOR", "1"));
        let dumb = Done::of(sandbox.on_terminal(80, NOBODY, arguments).env("TERM", "dumb"));
        let piped = Done::of(&mut sandbox.mwp(arguments));
        for done in [&plain, &dumb, &piped] {
            assert!(!done.stdout.contains('\u{1b}') && !done.stderr.contains('\u{1b}'), "{done:?}");
        }
        assert_ne!(colored.stdout, plain.stdout);
    }
}

#[test]
fn help_shows_its_headings_and_what_is_typed_as_it_stands() {
    let sandbox = Sandbox::new();
    let shown = |arguments: &[&str]| {
        Done::of(&mut sandbox.on_terminal(80, NOBODY, arguments)).stdout.replace("\r\n", "\n")
    };
    let help = shown(&["cache", "--help"]);
    for painted in [
        "\u{1b}[1m\u{1b}[4mUsage:\u{1b}[0m \u{1b}[1mmwp cache\u{1b}[0m [OPTIONS] <COMMAND>\n",
        "\n\u{1b}[1m\u{1b}[4mCommands:\u{1b}[0m\n  \u{1b}[1minfo\u{1b}[0m   Show",
        "\n\u{1b}[1m\u{1b}[4mOptions:\u{1b}[0m\n  \u{1b}[1m-q\u{1b}[0m, \u{1b}[1m--quiet\u{1b}[0m   ",
        "\n      \u{1b}[1m--json\u{1b}[0m             Print",
    ] {
        assert!(help.contains(painted), "{help}");
    }
    let build = shown(&["build", "--help"]);
    assert!(build.contains("\n      \u{1b}[1m--json\u{1b}[0m[=<events>] "), "{build}");
    let plain = Done::of(sandbox.on_terminal(80, NOBODY, &["cache", "--help"]).env("NO_COLOR", "1"));
    let unpainted = help.replace("\u{1b}[1m", "").replace("\u{1b}[4m", "").replace("\u{1b}[0m", "");
    assert_eq!(plain.stdout.replace("\r\n", "\n"), unpainted);
    // A line that breaks behind a colon is no heading, and the first page has none.
    assert!(shown(&["circus", "--help"]).contains("\n\u{1b}[1m\u{1b}[4mOptions:"));
    assert!(shown(&["circus", "--help"]).contains("need no new file:\n"));
    assert!(!shown(&["--help"]).contains('\u{1b}'));
}

#[test]
fn lines_break_between_words_on_a_terminal_alone() {
    let sandbox = Sandbox::new();
    plugin(&sandbox);
    let shown = |columns: u16, arguments: &[&str]| {
        let mut command = sandbox.on_terminal(columns, NOBODY, arguments);
        Done::of(command.env("NO_COLOR", "1")).stdout.replace("\r\n", "\n")
    };
    for arguments in [&["explain", "-C", "p"][..], &["graph", "-C", "p"], &["list"], &["check", "p", "q"]] {
        let piped = Done::of(&mut sandbox.mwp(arguments));
        let piped = piped.stdout + &piped.stderr;
        assert_eq!(shown(0, arguments), piped, "a terminal that does not say how wide it is");
        let narrow = shown(40, arguments);
        assert!(narrow.lines().all(|line| line.chars().count() <= 40), "{narrow}");
        // The same words: none is broken, whatever the order of the columns.
        let words = |text: &str| {
            let mut words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            words.sort();
            words
        };
        assert_eq!(words(&narrow), words(&piped));
    }
    assert!(
        shown(40, &["check", "q"]).starts_with(
            "error: `q` is not a plugin: it has no\n       `.layerapi2_label`\nhint: run this in a plugin's"
        ),
        "{}",
        shown(40, &["check", "q"])
    );
}

#[test]
fn the_graph_tells_order_alone_from_what_counts() {
    let sandbox = Sandbox::new();
    plugin(&sandbox);
    let tasks = sandbox.read("p/mwp.toml");
    sandbox.ok(["graph", "-C", "p"]).prints("⇠ copy").prints("\n← what it makes counts   ⇠ goes first");
    sandbox.write("p/mwp.toml", tasks.replace("after = [\"copy\"]", "dependencies = [\"copy\"]"));
    let done = sandbox.ok(["graph", "-C", "p"]).prints("← copy");
    assert!(!done.stdout.contains('⇠'), "a legend for one kind of arrow: {done:?}");
}

#[test]
fn several_plugins_are_summed_up() {
    let sandbox = Sandbox::new();
    for name in ["a", "b", "c"] {
        sandbox.task_plugin(name);
    }
    sandbox.ok(["build", "a", "b"]).says("\n2 built\n");
    sandbox.write("b/in/a.txt", "edited\n");
    sandbox.write("c/config.ini", "nonsense\n");
    sandbox.fails(1, ["build", "a", "b", "c"]).says("\n1 built, 1 failed, 1 up to date\n");
    sandbox.ok(["release", "a", "b"]).says("\n2 up to date\n");
    sandbox.ok(["build", "-q", "a", "b"]).never_says("up to date");
    sandbox.ok(["build", "a"]).never_says("1 up to date");
}

#[test]
fn an_interrupted_build_leaves_a_clean_screen() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.write(
        "p/mwp.toml",
        "[tasks.slow]\nalways = true\ncommand = [\"sh\", \"-c\", \"echo begun; sleep 1000\"]\n",
    );
    // An echo of the key would move the cursor away from the line that is to be cleared.
    let done = Done::of(&mut sandbox.on_terminal(80, ("begun", "\u{3}"), &["build", "-C", "p"])).exited(130);
    assert!(!done.stdout.contains("^C"), "{done:?}");
    done.prints("slow: interrupted").prints("interrupted").says("control characters are echoed");
}
