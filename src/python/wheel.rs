//! Wheels: their names, and installing one into a virtualenv (PEP 427, entry points, RECORD).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pep508_rs::{Requirement, VerbatimUrl};
use sha2::{Digest as _, Sha256};
use zip::ZipArchive;

use super::decode::coding;
use super::virtualenv::Layout;
use crate::error::{At, Error, Result};
use crate::fs;
use crate::text;

/// A long README is behind the header, which alone is read.
const MOST_METADATA: u64 = 1 << 24;

/// The name of a project as PEP 503 normalises it.
pub fn canonical_name(name: &str) -> String {
    let mut canonical = String::with_capacity(name.len());
    for character in name.chars() {
        match character {
            '-' | '_' | '.' if canonical.ends_with('-') => {}
            '-' | '_' | '.' => canonical.push('-'),
            other => canonical.extend(other.to_lowercase()),
        }
    }
    canonical
}

/// A wheel on the disk, as its file name describes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wheel {
    /// Canonical.
    pub name: String,
    pub version: String,
    /// `py3`, `cp311`, …
    pub python_tags: Vec<String>,
    pub abi_tags: Vec<String>,
    pub platform_tags: Vec<String>,
    pub path: PathBuf,
}

impl Wheel {
    /// `None` where the file name is not that of a wheel.
    pub fn of(path: &Path) -> Option<Wheel> {
        let stem = path.file_name()?.to_str()?.strip_suffix(".whl")?;
        let parts: Vec<&str> = stem.split('-').collect();
        let (name, version, tags) = match parts.as_slice() {
            [name, version, python, abi, platform] | [name, version, _, python, abi, platform] => {
                (name, version, [python, abi, platform])
            }
            _ => return None,
        };
        let [python_tags, abi_tags, platform_tags] =
            tags.map(|tag| tag.split('.').map(str::to_owned).collect::<Vec<_>>());
        Some(Wheel {
            name: canonical_name(name),
            version: version.replace('_', "-"),
            python_tags,
            abi_tags,
            platform_tags,
            path: path.to_owned(),
        })
    }

    /// The wheels in a directory, by name.
    pub fn in_dir(dir: &Path) -> Result<Vec<Wheel>> {
        let mut wheels: Vec<Wheel> = fs::list(dir)?.iter().filter_map(|path| Wheel::of(path)).collect();
        wheels.sort();
        Ok(wheels)
    }

    /// Whether this wheel is of the pinned version; wheels may spell it in another form (`1.0` and `1.0.0`).
    pub fn is_version(&self, pinned: &str) -> bool {
        if self.version == pinned {
            return true;
        }
        match (pep440_rs::Version::from_str(&self.version), pep440_rs::Version::from_str(pinned)) {
            // A pin without a local part fits any local version, as pip has it.
            (Ok(own), Ok(pinned)) => own == pinned || (!pinned.is_local() && own.without_local() == pinned),
            _ => false,
        }
    }

    /// What it says that it needs (`Requires-Dist`); what cannot be read as a requirement is left out.
    pub(super) fn requirements(&self) -> Result<Vec<Requirement<VerbatimUrl>>> {
        let damaged = |error: zip::result::ZipError| self.damaged(&error.to_string());
        let mut archive = ZipArchive::new(fs::open(&self.path)?).map_err(damaged)?;
        let names = archive.file_names().filter_map(|name| name.ok().map(std::borrow::Cow::into_owned));
        let mut names = names.filter(|name| {
            let mut parts = name.split('/');
            parts.next().is_some_and(|top| top.ends_with(".dist-info")) && parts.eq(["METADATA"])
        });
        let Some(name) = names.next() else { return Ok(Vec::new()) };
        drop(names);
        let mut content = Vec::new();
        let member = archive.by_name(&name).map_err(damaged)?;
        member.take(MOST_METADATA).read_to_end(&mut content).at("read", &self.path)?;
        let text = String::from_utf8_lossy(&content);
        let header = text.split("\n\n").next().unwrap_or_default().lines();
        Ok(header
            .filter_map(|line| line.strip_prefix("Requires-Dist:"))
            .filter_map(|requirement| Requirement::from_str(requirement.trim()).ok())
            .collect())
    }

