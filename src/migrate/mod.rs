//! `mwp migrate`: a plugin from before MetWork 1.0 becomes a current one.
//!
//! [`plan`] reads the plugin's directory and says what is to change, file by file, and what a person has to look at;
//! nothing is written. [`Migration::apply`] writes. Each file is replaced as a whole, and what makes the plugin a
//! current one, `.plugin_format_version`, is written last: a migration that was interrupted goes on when it is started
//! again. Where the old form left something open the new one has what it meant then, and a note says so.

mod config;
mod crontab;
mod files;
mod ini;
mod python;
mod requirements;
mod variables;

pub use requirements::distribution_of;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::{Error, Fault, Problem, Result};
use crate::fs;
use crate::plugin::config::CONFIG_FILE;
use crate::plugin::{FORMAT_VERSION_FILE, LABEL_FILE, Module, PluginName};
use crate::site::Site;
use crate::text;

/// What is asked for.
#[derive(Debug)]
pub struct Request<'a> {
    pub dir: &'a Path,
    /// Where the plugin does not say it.
    pub module: Option<Module>,
    /// Take Python 2 for Python 3: requirements, types of apps, layers.
    pub from_python2: bool,
    /// Rename variables in the plugin's code, too.
    pub code: bool,
    /// What required values that are missing become, by the questions of templates.
    pub answers: BTreeMap<String, String>,
}

/// What is to be done.
#[derive(Debug, Default)]
pub struct Migration {
    pub changes: Vec<Change>,
    /// What a person has to look at, in the order of the files.
    pub notes: Vec<Note>,
}

/// A change of one path below the plugin's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Write { path: PathBuf, old: Option<String>, new: String },
    Rename { from: PathBuf, to: PathBuf },
    Remove { path: PathBuf },
}

/// Something that was decided, or could not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub file: PathBuf,
    pub line: Option<usize>,
    pub text: String,
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let file = self.file.display().to_string();
        let line = self.line.map(|line| format!(":{line}")).unwrap_or_default();
        write!(f, "{}{line}: {}", text::visible(&file), text::visible(&self.text))
    }
}

/// What every part knows of the plugin.
struct Facts<'a> {
    dir: &'a Path,
    module: Module,
    name: String,
    from_python2: bool,
    code: bool,
    /// Who git knows.
    person: Option<String>,
    answers: &'a BTreeMap<String, String>,
}

impl Facts<'_> {
    /// The value that a required key gets.
    fn answer(&self, question: &str) -> String {
        let default = match question {
            "version" => "0.0.1",
            "license" => "Proprietary",
            "one_line_summary" => self.name.as_str(),
            "url" => "http://yourpluginhomepage",
            "maintainer" => self.person.as_deref().unwrap_or("Firstname FAMILYNAME <email>"),
            _ => "Vendor",
        };
        self.answers.get(question).map_or(default, String::as_str).to_owned()
    }

    fn read(&self, path: impl AsRef<Path>) -> Result<Option<String>> {
        fs::read_text_optional(&self.dir.join(path))
    }
}

/// What the parts found.
#[derive(Debug, Default)]
struct Findings {
    changes: Vec<Change>,
    notes: Vec<Note>,
    problems: Vec<Problem>,
}

impl Findings {
    /// Line 0 is none.
    fn note(&mut self, file: impl Into<PathBuf>, line: usize, text: String) {
        self.notes.push(Note { file: file.into(), line: (line > 0).then_some(line), text });
    }

    fn problem(&mut self, file: &str, line: usize, text: &str) {
        let place = if line > 0 { format!("{file}:{line}") } else { file.to_owned() };
        let hint = match text.contains("Python 2") {
            true => "`mwp migrate --from-python2` takes it for Python 3",
            false => "mend it by hand, then migrate again",
        };
        self.problems.push(Problem { message: format!("{place}: {text}"), hint: Some(hint.to_owned()) });
    }

    /// The file gets this content, unless it has it.
    fn write(&mut self, path: impl Into<PathBuf>, old: Option<String>, new: String) {
        if old.as_ref() != Some(&new) {
            self.changes.push(Change::Write { path: path.into(), old, new });
        }
    }
}

