//! Python: freeze, wheels, virtualenv.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::action::{Job, Judgement};
use crate::digest::Digest;
use crate::env;
use crate::error::{Error, Fault, Result};
use crate::fs;
use crate::graph::{Event, Project, Reason};
use crate::process::Log;
use crate::python::{
    BinaryPolicy, Interpreter, Line, Lock, Pin, Requirements, Resolver, Verdict, Wheel, virtualenv as venv,
};
use crate::store::Bucket;
use crate::text;

const SOURCES: &str = "python3_virtualenv_sources";
const WANTED: &str = "python3_virtualenv_sources/requirements-to-freeze.txt";
const LOCK: &str = "python3_virtualenv_sources/requirements3.txt";

/// The requirements rewritten for a resolver, while that runs. `clean` removes it, and a release leaves it out.
const FOR_TOOLS: &str = "requirements-to-freeze.tmp";

/// What the plugin asks for; `None` where it has a lock alone.
fn wanted(dir: &Path) -> Result<Option<Requirements>> {
    Ok(fs::read_text_optional(&dir.join(WANTED))?.map(|content| Requirements::parse(&content)))
}

fn overrides_layers(dir: &Path) -> bool {
    fs::exists(&dir.join(SOURCES).join("override"))
}

fn origin(dir: &Path, wanted: &Requirements) -> Digest {
    Lock::origin(wanted, &dir.join(SOURCES), overrides_layers(dir))
}

pub(super) fn judge_lock(project: &Project<'_>) -> Result<Judgement> {
    let Some(wanted) = wanted(&project.dir)? else { return Ok(Judgement::Fresh) };
    let Some(lock) = fs::read_text_optional(&project.dir.join(LOCK))? else {
        return Ok(Judgement::Stale(vec![Reason::OutputMissing { path: LOCK.to_owned() }]));
    };
    let reason = match Lock::parse(&lock).verdict(&wanted, &origin(&project.dir, &wanted)) {
        Verdict::Fits => return Ok(Judgement::Fresh),
        Verdict::Outdated { old, new } => Reason::InputChanged { path: WANTED.to_owned(), old, new },
        Verdict::Unsatisfied { requirement, found: Some(found) } => Reason::Other {
            text: format!(
                "the lock pins `{}`, and `{WANTED}` asks for `{}`",
                text::visible(&found),
                text::visible(&requirement)
            ),
        },
        Verdict::Unsatisfied { requirement, found: None } => Reason::Other {
            text: format!("the lock has no pin for `{}` of `{WANTED}`", text::visible(&requirement)),
        },
    };
    Ok(Judgement::Stale(vec![reason]))
}

/// Whether the lock holds paths: what is there may change without a word.
pub(super) fn names_directories(project: &Project<'_>) -> Result<bool> {
    let Some(lock) = fs::read_text_optional(&project.dir.join(LOCK))? else { return Ok(false) };
    let is_path = |line: &Line| {
        let text = line.text();
        !text.ends_with(".whl")
            && (text.contains(" @ file:") || matches!(line, Line::Opaque { .. }) && !text.contains("://"))
    };
    Ok(lock.contains('/') && Lock::parse(&lock).requirements.lines.iter().any(is_path))
}

fn resolver<'a>(project: &'a Project<'_>) -> Result<Resolver<'a>> {
    let directory = project.absolute_dir()?.join(SOURCES);
    Resolver::new(project.site, &project.tools, &directory, project.mode.offline)
}

