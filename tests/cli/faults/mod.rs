//! Faults and kills, at thousands of places: `sh tests/faults.sh`.
//!
//! Each command runs under strace, which lets one of its system calls fail or kills it there. Whatever happens: the
//! exit code and the words are as documented, what is installed is the old or the new and whole, the next command works
//! and ends where an undisturbed one ends, and nothing is left over.
//!
//! What runs before `main` (the loader) and what other programs do with their own faults is not judged.

mod plan;
mod scenario;

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;

use self::plan::Fault;
use self::scenario::{ALL, Scenario, State, quiet};
use crate::support::failing::Failed;
use crate::support::{Done, Sandbox, tree};

const FAULTS: usize = 1_500;
const KILLS: usize = 400;

/// Something to do in a scenario.
#[derive(Debug, Clone)]
enum Disturbance {
    Fault(Fault),
    /// So far into the command.
    KillAfter(Duration),
}

/// What happened, of one scenario and system call.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    tried: usize,
    hit: usize,
    kills: usize,
}

#[derive(Default)]
struct Report {
    tallies: BTreeMap<(&'static str, &'static str), Tally>,
    violations: Vec<String>,
}

#[test]
#[ignore = "takes a quarter of an hour: sh tests/faults.sh"]
fn a_fault_or_a_kill_anywhere_leaves_the_old_or_the_new() {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<usize>().ok());
    let wanted = number("MWP_FAULTS");
    let seed = number("MWP_FAULTS_SEED").unwrap_or(1) as u64;
    let only = std::env::var("MWP_FAULTS_ONLY").ok();
    // Not every fault comes to its place: what threads do differs from run to run.
    let faults = wanted.unwrap_or(FAULTS * 6 / 5);
    let scenarios: Vec<&Scenario> = ALL
        .iter()
        .filter(|it| only.as_ref().is_none_or(|only| only.split(',').any(|one| one == it.name)))
        .collect();
    let weights: usize = scenarios.iter().map(|scenario| scenario.weight).sum();
    let report = Mutex::new(Report::default());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().unwrap().get() {
            scope.spawn(|| {
                while let Some(scenario) = scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let faults = faults * scenario.weight / weights;
                    Trial::new(scenario, seed).run(faults, faults * 3 / 10, &report);
                }
            });
        }
    });
    let Report { tallies, violations } = report.into_inner().unwrap();
    let sum = |of: fn(&Tally) -> usize, name: Option<&str>| -> usize {
        let chosen = tallies.iter().filter(|((scenario, _), _)| name.is_none_or(|name| name == *scenario));
        chosen.map(|(_, tally)| of(tally)).sum()
    };
    for scenario in &scenarios {
        let name = Some(scenario.name);
        println!(
            "{}: {} faults injected, {} hit, {} kills",
            scenario.name,
            sum(|it| it.tried, name),
            sum(|it| it.hit, name),
            sum(|it| it.kills, name)
        );
        for ((_, call), Tally { tried, hit, kills }) in
            tallies.iter().filter(|((of, _), _)| *of == scenario.name)
        {
            println!("    {call}: {tried} faults, {hit} hit, {kills} kills");
        }
    }
    for violation in &violations {
        println!("--- {violation}");
    }
    let (hit, kills) = (sum(|it| it.hit, None), sum(|it| it.kills, None));
    println!(
        "{hit} faults and {kills} kills in {} commands, {} violations",
        scenarios.len(),
        violations.len()
    );
    assert!(violations.is_empty(), "{} violations", violations.len());
    if wanted.is_none() {
        assert!(hit >= FAULTS, "{hit} faults hit");
        assert!(kills >= KILLS, "{kills} kills");
    }
}

/// A scenario in a sandbox of its own.
struct Trial<'a> {
    scenario: &'a Scenario,
    sandbox: Sandbox,
    random: Rng,
    /// What is there after an undisturbed command and what comes next.
    expected: BTreeMap<String, String>,
    counts: BTreeMap<&'static str, usize>,
    took: Duration,
}

/// What a command may change.
const PARTS: [&str; 3] = ["home", "work", "crontab"];

