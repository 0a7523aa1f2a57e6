//! The files around the configuration: label, Makefile, layers, what a release leaves out, sources, code.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

use super::{Change, Facts, Findings, variables};
use crate::error::Result;
use crate::fs;
use crate::plugin::{LABEL_FILE, Module, PluginName};
use crate::site::Site;
use crate::template;

const MAKEFILE: &str = "Makefile";
const LAYERS: &str = ".layerapi2_dependencies";
const EXTRA_ENV: &str = ".layerapi2_extra_env";
const RELEASE_IGNORE: &str = ".releaseignore";
const SOURCES: &str = "python3_virtualenv_sources";
const SOURCES_2: &str = "python2_virtualenv_sources";

/// Endings of files that hold code or settings.
const CODE: [&str; 15] = [
    "py", "js", "ts", "sh", "bash", "lua", "php", "conf", "ini", "yml", "yaml", "json", "toml", "html", "cfg",
];
/// Directories that hold no code of the plugin's own.
const NO_CODE: [&str; 6] = ["node_modules", "local", SOURCES, SOURCES_2, "tmp_build", "__pycache__"];
/// The largest file that is looked at.
const LARGEST_CODE: u64 = 1 << 20;

pub(super) fn migrate(facts: &Facts<'_>, site: &Site, report: &mut Findings) -> Result<()> {
    if !fs::exists(&facts.dir.join(LABEL_FILE)) {
        report.write(LABEL_FILE, None, format!("plugin_{}@{}\n", facts.name, facts.module));
    }
    sources(facts, report)?;
    layers(facts, report)?;
    if let Some(old) = facts.read(EXTRA_ENV)? {
        extra_env(old, report);
    }
    makefile_and_ignored(facts, site, report)?;
    Ok(())
}

fn sources(facts: &Facts<'_>, report: &mut Findings) -> Result<()> {
    let mut dir = SOURCES;
    if fs::exists(&facts.dir.join(SOURCES_2)) {
        if !facts.from_python2 {
            report.problem(SOURCES_2, 0, "there is no Python 2 any more");
            return Ok(());
        }
        if fs::exists(&facts.dir.join(SOURCES)) {
            report.changes.push(Change::Remove { path: SOURCES_2.into() });
        } else {
            report.changes.push(Change::Rename { from: SOURCES_2.into(), to: SOURCES.into() });
            let lock = facts.dir.join(SOURCES_2).join("requirements2.txt");
            if fs::exists(&lock) {
                report.changes.push(Change::Remove { path: Path::new(SOURCES).join("requirements2.txt") });
                report.note(
                    lock_name(),
                    0,
                    "the pins were for Python 2: the next build makes new ones".to_owned(),
                );
            }
            dir = SOURCES_2;
        }
    }
    // What a build makes again.
    for path in fs::list(&facts.dir.join(dir)).unwrap_or_default() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("tempolayer") || name == "src" && has_wheels(&path) {
            report.changes.push(Change::Remove { path: Path::new(SOURCES).join(name) });
        }
    }
    Ok(())
}

fn lock_name() -> PathBuf {
    Path::new(SOURCES).join("requirements3.txt")
}

fn has_wheels(dir: &Path) -> bool {
    let files = fs::list(dir).unwrap_or_default();
    files.iter().any(|path| path.extension().is_some_and(|extension| extension == "whl"))
}

fn layers(facts: &Facts<'_>, report: &mut Findings) -> Result<()> {
    let Some(old) = facts.read(LAYERS)? else {
        let mut new = String::new();
        if fs::exists(&facts.dir.join(SOURCES)) || fs::exists(&facts.dir.join(SOURCES_2)) {
            new.push_str("python3@mfext\n");
        }
        if fs::exists(&facts.dir.join("package.json")) {
            new.push_str("nodejs@mfext\n");
        }
        if facts.module == Module::Mfdata && new.is_empty() {
            new.push_str("python3@mfext\n");
        }
        report.write(LAYERS, None, format!("{new}root@{}\n", facts.module));
        return Ok(());
    };
    let mut new = String::new();
    for (index, line) in old.lines().enumerate() {
        let (optional, layer) = match line.trim().strip_prefix('-') {
            Some(layer) => ("-", layer),
            None => ("", line.trim()),
        };
        let (name, home) = layer.split_once('@').unwrap_or((layer, ""));
        let line = match (name, home) {
            _ if layer.starts_with('#') => line.to_owned(),
            ("python2", _) if !facts.from_python2 => {
                report.problem(LAYERS, index + 1, &format!("found `{layer}`; there is no Python 2 any more"));
                continue;
            }
            (_, _) if name.starts_with("python2_") && !facts.from_python2 && optional.is_empty() => {
                report.problem(LAYERS, index + 1, &format!("found `{layer}`; there is no Python 2 any more"));
                continue;
            }
            (_, _) if name.starts_with("python2_") && !facts.from_python2 => continue,
            ("root", "mfcom") => format!("{optional}root@{}", facts.module),
            ("python2" | "python3" | "nodejs", "mfserv" | "mfdata" | "mfbase" | "mfcom" | "mfext") => {
                format!("{optional}{}@mfext", name.replace("python2", "python3"))
            }
            _ if ["scientific", "_ia", "devtools"].iter().any(|kind| name.contains(kind)) => {
                let home =
                    if Module::KNOWN.iter().any(|module| module.as_str() == home) { "mfext" } else { home };
                format!("-{}@{home}", name.replace("python2", "python3"))
            }
            _ => line.to_owned(),
        };
        new.push_str(&line);
        new.push('\n');
    }
    report.write(LAYERS, Some(old), new);
    Ok(())
}

