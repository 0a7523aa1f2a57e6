//! The reader against Python's own, over a table of tricky inputs.

use std::io::Write;
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::*;

/// Reads each input as a file and prints what Python makes of it: sections, or the error with its lines.
const PYTHON: &str = r##"
import configparser, json, sys, tempfile

def read(text):
    parser = configparser.ConfigParser(delimiters=("=",), comment_prefixes=("#",), interpolation=None,
                                       strict=True, default_section=None)
    parser.optionxform = str
    with tempfile.NamedTemporaryFile("wb") as file:
        file.write(text.encode("utf-8"))
        file.flush()
        try:
            parser.read(file.name, encoding="utf-8")
        except configparser.MissingSectionHeaderError as error:
            return {"error": "before", "lines": [error.lineno]}
        except configparser.DuplicateSectionError as error:
            return {"error": "section", "lines": [error.lineno]}
        except configparser.DuplicateOptionError as error:
            return {"error": "key", "lines": [error.lineno]}
        except configparser.ParsingError as error:
            return {"error": "line", "lines": [line for line, _ in error.errors]}
    return {"sections": [[name, list(parser.items(name))] for name in parser.sections()]}

json.dump([read(text) for text in json.load(sys.stdin)], sys.stdout)
"##;

const INPUTS: &[&str] = &[
    "",
    "\n\n",
    "# only a comment\n",
    "; no comment\n[a]\n",
    "[a]\nk=v\n",
    "[a]\nk = v \n",
    "[a]\nk=v",
    "[a]\nk=\n",
    "[a]\nk =\n  x\n",
    "[a]\nk=v=w==\n",
    "[a]\nk:v\n",
    "[a]\nk:v=w\n",
    "[a]\nk\n",
    "[a]\nk\n  continued\nl=1\n",
    "[a]\n=v\n",
    "[a]\n=v\n  x\n",
    "[a]\n=v\n=w\n",
    "[a]\nk=v # not a comment\n",
    "[a]\nk=v ; not a comment\n",
    "[a]\n;k=v\n",
    "[a]\nk=v\n  # comment\n  more\n",
    "[a]\nk=v\n# comment at the margin\n  more\n",
    "[a]\nk=v\n\n  more\n\n\n  still more\n\nl=2\n",
    "[a]\nk=v\n\n\n",
    "[a]\nk=\n\n  x\n",
    "[a]\nk=v\n   \n  more\n",
    "[a]\nk=v\n  l=2\n",
    "[a]\n  k=v\n  l=2\n",
    "[a]\n  k=v\n    deeper\n  l=2\n m=3\n",
    "[a]\n  k=v\nl=2\n  m=3\n",
    "  [a]\nk=v\n",
    "  [a]\n  k=v\n",
    "[a]\nk=v\n  [b]\nl=1\n",
    "[a]\n  [b]\nl=1\n",
    "[a] trailing\nk=v\n",
    "[a]b]\nk=v\n",
    "[a][b]\nk=v\n",
    "[]\nk=v\n",
    "[a]\n[]\n",
    "[a]\n[]=x\n",
    "[a]\n[]]\n",
    "[a\nk=v\n",
    "[a]\n[b\n",
    "[a]\n[b=1\n",
    "[ a ]\nk=v\n",
    "[a]\nk=1\n[a]\nl=2\n",
    "[a]\nk=1\n[A]\nk=2\n",
    "[a]\nk=1\nk=2\n",
    "[a]\nk=1\nK=2\n",
    "[a]\nk=1\n[b]\nk=2\n",
    "[a]\nk[DEV]=1\nk[dev]=2\nk=3\n",
    "[a]\nk[DEV]=1\nk[DEV]=2\n",
    "[DEFAULT]\nk=v\n[a]\nl=1\n",
    "[DEFAULT]\nk=v\n[DEFAULT]\nl=1\n",
    "k=v\n[a]\n",
    "\n\nk=v\n",
    "\u{feff}[a]\nk=v\n",
    "[a]\r\nk=v\r\n  more\r\n",
    "[a]\rk=v\rl=2\r",
    "[a]\n\rk=v\r\r\n  x\n",
    "[a]\nk=v\r",
    "[s\u{e9}ction]\nkl\u{e9}=\u{4e2d}\u{6587} \u{1f600}\n",
    "[a]\nk=\u{a0}v\u{a0}\n",
    "[a]\nk=v\n\u{a0}more\n",
    "[a]\nk=v\n\u{3000}more\n\u{3000}\u{3000}again\n",
    "[a]\n\u{3000}k=v\n  l=2\n",
    "[a]\nk=\u{1c}v\u{1f}\n",
    "[a]\nk=a\u{85}b\u{2028}c\u{0b}d\u{0c}e\n",
    "[a]\nk=v\n\u{85}\n\u{2028}more\n",
    "[a]\n\u{200b}k=v\n",
    "[a]\nk=%(x)s $y ${z} %\n",
    "[a]\nk=\"quoted\"\nl='x'\n",
    "[a]\nk\tx\t=\tv\tw\t\n",
    "[a]\nk=v\n\tmore\n        more\n",
    "[a]\nk=v\\\nl=2\n",
    "[a]\nk={{ X }}\n  {% if y %}\n",
    "[a]\n#k=v\nl=1\n#\n",
    "[a]\nk#=v\nl=#\n",
    "[a]\nk=v\nbogus\n  more\n  x=1\nl=2\n",
    "[a]\nbogus one\nk=1\nbogus two\n",
    "[a]\nbogus\nk=1\nk=2\n",
    "[a]\nk=v\n[b]\n  more\n",
    "[a]\nk=v\n[b]\n  more=1\n",
    "[a]\nk=v\n  #\n\n  more\n",
    "[a]\nrem k=v\nREM=1\n",
    "[a]\nk=v\n  ]\n  [\n",
    "[a]\nk=\u{0}v\n",
    "[_hidden]\n_k=v\n",
    "[a]\nk=v\n \u{1d}\n  more\n",
];