impl Trial<'_> {
    fn new(scenario: &Scenario, seed: u64) -> Trial<'_> {
        let sandbox = Sandbox::new();
        use_the_python_itself(&sandbox);
        (scenario.prepare)(&sandbox);
        fs::create_dir(sandbox.path("start")).unwrap();
        for part in PARTS.iter().filter(|part| sandbox.path(part).exists()) {
            copy(&sandbox.path(part), &sandbox.path("start").join(part));
        }
        let mut trial = Trial {
            scenario,
            sandbox,
            random: Rng::with_seed(seed),
            expected: BTreeMap::new(),
            counts: BTreeMap::new(),
            took: Duration::ZERO,
        };
        let traced = trial.sandbox.traced(&plan::calls(), scenario.arguments).expect("there is no strace");
        traced.done.succeeded();
        trial.counts = plan::counts(&fs::read_to_string(trial.sandbox.path("strace.log")).unwrap());
        trial.reset();
        let begun = Instant::now();
        trial.sandbox.ok(scenario.arguments);
        trial.took = begun.elapsed();
        for arguments in (scenario.next)(State::New) {
            trial.sandbox.ok(*arguments);
        }
        trial.expected = contents(&trial.sandbox);
        trial
    }

    fn run(&mut self, faults: usize, kills: usize, report: &Mutex<Report>) {
        let mut all = plan::choose(&self.counts, false, faults, &mut self.random);
        all.extend(plan::choose(&self.counts, true, kills * 9 / 10, &mut self.random));
        let mut all: Vec<Disturbance> = all.into_iter().map(Disturbance::Fault).collect();
        for _ in 0..kills / 10 {
            all.push(Disturbance::KillAfter(self.took.mul_f64(self.random.f64())));
        }
        for disturbance in all {
            self.reset();
            let (option, after) = match &disturbance {
                Disturbance::Fault(fault) => (fault.option(), None),
                Disturbance::KillAfter(after) => ("trace=none".to_owned(), Some(*after)),
            };
            let arguments = self.scenario.arguments;
            let failed = self.sandbox.traced_within(&option, arguments, after).unwrap();
            // The loader is not ours.
            let is_loading = failed.done.stderr.contains("error while loading shared libraries");
            let killed = failed.killed && !failed.hung;
            let is_hit = !is_loading && !failed.hits.is_empty();
            let verdict = if is_loading { Ok(()) } else { self.judge(&failed) };
            let mut report = report.lock().unwrap();
            let (call, is_error) = match &disturbance {
                Disturbance::Fault(fault) => (fault.call, fault.error.is_some()),
                Disturbance::KillAfter(_) => ("by the clock", false),
            };
            let tally = report.tallies.entry((self.scenario.name, call)).or_default();
            tally.tried += usize::from(is_error);
            tally.hit += usize::from(is_error && is_hit);
            tally.kills += usize::from(killed);
            if let Err(what) = verdict {
                let after = after.map_or_else(String::new, |after| format!(" killed after {after:?}"));
                let Failed { done: Done { code, stderr, .. }, hits, .. } = &failed;
                report.violations.push(format!(
                    "mwp {}: {option}{after}\n{what}\ncode {code:?}, {}\n{stderr}",
                    arguments.join(" "),
                    hits.join("; ")
                ));
                // At once, and again at the end.
                let _ = writeln!(std::io::stderr(), "--- {}", report.violations[report.violations.len() - 1]);
            }
        }
    }

    fn reset(&self) {
        for part in PARTS {
            let path = self.sandbox.path(part);
            // What a killed command started ends a moment later.
            for attempt in 0..100 {
                match fs::remove_dir_all(&path) {
                    Err(_) if path.is_dir() && attempt < 99 => std::thread::sleep(Duration::from_millis(50)),
                    Err(error) if path.is_dir() => panic!("{error}"),
                    _ => break,
                }
            }
            if self.sandbox.path("start").join(part).exists() {
                copy(&self.sandbox.path("start").join(part), &path);
            }
        }
    }

    /// Whether everything is as it has to be after this.
    fn judge(&self, failed: &Failed) -> Result<(), String> {
        let Failed { done: Done { code, stderr, .. }, hits, killed, hung } = failed;
        if *hung {
            return Err("it does not end".to_owned());
        }
        if let Some(word) = ["panicked", "fault in mwp itself", "fatal runtime error", "BACKTRACE"]
            .into_iter()
            .find(|word| stderr.contains(word))
        {
            return Err(format!("it says `{word}`"));
        }
        let is_documented = matches!(code, Some(0 | 1 | 3 | 4 | 130)) || *killed;
        if !is_documented {
            return Err("no documented end".to_owned());
        }
        // What could not be printed is not there.
        let is_unprinted = hits.iter().any(|hit| hit.contains("write(1,") || hit.contains("write(2,"));
        let errors = stderr.lines().filter(|line| line.starts_with("error: ")).count();
        // Every thread and every program that is started may have been hit.
        let most = if hits.is_empty() { usize::MAX } else { hits.len() };
        if code.is_some_and(|code| code != 0) && !(1..=most).contains(&errors) && !is_unprinted {
            return Err(format!("{errors} lines of errors"));
        }
        quiet(&self.sandbox, &["list"])?;
        let state = (self.scenario.state)(&self.sandbox)?;
        match code {
            Some(0 | 4) if state != State::New => {
                return Err(format!("it says it is done, and is {state:?}"));
            }
            Some(1 | 3 | 130) if state == State::New && !self.scenario.goes_on && !is_unprinted => {
                return Err("it says it failed, and is done".to_owned());
            }
            _ => {}
        }
        for arguments in (self.scenario.next)(state) {
            quiet(&self.sandbox, arguments)?;
        }
        // What is left in the cache goes when something is put in it.
        quiet(&self.sandbox, &["cache", "prune"])?;
        let found = contents(&self.sandbox);
        let differ = |path: &&String| found.get(*path) != self.expected.get(*path);
        let mut different: Vec<&String> = found.keys().chain(self.expected.keys()).filter(differ).collect();
        different.sort();
        different.dedup();
        match different.as_slice() {
            [] => Ok(()),
            some => {
                let lines = some.iter().take(8).map(|path| {
                    format!("  {path}: {:?} instead of {:?}", found.get(*path), self.expected.get(*path))
                });
                Err(format!("then there is\n{}", lines.collect::<Vec<_>>().join("\n")))
            }
        }
    }
}

