//! The graph with an action of its own: what is decided, in which order, and why.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::agenda::Agenda;
use super::*;
use crate::error::{Error, Result};
use crate::fs;
use crate::site::{Environment, Site};
use crate::store::Store;

/// Joins its inputs and the outputs of its dependencies into one file.
#[derive(Debug, Default)]
struct Join {
    name: &'static str,
    version: u32,
    from: Vec<String>,
    into: String,
    setting: Option<String>,
    lock: Option<LockCheck>,
    fault: Option<&'static str>,
    runs: AtomicUsize,
}

impl Action for Join {
    fn name(&self) -> &str {
        self.name
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn outputs(&self, _: &Path) -> Vec<String> {
        vec![self.into.clone()]
    }

    fn reads(&self, _: &Scope<'_>) -> Result<Reads> {
        let settings = self.setting.iter().map(|text| ("setting".to_owned(), Value::Text(text.clone())));
        Ok(Reads { settings: settings.collect(), ..Reads::default() })
    }

    fn makes_lock(&self) -> bool {
        self.lock.is_some()
    }

    fn check_lock(&self, _: &Scope<'_>) -> Result<LockCheck> {
        Ok(self.lock.clone().unwrap_or(LockCheck::Untold))
    }

    fn run(&self, job: &mut Job<'_>) -> Result<()> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        match self.fault {
            Some("panic") => panic!("as the test wants it"),
            Some(reason) => return Err(Error::input(reason)),
            None => {}
        }
        let mut content = Vec::new();
        for name in &self.from {
            let path = job.scope.dir.join(name);
            let files = if path.is_dir() { fs::list(&path)? } else { vec![path] };
            for file in files {
                content.extend(fs::read_optional(&file)?.unwrap_or_default());
                content.push(b'|');
            }
        }
        let target = job.staging.join(&self.into);
        fs::create_dir_all(target.parent().unwrap())?;
        fs::write_atomic(&target, &content)
    }
}

struct Silent;

impl Observer for Silent {
    fn event(&self, _: &Path, _: Event<'_>) {}
}

/// A directory with files, and a cache.
struct World {
    root: tempfile::TempDir,
    site: Site,
    store: Store,
}

impl World {
    fn new() -> World {
        let root = tempfile::tempdir().unwrap();
        let mut environment = Environment::default();
        environment.set("MWP_CACHE_DIR", root.path().join("cache"));
        environment.set("PATH", std::env::var_os("PATH").unwrap());
        let store = Store::new(&root.path().join("cache"), None);
        fs::create_dir_all(&root.path().join("p")).unwrap();
        World { site: Site::new(environment), store, root }
    }

    fn dir(&self) -> PathBuf {
        self.root.path().join("p")
    }

    fn write(&self, name: &str, content: &str) {
        fs::create_dir_all(self.dir().join(name).parent().unwrap()).unwrap();
        fs::write_atomic(&self.dir().join(name), content.as_bytes()).unwrap();
    }