/// What has to change; nothing for a plugin that is current.
pub fn plan(request: &Request<'_>, site: &Site) -> Result<Migration> {
    let dir = request.dir;
    if !dir.is_dir() {
        return Err(Error::input(format!("{} is no directory", text::path(dir)))
            .hint("name the directory of a plugin: `mwp migrate DIR`"));
    }
    let config = dir.join(CONFIG_FILE);
    let Some(old) = fs::read_text_optional(&config)? else {
        return Err(Error::input(format!("{} is no plugin: it has no `{CONFIG_FILE}`", text::path(dir)))
            .hint("go to the directory of a plugin, or name it: `mwp migrate DIR`"));
    };
    let mut report = Findings::default();
    if fs::exists(&dir.join(FORMAT_VERSION_FILE)) {
        return code_alone(request, report);
    }
    if config.is_symlink() {
        report.note(CONFIG_FILE, 0, "it is a link, and becomes a file of the plugin's own".to_owned());
    }
    let (mut ini, doubts) = ini::Ini::parse(&old);
    for doubt in doubts {
        report.note(CONFIG_FILE, doubt.line, doubt.text);
    }
    let (name, module) = who(dir, &ini, request, site)?;
    let facts = Facts {
        dir,
        module,
        name: name.to_string(),
        from_python2: request.from_python2,
        code: request.code,
        person: crate::template::identity(site),
        answers: &request.answers,
    };
    let left = config::migrate(&mut ini, &facts, &mut report);
    report.write(CONFIG_FILE, Some(old), ini.render());
    files::migrate(&facts, site, &mut report)?;
    crontab::migrate(&facts, &mut report)?;
    requirements::migrate(&left.requirements, &facts, &mut report)?;
    files::code(&facts, &mut report)?;
    python::check(&facts, site, &mut report);
    if !report.problems.is_empty() {
        return Err(Error::many(Fault::Input, report.problems));
    }
    report.write(FORMAT_VERSION_FILE, None, "1.0.0\n".to_owned());
    let Findings { changes, notes, .. } = report;
    Ok(Migration { changes, notes })
}

/// What is left to change in a plugin that is current.
fn code_alone(request: &Request<'_>, mut report: Findings) -> Result<Migration> {
    if request.code {
        let label = crate::plugin::Label::read(request.dir)?;
        let facts = Facts {
            dir: request.dir,
            module: label.module,
            name: label.name.to_string(),
            from_python2: false,
            code: true,
            person: None,
            answers: &request.answers,
        };
        files::code(&facts, &mut report)?;
    }
    let Findings { changes, notes, .. } = report;
    Ok(Migration { changes, notes })
}

/// The plugin's name and module: those of its label, else what the configuration and the directory say.
fn who(dir: &Path, ini: &ini::Ini, request: &Request<'_>, site: &Site) -> Result<(PluginName, Module)> {
    match crate::plugin::Label::read(dir) {
        Ok(label) => return Ok((label.name, label.module)),
        Err(error) if fs::exists(&dir.join(LABEL_FILE)) => return Err(error),
        Err(_) => {}
    }
    let given =
        ini.sections.iter().find(|section| section.name == "general").map(|general| general.value("name"));
    let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let of_directory = absolute.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = PluginName::parse(given.as_deref().filter(|name| !name.is_empty()).unwrap_or(&of_directory))?;
    let has = |kind: &str| ini.sections.iter().any(|section| section.name.starts_with(kind));
    let general = |key: &str| {
        ini.sections.iter().any(|section| section.name == "general" && section.get(key).is_some())
    };
    let module = match &request.module {
        Some(module) => module.clone(),
        None if has("step_") => Module::Mfdata,
        None if has("app_") => Module::Mfserv,
        None if general("use_storage") || general("use_postgresql") => Module::Mfbase,
        None => site.module.clone().ok_or_else(|| {
            Error::input(format!(
                "{}: nothing in it says which module the plugin is for",
                text::path(&dir.join(CONFIG_FILE))
            ))
            .hint("name the module: `mwp migrate --module mfserv`")
        })?,
    };
    Ok((name, module))
}

impl Migration {
    /// Whether the plugin is a current one already.
    pub fn is_needless(&self) -> bool {
        self.changes.is_empty()
    }

    fn is_renamed(&self, path: &Path) -> bool {
        self.changes.iter().any(|change| matches!(change, Change::Rename { to, .. } if path.starts_with(to)))
    }

    /// Nothing is changed where a file is no longer as it was planned with.
    pub fn apply(&self, dir: &Path) -> Result<()> {
        for change in &self.changes {
            // What is below a directory that is renamed first has been looked at there.
            if let Change::Write { path, old, .. } = change
                && !self.is_renamed(path)
                && fs::read_text_optional(&dir.join(path))? != *old
            {
                return Err(Error::input(format!("{} has changed meanwhile", text::path(&dir.join(path))))
                    .hint("nothing was changed; run `mwp migrate` again"));
            }
        }
        for change in &self.changes {
            match change {
                Change::Write { path, new, .. } => {
                    let path = dir.join(path);
                    if let Some(parent) = path.parent() {
                        fs::create_dir_all(parent)?;
                    }
                    fs::write_atomic(&path, new.as_bytes())?;
                }
                Change::Rename { from, to } => fs::rename(&dir.join(from), &dir.join(to))?,
                Change::Remove { path } => fs::remove_tree(&dir.join(path))?,
            }
        }
        Ok(())
    }
}
