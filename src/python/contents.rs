//! What a wheel brings, and where in a virtualenv it goes (PEP 427 and its schemes, entry points). Nothing is written
//! and nothing but the list of members and the entry points is read; names are checked against the limits and against
//! what belongs to the environment itself.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Component, Path};

use super::scripts;
use super::wheel::Wheel;
use crate::artifact::Limits;
use crate::error::{At, Error, Result};
use crate::text;

/// Of `entry_points.txt`; it is kept in memory.
const MOST_ENTRY_POINTS: u64 = 1 << 20;

/// Where things are in a virtualenv, relative to it.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    short_version: String,
}

impl Layout {
    pub(super) fn new(short_version: &str) -> Layout {
        Layout { short_version: short_version.to_owned() }
    }

    pub(super) fn site_packages(&self) -> String {
        format!("lib/python{}/site-packages", self.short_version)
    }

    fn headers(&self, project: &str) -> String {
        format!("include/site/python{}/{project}", self.short_version)
    }

    /// As RECORD has it: `../../../bin/flask` for what is outside.
    pub(super) fn relative_to_site_packages(&self, path: &str) -> String {
        let inside = path.strip_prefix(&self.site_packages()).and_then(|rest| rest.strip_prefix('/'));
        inside.map_or_else(|| format!("../../../{path}"), str::to_owned)
    }
}

/// Where a file's content comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// By its place in the wheel.
    Member { index: usize, is_script: bool },
    /// Made here.
    Made(Vec<u8>),
}

#[derive(Debug, Clone)]
pub(super) struct Brought {
    pub(super) source: Source,
    pub(super) is_executable: bool,
    /// Size and checksum, which tell whether two wheels bring the same.
    pub(super) mark: (u64, u32),
}

#[derive(Debug)]
pub(super) struct Contents {
    /// By path in the virtualenv.
    pub(super) files: BTreeMap<String, Brought>,
    /// The path of its RECORD, which is made when all is written; empty where another wheel has it.
    pub(super) record: String,
    /// Unpacked, as the wheel says; it is held to that.
    pub(super) bytes: u64,
}

impl Wheel {
    pub(super) fn contents(&self, layout: &Layout, limits: &Limits) -> Result<Contents> {
        let archive = self.open(limits)?;
        let size = self.path.metadata().at("read", &self.path)?.len();
        let mut contents = Contents { files: BTreeMap::new(), record: String::new(), bytes: 0 };
        let mut info: Option<String> = None;
        let mut scripts = BTreeMap::new();
        for (index, member) in archive.members.iter().enumerate() {
            if member.is_directory {
                continue;
            }
            let name = member.name.as_str();
            let shown = text::visible(name);
            let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
            if !Path::new(name).components().all(is_plain) {
                return Err(self.damaged(&format!("the member `{shown}` leaves the wheel")));
            }
            if name.contains(char::is_control) {
                return Err(
                    self.damaged(&format!("the member `{shown}` has a control character in its name"))
                );
            }
            // `a//b` and `a/./b` are `a/b`.
            let parts: Vec<&str> = name.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
            let (top, rest) = parts.split_first().map_or(("", &[][..]), |(top, rest)| (*top, rest));
            if top.ends_with(".dist-info") {
                if info.as_deref().is_some_and(|info| info != top) {
                    return Err(self.damaged("it has two .dist-info directories"));
                }
                info = Some(top.to_owned());
                if let [file] = rest
                    && (*file == "RECORD" || file.starts_with("RECORD."))
                {
                    continue;
                }
            }
            contents.bytes = contents.bytes.saturating_add(member.size);
            // What a wheel says of itself is no reason to believe it: the proportions of archives hold for it, too.
            let most = size.saturating_mul(limits.ratio).max(Limits::RATIO_FREE).min(limits.bytes);
            if contents.bytes > most {
                let most = text::size(most);
                return Err(
                    self.refused(&format!("it unpacks to more than {most}, which is out of proportion"))
                );
            }
            if top.ends_with(".dist-info") && rest == ["entry_points.txt"] {
                let mut content = Vec::new();
                let read = archive
                    .read(member)
                    .and_then(|member| member.take(MOST_ENTRY_POINTS + 1).read_to_end(&mut content));
                read.map_err(|error| self.damaged(&error.to_string()))?;
                if content.len() as u64 > MOST_ENTRY_POINTS {
                    let most = text::size(MOST_ENTRY_POINTS);
                    return Err(self.refused(&format!("its entry_points.txt has more than {most}")));
                }
                scripts = scripts::entry_points(&String::from_utf8_lossy(&content));
            }
            let is_executable = member.is_executable;
            let scheme = rest.split_first().filter(|_| top.ends_with(".data"));
            let (path, is_script, is_executable) = match scheme {
                None => (format!("{}/{}", layout.site_packages(), parts.join("/")), false, is_executable),
                Some((_, [])) => {
                    return Err(self.damaged(&format!("the member `{shown}` is of no scheme for data")));
                }
                Some((scheme, rest)) => {
                    let rest = rest.join("/");
                    match *scheme {
                        "purelib" | "platlib" => {
                            (format!("{}/{rest}", layout.site_packages()), false, is_executable)
                        }
                        "scripts" => (format!("bin/{rest}"), true, true),
                        "headers" => (format!("{}/{rest}", layout.headers(&self.name)), false, false),
                        "data" => (rest, false, is_executable),
                        scheme => {
                            let scheme = text::visible(scheme);
                            return Err(self.damaged(&format!("`{scheme}` is no scheme for data")));
                        }
                    }
                }
            };
            let mark = (member.size, member.crc32);
            let brought = Brought { source: Source::Member { index, is_script }, is_executable, mark };
            self.bring(&mut contents, &shown, path, brought, limits)?;
        }
        let info = info.ok_or_else(|| self.damaged("it has no .dist-info directory"))?;
        for (name, entry) in scripts {
            let shown = format!("the entry point {}", text::visible(&name));
            let launcher = made(scripts::launcher(&entry), true);
            self.bring(&mut contents, &shown, format!("bin/{name}"), launcher, limits)?;
        }
        let info = format!("{}/{info}", layout.site_packages());
        contents.files.insert(format!("{info}/INSTALLER"), made(b"mwp\n".to_vec(), false));
        contents.record = format!("{info}/RECORD");
        Ok(contents)
    }

