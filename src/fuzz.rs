//! For tests: readers of foreign bytes against good bytes that a few edits damaged.
//!
//! A target is a test that hands its seeds and a check to [`Target::run`]. Seeds are the files in
//! `tests/corpus/TARGET/`, and what the test makes itself. The ordinary test run takes the seeds and a fixed number of
//! damaged ones, the same every time; with `MWP_FUZZ_SECONDS` each target goes on for so long with new ones
//! (`sh tests/fuzz.sh`). What fails is made small, printed and kept in a file: once mended, it becomes a seed.
//! `MWP_FUZZ_SEED` repeats a round.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use crate::error::Error;
use crate::fs;

/// No reader needs so long for what is at most [`LONGEST`] bytes, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(120);

/// What edits make grow no further.
const LONGEST: usize = 1 << 18;

/// Rounds of a long run are so long that one can be repeated.
const CASES_OF_A_ROUND: u32 = 500;

/// A reader, by the name of its directory of seeds.
pub(crate) struct Target {
    name: &'static str,
    seeds: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
    cases: u32,
}

/// One change to a seed; places are relative to its length.
#[derive(Debug, Clone)]
enum Edit {
    Flip(Index, u8),
    Set(Index, u8),
    Remove(Index, usize),
    /// A word of the reader's language.
    Insert(Index, Index),
    Replace(Index, Index),
    Noise(Index, Vec<u8>),
    Copy(Index, Index, usize),
    /// Some bytes, many times over.
    Repeat(Index, usize, usize),
    Cut(Index),
    /// The end of another seed.
    Splice(Index, Index, Index),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let at = any::<Index>;
    let edit = prop_oneof![
        3 => (at(), 0..8_u8).prop_map(|(at, bit)| Edit::Flip(at, bit)),
        2 => (at(), prop_oneof![Just(0), Just(0xff), Just(b'\n'), any::<u8>()])
            .prop_map(|(at, byte)| Edit::Set(at, byte)),
        3 => (at(), 1..64_usize).prop_map(|(at, length)| Edit::Remove(at, length)),
        5 => (at(), at()).prop_map(|(at, word)| Edit::Insert(at, word)),
        3 => (at(), at()).prop_map(|(at, word)| Edit::Replace(at, word)),
        2 => (at(), vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Edit::Noise(at, bytes)),
        3 => (at(), at(), 1..600_usize).prop_map(|(from, to, length)| Edit::Copy(from, to, length)),
        1 => (at(), 1..40_usize, 2..4000_usize).prop_map(|(at, length, times)| Edit::Repeat(at, length, times)),
        1 => at().prop_map(Edit::Cut),
        1 => (at(), at(), at()).prop_map(|(at, seed, from)| Edit::Splice(at, seed, from)),
    ];
    vec(edit, 0..6)
}

impl Target {
    /// The seeds of `tests/corpus/NAME/`.
    pub(crate) fn new(name: &'static str) -> Target {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name);
        let files = fs::list(&dir).unwrap();
        let seeds = files.iter().map(|file| fs::read(file).unwrap()).collect();
        let words = [
            "\n", "\r", "\0", "=", "\"", "'", "\\", "{", "}", "[", "]", "..", "/", "\u{85}", "\u{feff}", "-1",
        ];
        let words = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        Target { name, seeds, words, cases: 256 }
    }

    /// Words that mean something to the reader.
    pub(crate) fn words(mut self, words: &[&str]) -> Target {
        // Twice, so that they are taken more often than what means something everywhere.
        self.words.extend(words.iter().chain(words).map(|word| word.as_bytes().to_vec()));
        self
    }

    pub(crate) fn seed(mut self, seed: impl Into<Vec<u8>>) -> Target {
        self.seeds.push(seed.into());
        self
    }

    /// How many damaged seeds the ordinary run takes.
    pub(crate) fn cases(mut self, cases: u32) -> Target {
        self.cases = cases;
        self
    }

    /// As [`run`](Target::run), for a reader of text; what is not UTF-8 is replaced.
    pub(crate) fn run_text(&self, check: impl Fn(&str)) {
        self.run(|bytes| check(&String::from_utf8_lossy(bytes)));
    }

    /// Hands all inputs to `check`, which panics where something is wrong.
    pub(crate) fn run(&self, check: impl Fn(&[u8])) {
        assert!(!self.seeds.is_empty(), "tests/corpus/{} has no seeds", self.name);
        let watch = Watch::new(self.name);
        let check = |bytes: &[u8]| {
            watch.looks_at(bytes);
            let checked = catch_unwind(AssertUnwindSafe(|| check(bytes)));
            watch.is_done();
            checked
        };
        for seed in &self.seeds {
            if let Err(panic) = check(seed) {
                self.fail(seed, "a seed itself", words_of(&*panic));
            }
        }
        let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
        let seconds = number("MWP_FUZZ_SECONDS");
        let (start, given) = (Instant::now(), number("MWP_FUZZ_SEED"));
        let mut round =
            given.unwrap_or_else(|| if seconds.is_some() { fastrand::u64(1..1 << 48) } else { 0 });
        let cases = if seconds.is_some() { CASES_OF_A_ROUND } else { self.cases };
        loop {
            self.round(round, cases, &check);
            round += 1;
            let is_over = seconds.is_none_or(|seconds| start.elapsed() >= Duration::from_secs(seconds));
            if is_over || given.is_some() {
                break;
            }
        }
    }

