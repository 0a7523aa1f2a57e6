//! Programs on PATH and their versions, which are part of what a task's result depends on.
//!
//! Asking a program for its version takes far longer than a build with nothing to do, so answers are kept in the
//! user's cache with what vouches for them: the stat record of the program and, where it is a version manager's
//! shim, of the files and variables that steer the shim.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::error::{Error, Result};
use crate::fs;
use crate::process::Program;
use crate::site::Site;
use crate::text;

/// A program that was found.
#[derive(Debug, Clone)]
pub struct Tool {
    pub path: PathBuf,
    /// Its own word for its version.
    pub version: String,
}

/// Looks for programs on behalf of the tasks of one plugin directory.
#[derive(Debug)]
pub struct Tools<'a> {
    site: &'a Site,
    dir: PathBuf,
    /// Read when the first question comes.
    answers: OnceLock<Mutex<Answers>>,
}

/// question → what vouched for the answer, and the answer
type Answers = BTreeMap<String, (String, String)>;

impl<'a> Tools<'a> {
    pub fn new(site: &'a Site, dir: &Path) -> Tools<'a> {
        Tools { site, dir: dir.to_owned(), answers: OnceLock::new() }
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        let known = || {
            // What others can write shall not say which program runs.
            let file =
                Some(answers_file(self.site)).filter(|file| fs::is_own(&self.site.cache) && fs::is_own(file));
            let content = file.and_then(|file| fs::read_optional(&file).ok()).flatten();
            content.and_then(|content| read(&content)).unwrap_or_default()
        };
        self.answers.get_or_init(|| Mutex::new(known())).lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The program's place on PATH.
    pub fn find(&self, name: &str) -> Option<PathBuf> {
        which::which_in(name, self.site.environment.get("PATH"), &self.dir).ok()
    }

    /// The program and its version; an error says how to get it.
    pub fn require(&self, name: &str) -> Result<Tool> {
        let path = self.find(name).ok_or_else(|| missing(name))?;
        let version = if name.starts_with("python") {
            let program = self.program(&path).arguments([
                "-I",
                "-c",
                "import platform, sys; print(platform.python_implementation(), platform.python_version(), sys.platform, platform.machine())",
            ]);
            self.ask(&path, "version", &program)
        } else {
            self.ask(&path, "version", &self.program(&path).argument("--version"))
        };
        // A program without --version is known by its own stat record.
        let version = match version {
            Ok(answer) => answer.lines().next().unwrap_or_default().trim().to_owned(),
            Err(error) if crate::process::is_interrupted() => return Err(error),
            Err(error) if matches!(name, "python3" | "node") => return Err(error),
            Err(_) => stat_record(&path),
        };
        Ok(Tool { path, version })
    }

    /// The answer of a program, from the cache while `path` and its shims are as they were.
    pub fn ask(&self, path: &Path, question: &str, program: &Program) -> Result<String> {
        let vouched = self.vouches(path);
        let known =
            self.answers().get(&key(path, question)).filter(|(record, _)| *record == vouched).cloned();
        known.map_or_else(|| self.ask_anew(path, question, program), |(_, answer)| Ok(answer))
    }

    /// The answer of a program, whatever is in the cache.
    pub fn ask_anew(&self, path: &Path, question: &str, program: &Program) -> Result<String> {
        let vouched = self.vouches(path);
        let answer = program.ask()?;
        let mut answers = self.answers();
        answers.insert(key(path, question), (vouched, answer.clone()));
        // The cache is a convenience: one that cannot be written costs time, nothing else.
        let file = answers_file(self.site);
        if let (Some(parent), Some(content)) = (file.parent(), written(&answers))
            && (!fs::exists(parent) || fs::is_own(parent))
        {
            fs::sweep(parent);
            let _ = fs::create_dir_all(parent).and_then(|()| fs::write_atomic(&file, &content));
        }
        Ok(answer)
    }

    pub fn program(&self, path: &Path) -> Program {
        Program::new(path, &self.dir, &self.site.environment)
    }

    /// Changes when the program behind `path` may have changed.
    fn vouches(&self, path: &Path) -> String {
        let mut record = stat_record(path);
        let is_shim = path.components().any(|part| part.as_os_str() == "shims");
        if is_shim {
            let environment = &self.site.environment;
            for variable in ["PYENV_VERSION", "NODENV_VERSION", "ASDF_PYTHON_VERSION", "ASDF_NODEJS_VERSION"]
            {
                record.push_str(&format!(" {variable}={}", environment.text(variable).unwrap_or_default()));
            }
            let files = [".python-version", ".node-version", ".tool-versions", ".mise.toml", "mise.toml"];
            for dir in self.dir.ancestors() {
                for file in files {
                    if let Ok(Some(content)) = fs::read_optional(&dir.join(file)) {
                        record.push_str(&format!(" {file}={}", text::visible_bytes(content.trim_ascii())));
                    }
                }
            }
            let root = environment.path("PYENV_ROOT").unwrap_or_else(|| self.site.home.join(".pyenv"));
            record.push_str(&stat_record(&root.join("version")));
        }
        record
    }
}

fn key(path: &Path, question: &str) -> String {
    format!("{question} {}", path.to_string_lossy())
}

fn answers_file(site: &Site) -> PathBuf {
    site.cache.join("tools-v2")
}

/// The answers behind their checksum: damage is a miss.
fn written(answers: &Answers) -> Option<Vec<u8>> {
    let answers = serde_json::to_vec(answers).ok()?;
    Some([&crc32fast::hash(&answers).to_le_bytes()[..], &answers].concat())
}

fn read(content: &[u8]) -> Option<Answers> {
    let (checksum, answers) = content.split_first_chunk()?;
    let is_whole = crc32fast::hash(answers) == u32::from_le_bytes(*checksum);
    is_whole.then(|| serde_json::from_slice(answers).ok()).flatten()
}

fn stat_record(path: &Path) -> String {
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match real.metadata() {
        Ok(stat) => {
            format!(
                "{} {} {} {}.{} {}.{}",
                real.display(),
                stat.ino(),
                stat.size(),
                stat.mtime(),
                stat.mtime_nsec(),
                stat.ctime(),
                stat.ctime_nsec()
            )
        }
        Err(_) => format!("{} is absent", real.display()),
    }
}

/// That a program is missing, and how to get it.
pub fn missing(name: &str) -> Error {
    let hint = match name {
        "python3" => {
            "install it (Debian: `apt install python3`), or load a MetWork environment that has python3@mfext"
        }
        "pip" => "install it (Debian: `apt install python3-pip`), or install `uv`",
        "node" | "npm" => {
            "install it (Debian: `apt install nodejs npm`), or load a MetWork environment that has nodejs@mfext"
        }
        "pnpm" => "install it: `npm install --global pnpm`",
        "yarn" => "install it: `npm install --global yarn`",
        "crontab" => {
            "install cron (Debian: `apt install cron`, Red Hat: `dnf install cronie`), then run `mwp cron sync`"
        }
        "make" => "install it (Debian: `apt install make`)",
        "nginx" => {
            "install it (Debian: `apt install nginx-light`) or openresty; without root, a build of your own on PATH will do"
        }
        _ => "install it, or put it on PATH",
    };
    Error::machine(format!("there is no `{name}` on PATH")).hint(hint)
}