pub(super) fn freeze(job: &Job<'_>, log: &mut Log) -> Result<()> {
    let project = job.project;
    let Some(wanted) = wanted(&project.dir)? else { return Ok(()) };
    refuse_if_locked(project, LOCK)?;
    let mut pins = Vec::new();
    if !wanted.is_empty() {
        let resolver = resolver(project)?;
        let short_version = &resolver.interpreter().short_version;
        let constraints = match overrides_layers(&project.dir) {
            true => Vec::new(),
            false => env::requirement_files(project.site, &project.dir, short_version)?,
        };
        let requirements = requirements_for_tools(job, &wanted)?;
        let frozen = resolver.freeze(&requirements, &constraints, job.staging, log, &job.on_line());
        // After a failure, too, nothing of ours is left among the sources.
        fs::remove_file(&project.dir.join(SOURCES).join(FOR_TOOLS))?;
        pins = frozen.map_err(|error| {
            let is_about_requirements = error.fault == Fault::Input;
            if constraints.is_empty() || !is_about_requirements { error } else { error.hint(HINT_OVERRIDE) }
        })?;
        let provided = provided_by_layers(&constraints)?;
        pins.retain(|pin| {
            !Requirements::parse(pin).lines.iter().filter_map(Pin::of).any(|pin| provided.contains(&pin))
        });
    }
    let content = Lock::render(&wanted, &origin(&project.dir, &wanted), &pins);
    let staged = job.staging.join(LOCK);
    fs::create_dir_all(&job.staging.join(SOURCES))?;
    fs::write_atomic(&staged, content.as_bytes())?;
    fs::set_mode(&staged, 0o644)
}

/// The requirements as the resolvers take them: a repository that is to be editable is pinned like any other. The
/// file stands beside the original, because paths in it are relative to that.
fn requirements_for_tools(job: &Job<'_>, wanted: &Requirements) -> Result<PathBuf> {
    let sources = job.project.absolute_dir()?.join(SOURCES);
    let plain = |line: &Line| {
        let text = line.text();
        let rest = text
            .strip_prefix("-e")
            .or(text.strip_prefix("--editable"))
            .map(|rest| rest.trim_start_matches(['=', ' ', '\t']));
        rest.filter(|rest| rest.contains("://")).map(str::to_owned)
    };
    if wanted.lines.iter().all(|line| plain(line).is_none()) {
        return Ok(sources.join("requirements-to-freeze.txt"));
    }
    let lines: Vec<String> =
        wanted.lines.iter().map(|line| plain(line).unwrap_or_else(|| line.text().to_owned())).collect();
    let file = sources.join(FOR_TOOLS);
    fs::write_atomic(&file, (lines.join("\n") + "\n").as_bytes())?;
    Ok(file)
}

const HINT_OVERRIDE: &str = "the layers' own packages are constraints; make an empty file `python3_virtualenv_sources/override` to override them";

/// Packages that the layers provide at the same version need not be shipped again.
fn provided_by_layers(constraints: &[PathBuf]) -> Result<BTreeSet<Pin>> {
    let mut provided = BTreeSet::new();
    for file in constraints {
        provided.extend(Requirements::parse(&fs::read_text(file)?).lines.iter().filter_map(Pin::of));
    }
    Ok(provided)
}

/// `--locked`: a lock that would have to be made is an error.
pub(super) fn refuse_if_locked(project: &Project<'_>, lock: &str) -> Result<()> {
    if !project.mode.locked {
        return Ok(());
    }
    let path = text::path(&project.dir.join(lock));
    let found = if fs::exists(&project.dir.join(lock)) { "is out of date" } else { "is missing" };
    Err(Error::input(format!("the lock {path} {found}, and --locked does not let it be made"))
        .hint("run `mwp build` without --locked and commit the lock; `mwp explain` says what changed"))
}