/// A wrapper that chooses between several Pythons makes thousands of system calls of its own.
fn use_the_python_itself(sandbox: &Sandbox) {
    let script = "import sys; print(sys.executable)";
    let done = Done::of(Command::new("python3").args(["-c", script])).succeeded();
    std::os::unix::fs::symlink(done.stdout.trim(), sandbox.path("bin/python3")).unwrap();
}

fn copy(from: &Path, to: &Path) {
    Done::of(Command::new("cp").arg("-a").arg(from).arg(to)).succeeded();
}

/// What everything is, by path. What is in the cache goes by no name that we know; nothing there may be half done.
fn contents(sandbox: &Sandbox) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for part in ["home", "work"] {
        let root = sandbox.path(part);
        for name in tree(&root) {
            let path = root.join(&name);
            let is_temporary =
                ["/stage-", "/.mwp-tmp-", "/.tmp"].iter().any(|it| format!("/{name}").contains(it));
            // Nor in the records of a build.
            let is_known = !name.starts_with(".cache/") && !name.starts_with("p/.mwp/");
            if is_known || is_temporary {
                all.insert(format!("{part}/{name}"), description(&path, &name));
            }
        }
    }
    all.insert("crontab".to_owned(), sandbox.crontab());
    all
}

fn description(path: &Path, name: &str) -> String {
    let metadata = path.symlink_metadata().unwrap();
    let mode = metadata.mode() & 0o7777;
    // Records and logs hold times.
    let is_record = ["/.mwp/", ".plugin", "/lock", "/.mwp_installed.json"].iter().any(|it| name.contains(it));
    if metadata.is_symlink() {
        format!("link to {}", fs::read_link(path).unwrap().display())
    } else if metadata.is_dir() || is_record || name.ends_with(".pyc") {
        format!("{mode:o}")
    } else {
        let mut hasher = DefaultHasher::new();
        let content = fs::read(path).unwrap();
        // Of a plugin that is made, when that was and what was drawn for it.
        let is_drawn = |line: &&[u8]| line.starts_with(b"time = ") || line.starts_with(b"seed = ");
        match path.ends_with(".mwp-template.toml") {
            true => content
                .split(|byte| *byte == b'\n')
                .filter(|line| !is_drawn(line))
                .for_each(|line| hasher.write(line)),
            false => hasher.write(&content),
        }
        format!("{mode:o} {:x}", hasher.finish())
    }
}