/// The module gives the socket of redis itself.
fn extra_env(old: String, report: &mut Findings) {
    let is_redis = |line: &&str| line.to_ascii_uppercase().contains("REDIS") && line.contains("socket");
    let has_own = report.notes.iter().any(|note| note.text.contains("extra_daemon_redis"));
    let lines = old.lines().filter(|line| has_own || !is_redis(line));
    let new: String = lines.map(|line| format!("{}\n", variables::renamed(line))).collect();
    if new.trim().is_empty() {
        report.changes.push(Change::Remove { path: EXTRA_ENV.into() });
    } else {
        report.write(EXTRA_ENV, Some(old), new);
    }
}

fn makefile_and_ignored(facts: &Facts<'_>, site: &Site, report: &mut Findings) -> Result<()> {
    static OLD: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"\$[({](?:MFCOM_HOME[)}]/share|MFEXT_HOME[)}]/opt/misc/share)/plugin\.mk")
            .expect("a pattern")
    });
    let mut of_today = Vec::new();
    match facts.read(MAKEFILE)? {
        Some(old) => {
            let new = OLD.replace_all(&old, "$(MFEXT_HOME)/share/plugin.mk").into_owned();
            report.write(MAKEFILE, Some(old), new);
        }
        None => of_today.push(MAKEFILE),
    }
    let old_ignored = facts.dir.join(".release_ignore");
    match (fs::exists(&old_ignored), fs::exists(&facts.dir.join(RELEASE_IGNORE))) {
        (true, false) => {
            report.changes.push(Change::Rename { from: ".release_ignore".into(), to: RELEASE_IGNORE.into() });
        }
        (false, false) => of_today.push(RELEASE_IGNORE),
        _ => {}
    }
    if of_today.is_empty() {
        return Ok(());
    }
    // What a new plugin has.
    fs::create_dir_all(&site.cache)?;
    fs::sweep(&site.cache);
    let made = fs::Staging::claimed_in(&site.cache)?;
    // What is wanted is the same for every module; sites may have their own.
    let (template, module) = match template::find("default", &facts.module, site) {
        Ok(template) => (template, &facts.module),
        Err(_) => (template::find("default", &Module::Mfserv, site)?, &Module::Mfserv),
    };
    let request = template::Request {
        template: &template,
        module,
        name: &PluginName::parse(&facts.name)?,
        parent: made.path(),
        answers: std::collections::BTreeMap::new(),
        defaults: serde_json::Map::new(),
    };
    let dir = template::create(&request, site, &mut |question| Ok(question.default.clone()))?;
    for name in of_today {
        if let Some(text) = fs::read_text_optional(&dir.join(name))? {
            report.write(name, None, text);
        }
    }
    Ok(())
}

/// The files of the plugin that may hold code.
pub(super) fn of_code(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let walk = ignore::WalkBuilder::new(dir)
        .standard_filters(false)
        .filter_entry(|entry| {
            let name = entry.file_name().to_string_lossy();
            entry.depth() == 0 || !(name.starts_with('.') || NO_CODE.contains(&&*name))
        })
        .sort_by_file_name(Ord::cmp)
        .build();
    for entry in walk.flatten() {
        let is_code =
            entry.path().extension().and_then(|it| it.to_str()).is_some_and(|it| CODE.contains(&it));
        let is_small = entry.metadata().is_ok_and(|file| file.is_file() && file.len() <= LARGEST_CODE);
        if is_code && is_small {
            found.push(entry.into_path());
        }
    }
    Ok(found)
}

/// Variables of another name in code: told, and changed on request. In fragments of nginx they are changed at once.
pub(super) fn code(facts: &Facts<'_>, report: &mut Findings) -> Result<()> {
    for path in of_code(facts.dir)? {
        let relative = path.strip_prefix(facts.dir).unwrap_or(&path).to_owned();
        let is_known = report
            .changes
            .iter()
            .any(|change| matches!(change, Change::Write { path, .. } if *path == relative));
        let Ok(old) = fs::read_text(&path) else { continue };
        if is_known || relative == Path::new(crate::plugin::config::CONFIG_FILE) {
            continue;
        }
        let is_fragment = relative.extension().is_some_and(|extension| extension == "conf");
        if facts.code || is_fragment {
            let new = variables::renamed(&old).into_owned();
            report.write(&relative, Some(old.clone()), new);
        }
        for (index, line) in old.lines().enumerate() {
            if let Some((old, today)) = variables::first_old(line).filter(|_| !facts.code && !is_fragment) {
                report.note(
                    &relative,
                    index + 1,
                    format!("`{old}` is `{today}` today: `mwp migrate --code` changes it"),
                );
            }
            if let Some(name) = variables::of_module_configuration(line, &facts.module) {
                report.note(
                    &relative,
                    index + 1,
                    format!(
                        "`{name}` was a key in the configuration of {}: keep it in `[custom]` of the plugin, as \
                         `{}_CURRENT_PLUGIN_CUSTOM_…`",
                        facts.module,
                        facts.module.upper()
                    ),
                );
            }
        }
    }
    Ok(())
}