    fn with<T>(&self, tasks: Vec<Task>, mode: &Mode, work: impl FnOnce(&Project<'_>) -> T) -> T {
        let plan = Plan::new(&self.dir(), tasks, &Default::default(), Target::Build).unwrap();
        work(&Project::new(&self.dir(), plan, &self.site, &self.store, mode, &Silent))
    }

    fn build_with(&self, tasks: Vec<Task>, mode: &Mode) -> Result<Vec<String>> {
        self.with(tasks, mode, |project| {
            let _lock = project.lock()?;
            Ok(stale_of(build(project, &Slots::new(2))?))
        })
    }

    fn build(&self, tasks: Vec<Task>) -> Vec<String> {
        self.build_with(tasks, &Mode::default()).unwrap()
    }

    fn explain(&self, tasks: Vec<Task>) -> Vec<TaskStatus> {
        self.with(tasks, &Mode::default(), |project| explain(project).unwrap())
    }

    fn reasons(&self, task: Task) -> Vec<String> {
        let statuses = self.explain(vec![task]);
        statuses[0].reasons.iter().map(ToString::to_string).collect()
    }
}

fn stale_of(statuses: Vec<TaskStatus>) -> Vec<String> {
    statuses.into_iter().filter(|status| !status.fresh).map(|status| status.task).collect()
}

fn task_of(name: &str, action: Join) -> Task {
    let origin = Origin { file: "mwp.toml".to_owned(), is_own: true };
    let inputs = action.from.iter().filter(|name| name.starts_with("in")).cloned().collect();
    Task { inputs, ..Task::new(name, Arc::new(action), Path::new("."), origin) }
}

/// A task `name` from `in` to `out/name`.
fn task(name: &str) -> Task {
    task_of(name, join(name))
}

fn join(name: &str) -> Join {
    Join { name: "join", from: vec!["in".into()], into: format!("out/{name}"), ..Join::default() }
}

fn with(change: impl FnOnce(&mut Join)) -> Task {
    let mut action = join("a");
    change(&mut action);
    task_of("a", action)
}

#[test]
fn every_fact_counts_and_is_told() {
    type Edit = fn(&World) -> Task;
    let table: [(&str, Edit); 10] = [
        ("the recipe's `action` changed: join → other", |_| with(|join| join.name = "other")),
        ("the recipe's `action version` changed: 0 → 1", |_| with(|join| join.version = 1)),
        ("the setting `setting` changed: nothing → x", |_| with(|join| join.setting = Some("x".into()))),
        ("the recipe's `inputs` changed: [\"in\"] → [\"in\", \"!in/b\"]", |_| Task {
            inputs: vec!["in".into(), "!in/b".into()],
            ..task("a")
        }),
        ("the environment variable `V` changed: unset → unset", |_| Task {
            environment: vec!["V".into()],
            ..task("a")
        }),
        ("the tool `sh` changed: nothing → ", |_| Task { tools: vec!["sh".into()], ..task("a") }),
        ("the input `in/a` changed: line 1: `a` → `other`", |world| {
            world.write("in/a", "other");
            task("a")
        }),
        ("the input `in/new` is new: nothing → file ", |world| {
            world.write("in/new", "");
            task("a")
        }),
        ("the input `in/a` is gone: file ", |world| {
            fs::remove_file(&world.dir().join("in/a")).unwrap();
            task("a")
        }),
        ("what the input `in/link`, a link, points to changed: line 1: `s` → `other`", |world| {
            world.write("shared", "other");
            task("a")
        }),
    ];
    for (reason, edit) in table {
        let world = World::new();
        world.write("in/a", "a");
        world.write("in/b", "b");
        world.write("shared", "s");
        fs::symlink(Path::new("../shared"), &world.dir().join("in/link")).unwrap();
        assert_eq!(world.build(vec![task("a")]), ["a"]);
        assert_eq!(world.reasons(task("a")), [""; 0]);
        let edited = edit(&world);
        let reasons = world.reasons(edited.clone());
        assert!(reasons.iter().any(|told| told.starts_with(reason)), "{reason}\n-> {reasons:?}");
        assert_eq!(world.build(vec![edited.clone()]), ["a"], "{reason}");
        assert_eq!(world.build(vec![edited]), [""; 0], "{reason}");
    }
}

#[test]
fn a_lock_is_decided_by_what_it_says_of_itself() {
    let stale = || LockCheck::Stale(vec!["it does not fit".into()]);
    // Is there a lock, is there a record, what does it say of itself: does it run?
    for (is_there, check, runs) in [
        (true, LockCheck::Fits, false),
        (true, LockCheck::Untold, false),
        (true, stale(), true),
        (false, stale(), true),
        (false, LockCheck::Untold, true),
    ] {
        let world = World::new();
        world.write("in/a", "a");
        if is_there {
            world.write("out/a", "a lock");
        }
        let what = format!("{is_there} {check:?}");
        let lock = |check| with(|join| join.lock = Some(check));
        let copy = check.clone();
        let locked = Mode { locked: true, ..Mode::default() };
        assert_eq!(world.build_with(vec![lock(copy)], &locked).is_err(), runs, "{what}");
        assert_eq!(world.build(vec![lock(check)]), if runs { vec!["a"] } else { vec![] }, "{what}");
        // With a record, `--force` leaves it alone and an upgrade does not.
        let force = Mode { force: true, ..Mode::default() };
        let fits = || vec![lock(LockCheck::Fits)];
        assert_eq!(world.build_with(fits(), &force).unwrap(), [""; 0], "{what}");
        let upgrade = Mode { upgrade: Upgrade::Everything, ..Mode::default() };
        assert_eq!(world.build_with(fits(), &upgrade).unwrap(), ["a"], "{what}");
    }
}

#[test]
fn a_lock_that_is_incomplete_is_made_again_but_not_with_locked() {
    let world = World::new();
    world.write("in/a", "a");
    world.write("out/a", "a lock");
    let lock = || vec![with(|join| join.lock = Some(LockCheck::Incomplete(vec!["why".to_owned()])))];
    let locked = Mode { locked: true, ..Mode::default() };
    // Nothing is recorded: the next build without it looks again.
    assert_eq!(world.build_with(lock(), &locked).unwrap(), [""; 0]);
    assert_eq!(world.build_with(lock(), &locked).unwrap(), [""; 0]);
    assert_eq!(world.build(lock()), ["a"]);
}

#[test]
fn a_panic_of_a_task_is_an_error_and_not_a_hang() {
    let world = World::new();
    world.write("in/a", "a");
    let tasks = vec![with(|join| join.fault = Some("panic")), task("b")];
    let error = world.build_with(tasks, &Mode::default()).unwrap_err();
    assert!(error.to_string().contains("task `a`: a fault in mwp itself: as the test wants it"), "{error}");
}

#[test]
fn a_panic_in_one_directory_is_its_error_and_the_others_are_built() {
    let world = World::new();
    world.write("in/a", "a");
    let mode = Mode::default();
    let directories = [world.root.path().join("other"), world.dir()];
    let open = |dir: &Path| {
        assert!(!dir.ends_with("other"), "as the test wants it");
        let plan = Plan::new(dir, vec![task("a")], &Default::default(), Target::Build)?;
        Ok(Project::new(dir, plan, &world.site, &world.store, &mode, &Silent))
    };
    let results = build_all(&directories, open, &Slots::new(1));
    assert!(results[0].as_ref().unwrap_err().to_string().contains("as the test wants it"));
    assert_eq!(results[1].as_ref().unwrap().tasks.len(), 1);
}

#[test]
fn after_a_failure_nothing_new_starts_and_what_runs_may_end() {
    let world = World::new();
    let plan = |tasks| Plan::new(&world.dir(), tasks, &Default::default(), Target::Build).unwrap();
    let after = |name: &str, first: &[&str]| Task {
        dependencies: first.iter().map(|name| (*name).to_owned()).collect(),
        ..task(name)
    };
    let plan = plan(vec![task("a"), task("b"), after("c", &["a"]), after("d", &["a", "b"]), task("e")]);
    let mut agenda = Agenda::new(&plan);
    assert_eq!((agenda.start(), agenda.start()), (Some(0), Some(1)));
    agenda.end(0, true);
    // What has become ready by now is in line with what always was.
    assert_eq!(agenda.start(), Some(2));
    agenda.end(1, false);
    assert_eq!(agenda.start(), None);
    assert!(!agenda.is_idle());
    agenda.end(2, true);
    assert!(agenda.is_idle());
    assert_eq!(agenda.start(), None);
}

#[test]
fn a_task_has_this_thread_only_where_nothing_could_start_beside_it() {
    let world = World::new();
    let plan = |tasks| Plan::new(&world.dir(), tasks, &Default::default(), Target::Build).unwrap();
    let after = |name: &str, first: &str| Task { dependencies: vec![first.to_owned()], ..task(name) };
    let plan = plan(vec![task("a"), task("b"), after("c", "a"), after("d", "c")]);
    let mut agenda = Agenda::new(&plan);
    let start = |agenda: &mut Agenda<'_>| (agenda.start(), agenda.waits_for_last());
    // `b` is next in line.
    assert_eq!(start(&mut agenda), (Some(0), false));
    // `c` starts as soon as `a` ends, however long `b` takes.
    assert_eq!(start(&mut agenda), (Some(1), false));
    agenda.end(1, true);
    agenda.end(0, true);
    // What is left waits for `c` alone.
    assert_eq!(start(&mut agenda), (Some(2), true));
    agenda.end(2, true);
    assert_eq!(start(&mut agenda), (Some(3), true));
}

/// Edits its input while it runs, puts the time back and, where it `restores`, the content as well.
#[derive(Debug)]
struct Meddler {
    meddles: bool,
    restores: bool,
}

impl Action for Meddler {
    fn name(&self) -> &str {
        "meddler"
    }