    /// Unpacks into a virtualenv: files, scripts, entry points and a RECORD of all of them.
    pub(super) fn install(&self, layout: &Layout) -> Result<()> {
        let mut archive =
            ZipArchive::new(fs::open(&self.path)?).map_err(|error| self.damaged(&error.to_string()))?;
        let mut record = Record::default();
        let mut entry_points = String::new();
        let mut dist_info = None;
        for index in 0..archive.len() {
            let mut file = archive.by_index(index).map_err(|error| self.damaged(&error.to_string()))?;
            if file.is_dir() {
                continue;
            }
            let name = file.name().map_err(|error| self.damaged(&error.to_string()))?.into_owned();
            let inside = Path::new(&name);
            if !inside.components().all(|part| matches!(part, Component::Normal(_))) {
                return Err(self.damaged(&format!("the member `{}` leaves the wheel", text::visible(&name))));
            }
            let top = inside.components().next().map(|part| part.as_os_str().to_string_lossy().into_owned());
            let top = top.unwrap_or_default();
            if top.ends_with(".dist-info") {
                dist_info = Some(top.clone());
                if name == format!("{top}/RECORD") || name.starts_with(&format!("{top}/RECORD.")) {
                    continue;
                }
            }
            let is_executable = file.unix_mode().is_some_and(|mode| mode & 0o111 != 0);
            let mut content = Vec::with_capacity(usize::try_from(file.size().min(1 << 26)).unwrap_or(0));
            file.read_to_end(&mut content).map_err(|error| self.damaged(&error.to_string()))?;
            if name == format!("{top}/entry_points.txt") && top.ends_with(".dist-info") {
                entry_points = String::from_utf8_lossy(&content).into_owned();
            }
            let (target, executable) = match data_scheme(inside) {
                None => (layout.site_packages().join(inside), is_executable),
                Some(("purelib" | "platlib", rest)) => (layout.site_packages().join(rest), is_executable),
                Some(("scripts", rest)) => {
                    content = relocatable_script(content);
                    (layout.bin().join(rest), true)
                }
                Some(("headers", rest)) => (layout.headers(&self.name).join(rest), false),
                Some(("data", rest)) => (layout.root().join(rest), is_executable),
                Some((scheme, _)) => {
                    return Err(self.damaged(&format!("`{}` is no scheme for data", text::visible(scheme))));
                }
            };
            record.write(layout, &target, &content, executable)?;
        }
        let dist_info = dist_info.ok_or_else(|| self.damaged("it has no .dist-info directory"))?;
        for (name, entry) in console_scripts(&entry_points) {
            record.write(layout, &layout.bin().join(name), &launcher(&entry), true)?;
        }
        let dist_info = layout.site_packages().join(dist_info);
        record.write(layout, &dist_info.join("INSTALLER"), b"mwp\n", false)?;
        record.finish(layout, &dist_info.join("RECORD"))
    }

    fn damaged(&self, what: &str) -> Error {
        Error::input(format!("{} is not a sound wheel: {what}", text::path(&self.path)))
            .hint("remove that file and run `mwp build` again")
    }
}

/// `{name}-{version}.data/{scheme}/…`
fn data_scheme(inside: &Path) -> Option<(&str, PathBuf)> {
    let mut parts = inside.components();
    let top = parts.next()?.as_os_str().to_str()?;
    if !top.ends_with(".data") {
        return None;
    }
    let Component::Normal(scheme) = parts.next()? else { return None };
    Some((scheme.to_str()?, parts.as_path().to_owned()))
}

/// The shell's way to the interpreter beside the script, wherever the virtualenv is moved, and whatever its path holds.
///
/// For Python the line is a comment, because a form feed before `#` is white space to it: what follows keeps its
/// docstring and its `from __future__`. For the shell it is a command that does not exist, told to nobody.
const BESIDE: &str =
    "\u{c}# 2>/dev/null; exec \"$(dirname -- \"$(realpath -- \"$0\")\")\"/python3 \"$0\" \"$@\"\n";