#[derive(Debug, Deserialize, PartialEq)]
struct Reading {
    #[serde(default)]
    sections: Vec<(String, Vec<(String, String)>)>,
    error: Option<String>,
    #[serde(default)]
    lines: Vec<usize>,
}

fn ask_python(inputs: &[impl serde::Serialize]) -> Vec<Reading> {
    let mut python = Command::new("python3")
        .args(["-c", PYTHON])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = serde_json::to_vec(inputs).unwrap();
    python.stdin.take().unwrap().write_all(&input).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What Python would say of the same mistakes: it stops at the first that is not merely a bad line, and
/// reports bad lines together at the end.
fn read_here(text: &str) -> Reading {
    let (document, mistakes) = Document::parse(text);
    let fatal = mistakes.iter().find_map(|mistake| match mistake.kind {
        MistakeKind::BeforeFirstSection { .. } => Some(("before", mistake.line)),
        MistakeKind::DuplicateSection { .. } => Some(("section", mistake.line)),
        MistakeKind::DuplicateKey { .. } => Some(("key", mistake.line)),
        MistakeKind::NoDelimiter { .. } | MistakeKind::EmptyKey { .. } => None,
    });
    if let Some((error, line)) = fatal {
        return Reading { sections: vec![], error: Some(error.to_owned()), lines: vec![line] };
    }
    if !mistakes.is_empty() {
        let lines = mistakes.iter().map(|mistake| mistake.line).collect();
        return Reading { sections: vec![], error: Some("line".to_owned()), lines };
    }
    let pairs =
        |section: Section| section.entries.into_iter().map(|entry| (entry.key, entry.value)).collect();
    let sections =
        document.sections.into_iter().map(|section| (section.name.clone(), pairs(section))).collect();
    Reading { sections, error: None, lines: vec![] }
}

#[test]
fn the_reader_reads_what_python_reads() {
    let expected = ask_python(INPUTS);
    assert!(INPUTS.len() >= 50 && expected.len() == INPUTS.len());
    for (text, expected) in INPUTS.iter().zip(expected) {
        assert_eq!(read_here(text), expected, "input {text:?}");
    }
}

#[test]
fn whatever_a_file_holds_it_is_read_as_python_reads_it() {
    // Python is asked for many at once: each question costs more than hundreds of answers.
    let inputs = std::cell::RefCell::new(Vec::new());
    let compare = |inputs: Vec<String>| {
        for (text, expected) in inputs.iter().zip(ask_python(&inputs)) {
            assert_eq!(read_here(text), expected, "input {text:?}");
        }
    };
    crate::plugin::config::fuzz::target("config").run_text(|text| {
        inputs.borrow_mut().push(text.chars().take(20_000).collect::<String>());
        if inputs.borrow().len() == 500 {
            compare(inputs.take());
        }
    });
    compare(inputs.take());
}