    fn outputs(&self, _: &Path) -> Vec<String> {
        vec!["out".into()]
    }

    fn run(&self, job: &mut Job<'_>) -> Result<()> {
        let input = job.scope.dir.join("in");
        let time = input.metadata().unwrap().modified().unwrap();
        if self.meddles {
            std::fs::write(&input, "B").unwrap();
        }
        fs::write_atomic(&job.staging.join("out"), &fs::read(&input)?)?;
        if self.restores {
            std::fs::write(&input, "A").unwrap();
        }
        std::fs::File::options().write(true).open(&input).unwrap().set_modified(time).unwrap();
        Ok(())
    }
}

#[test]
fn what_changed_while_the_task_ran_is_not_kept() {
    for restores in [false, true] {
        let origin = || Origin { file: "mwp.toml".to_owned(), is_own: true };
        let task = |meddles| Task {
            inputs: vec!["in".into()],
            ..Task::new("a", Arc::new(Meddler { meddles, restores }), Path::new("."), origin())
        };
        let world = World::new();
        world.write("in", "A");
        world.build(vec![task(true)]);
        if !restores {
            assert_eq!(stale_of(world.explain(vec![task(false)])), ["a"]);
        }
        // Another checkout with the first content must not get what was made of the second.
        fs::remove_tree(&world.dir()).unwrap();
        world.write("in", "A");
        world.build(vec![task(false)]);
        assert_eq!(fs::read_text(&world.dir().join("out")).unwrap(), "A");
    }
}

/// For each task, which of the files `in/0…3` it reads, and which earlier tasks it depends on.
#[derive(Debug, Clone)]
struct Shape(Vec<(Vec<usize>, Vec<usize>)>);

impl Shape {
    fn tasks(&self) -> Vec<Task> {
        let one = |(index, (files, dependencies)): (usize, &(Vec<usize>, Vec<usize>))| {
            let name = format!("t{index}");
            let from = files.iter().map(|file| format!("in/{file}"));
            let from = from.chain(dependencies.iter().map(|other| format!("out/t{other}"))).collect();
            let action = Join { name: "join", from, into: format!("out/{name}"), ..Join::default() };
            let dependencies = dependencies.iter().map(|other| format!("t{other}")).collect();
            Task { dependencies, ..task_of(&name, action) }
        };
        self.0.iter().enumerate().map(one).collect()
    }