/// A wheel's script with `#!python` made relocatable; others stay as they are.
fn relocatable_script(content: Vec<u8>) -> Vec<u8> {
    if !content.starts_with(b"#!python") {
        return content;
    }
    let line_end =
        |text: &[u8]| text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |end| end + 1);
    let body = &content[line_end(&content)..];
    let first = &body[..line_end(body)];
    // Python looks for the encoding in the first two lines.
    let (coding, rest) = match coding(first).filter(|_| first.trim_ascii_start().starts_with(b"#")) {
        Some(_) => body.split_at(first.len()),
        None => (&b"\n"[..0], body),
    };
    let coding = [coding, if coding.is_empty() || coding.ends_with(b"\n") { b"" } else { b"\n" }].concat();
    [b"#!/bin/sh\n", coding.as_slice(), BESIDE.as_bytes(), rest].concat()
}

/// `name = module:function [extras]` in the sections for scripts; later ones win.
fn console_scripts(entry_points: &str) -> BTreeMap<String, (String, String)> {
    let mut scripts = BTreeMap::new();
    let mut counts = false;
    for line in entry_points.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            counts = matches!(section.trim(), "console_scripts" | "gui_scripts");
        } else if counts
            && !line.starts_with(['#', ';'])
            && let Some((name, target)) = line.split_once('=')
        {
            let target = target.split('[').next().unwrap_or_default().trim();
            let (module, function) = target.split_once(':').unwrap_or((target, ""));
            let name = name.trim();
            let plain = |text: &str| {
                !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "_.".contains(c))
            };
            if !name.is_empty() && !name.contains('/') && plain(module.trim()) && plain(function.trim()) {
                scripts.insert(name.to_owned(), (module.trim().to_owned(), function.trim().to_owned()));
            }
        }
    }
    scripts
}

fn launcher((module, function): &(String, String)) -> Vec<u8> {
    let import = function.split('.').next().unwrap_or_default();
    format!(
        "#!/bin/sh\n{BESIDE}import sys\n\nfrom {module} import {import}\n\nif __name__ == \"__main__\":\n    sys.exit({function}())\n"
    )
    .into_bytes()
}

/// Every file that a wheel installed, with digest and size, relative to site-packages.
#[derive(Default)]
struct Record {
    lines: Vec<String>,
}

impl Record {
    fn write(&mut self, layout: &Layout, target: &Path, content: &[u8], executable: bool) -> Result<()> {
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file: File = fs::create_file_with_mode(target, if executable { 0o755 } else { 0o644 })?;
        file.write_all(content).at("write", target)?;
        let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(content));
        let name = csv_field(&layout.relative_to_site_packages(target));
        self.lines.push(format!("{name},sha256={digest},{}", content.len()));
        Ok(())
    }

    fn finish(mut self, layout: &Layout, target: &Path) -> Result<()> {
        self.lines.push(format!("{},,", csv_field(&layout.relative_to_site_packages(target))));
        self.lines.sort();
        let mut content = self.lines.join("\n");
        content.push('\n');
        let mut file = fs::create_file_with_mode(target, 0o644)?;
        file.write_all(content.as_bytes()).at("write", target)
    }
}

fn csv_field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wheel_is_known_by_its_file_name() {
        let wheel = Wheel::of(Path::new(
            "x/MarkupSafe-3.0.4-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        ))
        .unwrap();
        assert_eq!((wheel.name.as_str(), wheel.version.as_str()), ("markupsafe", "3.0.4"));
        assert_eq!(wheel.platform_tags, ["manylinux2014_x86_64", "manylinux_2_17_x86_64"]);
        assert!(wheel.is_version("3.0.4") && wheel.is_version("3.0.4.0") && !wheel.is_version("3.0.5"));
        assert!(Wheel::of(Path::new("six-1.17.0.tar.gz")).is_none());
        let built = Wheel::of(Path::new("torch-2.1+cpu-1-py3-none-any.whl")).unwrap();
        assert!(built.is_version("2.1"));
    }

    #[test]
    fn names_are_canonical() {
        assert_eq!(canonical_name("Foo__Bar.baz-Q"), "foo-bar-baz-q");
    }

    #[test]
    fn entry_points_become_scripts_and_odd_ones_do_not() {
        let scripts = console_scripts(
            "[console_scripts]\nflask = flask.cli:main\nx=a:b.c [extra]\n../evil = a:b\nbad = a;b:c\n[other]\ny = a:b\n",
        );
        assert_eq!(scripts.keys().collect::<Vec<_>>(), ["flask", "x"]);
        assert!(String::from_utf8(launcher(&scripts["x"])).unwrap().contains("from a import b\n"));
    }
}