    fn bring(
        &self,
        contents: &mut Contents,
        shown: &str,
        path: String,
        brought: Brought,
        limits: &Limits,
    ) -> Result<()> {
        if belongs_to_environment(&path) {
            return Err(Error::input(format!(
                "{}: `{shown}` would replace `{}`, which belongs to the environment itself",
                text::path(&self.path),
                text::visible(&path)
            ))
            .hint("use another version of that package, or take it out of the requirements"));
        }
        if let Some(fault) = limits.path_fault(&path) {
            return Err(self.refused(&format!("it has `{shown}`: {fault}")));
        }
        contents.files.insert(path, brought);
        if contents.files.len() > limits.wheels {
            return Err(self.refused(&format!("it has more than {} files", limits.wheels)));
        }
        Ok(())
    }

    pub(super) fn refused(&self, why: &str) -> Error {
        Error::input(format!("{} is refused: {why}", text::path(&self.path))).hint(format!(
            "where you trust the package, raise the limit with {}, as in `members=1000000,wheels=1000000,bytes=64G`",
            Limits::VARIABLE
        ))
    }
}

fn made(content: Vec<u8>, is_executable: bool) -> Brought {
    // No checksum: what was made is compared by itself.
    let mark = (content.len() as u64, 0);
    Brought { source: Source::Made(content), is_executable, mark }
}

/// What the virtualenv is recognised and run by, in any case of letters: the interpreter and its configuration, what
/// tells it where it is, and what people source. Packages have programs such as `python-argcomplete-check` and
/// `activate-global-python-argcomplete`, which are theirs.
fn belongs_to_environment(path: &str) -> bool {
    let path = path.to_lowercase();
    let Some(name) = path.strip_prefix("bin/") else { return path == "pyvenv.cfg" || path == "bin" };
    // Also where the name is that of a directory.
    let name = name.split('/').next().unwrap_or_default();
    let stem = name.split('.').next().unwrap_or_default();
    if matches!(stem, "activate" | "deactivate" | "activate_this" | "pyvenv" | "pybuilddir") {
        return true;
    }
    let Some(rest) = name.strip_prefix("python") else { return false };
    let rest = rest.strip_suffix(".exe").unwrap_or(rest);
    let rest = rest.strip_suffix("._pth").unwrap_or(rest);
    let rest = rest.strip_suffix("-config").unwrap_or(rest);
    rest.trim_start_matches('w').chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 't' | 'd'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interpreter_and_what_it_goes_by_belong_to_the_environment() {
        for own in [
            "bin/python",
            "bin/python3",
            "bin/python3.11",
            "bin/python3.13t",
            "bin/Python3",
            "bin/python3/x",
            "bin/pythonw.exe",
            "bin/python3.11-config",
            "bin/python3._pth",
            "bin/activate",
            "bin/activate.fish",
            "bin/Activate.ps1",
            "bin/activate_this.py",
            "bin/deactivate.bat",
            "bin/pyvenv.cfg",
            "pyvenv.cfg",
            "PyVenv.cfg",
            "bin",
        ] {
            assert!(belongs_to_environment(own), "{own}");
        }
        for theirs in [
            "bin/python-argcomplete-check-easy-install-script",
            "bin/activate-global-python-argcomplete",
            "bin/pip3",
            "bin/pythran",
            "bin/x/python3",
            "lib/python3.11/site-packages/python.py",
            "share/pyvenv.cfg",
        ] {
            assert!(!belongs_to_environment(theirs), "{theirs}");
        }
    }
}