    fn round(&self, round: u64, cases: u32, check: &dyn Fn(&[u8]) -> std::thread::Result<()>) {
        let config = Config { cases, failure_persistence: None, max_shrink_iters: 2000, ..Config::default() };
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&round.to_le_bytes());
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
        let tested = runner.run(&(any::<Index>(), edits()), |(seed, edits)| {
            check(&self.damaged(seed, &edits))
                .map_err(|panic| TestCaseError::fail(words_of(&*panic).to_owned()))
        });
        match tested {
            Ok(()) => {}
            Err(TestError::Fail(reason, (seed, edits))) => {
                let input = self.damaged(seed, &edits);
                let how = format!("MWP_FUZZ_SEED={round} repeats the round");
                self.fail(&input, &how, &reason.to_string());
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn damaged(&self, seed: Index, edits: &[Edit]) -> Vec<u8> {
        let mut bytes = self.seeds[seed.index(self.seeds.len())].clone();
        for edit in edits {
            let length = bytes.len();
            let place = |at: &Index| at.index(length + 1);
            let range = |at: &Index, most: usize| {
                let start = at.index(length + 1);
                start..(start + most).min(length)
            };
            match edit {
                Edit::Flip(at, bit) if length > 0 => bytes[at.index(length)] ^= 1 << bit,
                Edit::Set(at, byte) if length > 0 => bytes[at.index(length)] = *byte,
                Edit::Flip(..) | Edit::Set(..) => {}
                Edit::Remove(at, most) => drop(bytes.drain(range(at, *most))),
                Edit::Insert(at, word) => {
                    let (at, word) = (place(at), self.word(*word));
                    bytes.splice(at..at, word.iter().copied());
                }
                Edit::Replace(at, word) => {
                    let word = self.word(*word);
                    bytes.splice(range(at, word.len()), word.iter().copied());
                }
                Edit::Noise(at, noise) => {
                    let at = place(at);
                    bytes.splice(at..at, noise.iter().copied());
                }
                Edit::Copy(from, to, most) => {
                    let (piece, at) = (bytes[range(from, *most)].to_vec(), place(to));
                    bytes.splice(at..at, piece);
                }
                Edit::Repeat(at, most, times) => {
                    let range = range(at, *most);
                    let piece = bytes[range.clone()].repeat(*times);
                    bytes.splice(range, piece);
                }
                Edit::Cut(at) => bytes.truncate(place(at)),
                Edit::Splice(at, seed, from) => {
                    let other = &self.seeds[seed.index(self.seeds.len())];
                    bytes.truncate(place(at));
                    bytes.extend(&other[from.index(other.len() + 1)..]);
                }
            }
            bytes.truncate(LONGEST);
        }
        bytes
    }

    fn word(&self, word: Index) -> &[u8] {
        &self.words[word.index(self.words.len())]
    }

    /// Says what a person needs in order to mend it.
    fn fail(&self, input: &[u8], how: &str, why: &str) -> ! {
        let file = kept(self.name, input);
        let shown = input[..input.len().min(4000)].escape_ascii();
        let (name, size, file) = (self.name, input.len(), file.display());
        panic!("{name}: {why}\n{how}\ninput ({size} bytes), kept as {file}:\n{shown}\n");
    }
}

#[allow(clippy::print_stderr)]
fn tell(text: &str) {
    eprintln!("{text}");
}

fn kept(name: &str, input: &[u8]) -> PathBuf {
    let file = std::env::temp_dir().join(format!("mwp-fuzz-{name}-{:08x}", crc32fast::hash(input)));
    fs::write_atomic(&file, input).unwrap();
    file
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panicked")
}

/// Since when, and at what.
type Look = (Instant, Vec<u8>);

/// Ends the process where a reader does not come to its end.
struct Watch {
    /// In a long run, where the input is for as long as it is looked at: what ends the process leaves it there.
    file: Option<PathBuf>,
    looks_at: Arc<Mutex<Option<Look>>>,
    is_over: Arc<AtomicBool>,
}

impl Watch {
    fn new(name: &'static str) -> Watch {
        let is_long = std::env::var_os("MWP_FUZZ_SECONDS").is_some();
        let file =
            is_long.then(|| std::env::temp_dir().join(format!("mwp-fuzz-{name}-{}", std::process::id())));
        let watch = Watch { file, looks_at: Arc::default(), is_over: Arc::default() };
        let (looks_at, is_over) = (Arc::clone(&watch.looks_at), Arc::clone(&watch.is_over));
        let watching = move || {
            while !is_over.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(500));
                if let Some((since, input)) = &*looks_at.lock().unwrap()
                    && since.elapsed() > PATIENCE
                {
                    tell(&format!(
                        "{name}: does not come to its end; the input is kept as {}",
                        kept(name, input).display()
                    ));
                    std::process::abort();
                }
            }
        };
        crate::threads::start("watching a fuzz target", watching).unwrap();
        watch
    }

    fn looks_at(&self, input: &[u8]) {
        *self.looks_at.lock().unwrap() = Some((Instant::now(), input.to_vec()));
        if let Some(file) = &self.file {
            fs::write_atomic(file, input).unwrap();
        }
    }

    fn is_done(&self) {
        *self.looks_at.lock().unwrap() = None;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(file) = &self.file {
            let _ = fs::remove_file(file);
        }
    }
}

/// An error is words for a person: something is said, on one line each, nothing steers the terminal, and no name from
/// the input makes it endless.
pub(crate) fn has_words(error: &Error) {
    assert!(!error.problems.is_empty(), "an error without a problem");
    for problem in &error.problems {
        for words in std::iter::once(&problem.message).chain(&problem.hint) {
            assert!(!words.trim().is_empty(), "nothing is said");
            assert!(!words.contains(char::is_control), "control characters: {words:?}");
        }
    }
}

/// As [`has_words`], with the file that it is about.
pub(crate) fn names_file(error: &Error, file: &Path) {
    has_words(error);
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    for problem in &error.problems {
        assert!(problem.message.contains(&name), "does not say which file: {:?}", problem.message);
    }
}