pub(super) fn wheels(job: &Job<'_>, log: &mut Log) -> Result<()> {
    let project = job.project;
    let sources = project.dir.join(SOURCES);
    let into = job.staging.join(SOURCES).join("src");
    fs::create_dir_all(&into)?;
    let lock = Lock::parse(&fs::read_text(&project.dir.join(LOCK))?);
    if lock.requirements.is_empty() {
        return Ok(());
    }
    let policy = BinaryPolicy::of(fs::read_text_optional(&sources.join("allow_binary_packages"))?.as_deref());
    let build_constraint = sources.join("build_constraint");
    let constraint_text = fs::read_text_optional(&build_constraint)?;
    let resolver = resolver(project)?;
    let key = |pin: &Pin| {
        let origin = resolver.wheel_origin(&policy, &pin.name, constraint_text.as_deref());
        Digest::of(format!("{}=={} {origin}", pin.name, pin.version).as_bytes())
    };

    // What an earlier build of any plugin fetched or compiled is taken from the store.
    let mut missing = Requirements { lines: Vec::new() };
    for line in &lock.requirements.lines {
        let restored = match Pin::of(line) {
            // A hash is for pip to check.
            Some(pin) if !line.text().contains("--hash") => {
                project.store.restore(Bucket::Wheels, &key(&pin), &into)?
            }
            _ => false,
        };
        if !restored {
            missing.lines.push(line.clone());
        }
    }
    if !missing.is_empty() {
        let constraint = constraint_text
            .is_some()
            .then(|| project.absolute_dir().map(|dir| dir.join(SOURCES).join("build_constraint")))
            .transpose()?;
        resolver.wheels(&missing, &policy, constraint.as_deref(), &into, log, &job.on_line())?;
    }
    let made = Wheel::in_dir(&into)?;
    for pin in lock.requirements.lines.iter().filter_map(Pin::of) {
        if !made.iter().any(|wheel| wheel.name == pin.name && wheel.is_version(&pin.version)) {
            return Err(Error::input(format!("no wheel of `{}=={}` was made", pin.name, pin.version))
                .hint("`mwp build --force` fetches or compiles every wheel again"));
        }
    }
    for pin in missing.lines.iter().filter_map(Pin::of) {
        let wheel = made.iter().find(|wheel| wheel.name == pin.name && wheel.is_version(&pin.version));
        if let Some(file) = wheel.and_then(|wheel| wheel.path.file_name()) {
            // The wheel is there; a cache that cannot be written costs the next build time.
            if let Err(error) = project.store.keep(Bucket::Wheels, &key(&pin), &into, &[Path::new(file)]) {
                let text = format!("the wheels were not kept in the cache: {error}");
                project.observer.event(&project.dir, Event::Warning { task: &job.task.name, text: &text });
                break;
            }
        }
    }
    Ok(())
}

pub(super) fn virtualenv(job: &Job<'_>) -> Result<()> {
    let project = job.project;
    let interpreter = Interpreter::find(&project.tools)?;
    let lock = fs::read_text(&project.dir.join(LOCK))?;
    let wheels = Wheel::in_dir(&project.dir.join(SOURCES).join("src"))?;
    venv::create(&job.staging.join("local"), &interpreter, &wheels, &lock)
}

/// Packages that `pip install` added to the virtualenv.
pub(super) fn drift(project: &Project<'_>) -> Result<Vec<String>> {
    let lock = Lock::parse(&fs::read_text(&project.dir.join(LOCK))?);
    let locked: BTreeSet<String> = lock.requirements.lines.iter().filter_map(Line::name).collect();
    // Lines whose name only pip knows: whatever is installed may be theirs.
    if lock.requirements.lines.iter().any(|line| matches!(line, Line::Opaque { name: None, .. })) {
        return Ok(Vec::new());
    }
    let mut added = Vec::new();
    for dist_info in venv::installed(&project.dir.join("local"))? {
        let stem = dist_info.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let (name, version) = stem.split_once('-').unwrap_or((&stem, ""));
        if !locked.contains(&crate::python::canonical_name(name)) {
            added.push(format!("{name} {version}"));
        }
    }
    Ok(if added.is_empty() {
        Vec::new()
    } else {
        vec![format!(
            "local/ has drifted from its lock: {} installed and not in the lock; add to `{WANTED}`, or `mwp build --force` removes it",
            text::visible(&added.join(", "))
        )]
    })
}