    /// Those that read the file, and all that depend on them.
    fn dependents(&self, file: usize) -> Vec<String> {
        let mut hit: Vec<bool> = Vec::new();
        for (files, dependencies) in &self.0 {
            hit.push(files.contains(&file) || dependencies.iter().any(|other| hit[*other]));
        }
        (0..hit.len()).filter(|index| hit[*index]).map(|index| format!("t{index}")).collect()
    }
}

fn shapes() -> impl Strategy<Value = Shape> {
    proptest::collection::vec((proptest::collection::vec(0..4usize, 1..3), any::<u8>()), 1..6).prop_map(
        |tasks| {
            let one = |(index, (files, bits)): (usize, (Vec<usize>, u8))| {
                let mut files = files;
                files.sort_unstable();
                files.dedup();
                (files, (0..index).filter(|other| bits >> other & 1 == 1).collect())
            };
            Shape(tasks.into_iter().enumerate().map(one).collect())
        },
    )
}

fn outputs(world: &World) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = fs::list(&world.dir().join("out")).unwrap();
    files.into_iter().map(|path| (path.file_name().unwrap().into(), fs::read(&path).unwrap())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_a_build_all_is_fresh_after_an_edit_its_dependents_are_not_and_a_cache_changes_nothing(
        shape in shapes(),
        // Which file, and its next content; few, so that earlier states come back.
        edits in proptest::collection::vec((0..4usize, 0..3u8), 1..6),
    ) {
        let world = World::new();
        let mut contents = [0u8; 4];
        for file in 0..4 {
            world.write(&format!("in/{file}"), "0");
        }
        world.build(shape.tasks());
        for (file, content) in edits {
            prop_assert_eq!(stale_of(world.explain(shape.tasks())), Vec::<String>::new());
            world.write(&format!("in/{file}"), &content.to_string());
            let expected = if contents[file] == content { vec![] } else { shape.dependents(file) };
            contents[file] = content;
            prop_assert_eq!(&stale_of(world.explain(shape.tasks())), &expected);
            prop_assert_eq!(&world.build(shape.tasks()), &expected);

            let plain = World::new();
            for (file, content) in contents.iter().enumerate() {
                plain.write(&format!("in/{file}"), &content.to_string());
            }
            let without_cache = |task: Task| Task { cache: false, ..task };
            plain.build(shape.tasks().into_iter().map(without_cache).collect());
            prop_assert_eq!(outputs(&world), outputs(&plain));
        }
    }
}
