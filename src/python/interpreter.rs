//! What must be known of a Python interpreter to make a virtualenv for it.

use std::path::{Path, PathBuf};

use pep508_rs::MarkerEnvironment;
use serde::Deserialize;

use super::wheel::Wheel;
use crate::error::{Error, Result};
use crate::process::Program;
use crate::tools::{self, Tools};

/// A base interpreter (never one of a virtualenv).
#[derive(Debug, Clone, Deserialize)]
pub struct Interpreter {
    /// The real program behind shims and links of virtualenvs.
    pub executable: PathBuf,
    /// `3.11.7`
    pub version: String,
    /// `3.11`
    pub short_version: String,
    /// `cpython-311-x86_64-linux-gnu`: what compiled extensions are made for.
    pub abi: String,
    pub has_pip: bool,
    /// The index that its pip asks where nobody names one.
    pub(super) default_index: Option<String>,
    /// `x86_64`
    machine: String,
    /// `[2, 36]`; `None` where the C library is not glibc.
    glibc: Option<(u32, u32)>,
    /// What markers such as `python_version < "3.8"` are about.
    pub markers: MarkerEnvironment,
}

/// Of the question, with the version of its answer.
const NAME: &str = "interpreter-4";

const QUESTION: &str = "\
import importlib.util, json, os, platform, sys, sysconfig
info = sys.implementation.version
implementation = '%d.%d.%d' % info[:3] + ('' if info.releaselevel == 'final' else info.releaselevel[0] + str(info.serial))
libc, libc_version = platform.libc_ver()
try:
    from pip._internal.models.index import PyPI
    default_index = PyPI.simple_url
except Exception:
    default_index = None
base = getattr(sys, '_base_executable', None) or sys.executable
print(json.dumps({
    'executable': base,
    'version': platform.python_version(),
    'short_version': '%d.%d' % sys.version_info[:2],
    'abi': sysconfig.get_config_var('SOABI') or sys.implementation.cache_tag,
    'machine': platform.machine(),
    'glibc': [int(part) for part in libc_version.split('.')[:2]] if libc == 'glibc' else None,
    'has_pip': importlib.util.find_spec('pip') is not None,
    'default_index': default_index,
    'markers': {
        'implementation_name': sys.implementation.name,
        'implementation_version': implementation,
        'os_name': os.name,
        'platform_machine': platform.machine(),
        'platform_python_implementation': platform.python_implementation(),
        'platform_release': platform.release(),
        'platform_system': platform.system(),
        'platform_version': platform.version(),
        'python_full_version': platform.python_version(),
        'python_version': '%d.%d' % sys.version_info[:2],
        'sys_platform': sys.platform,
    },
}))
";

impl Interpreter {
    /// The `python3` on PATH.
    pub fn find(tools: &Tools<'_>) -> Result<Interpreter> {
        Interpreter::asked(tools, |path, question| tools.ask(path, NAME, question))
    }

    /// The same, whatever it said before: pip comes and goes without the interpreter's program being touched.
    pub(super) fn find_anew(tools: &Tools<'_>) -> Result<Interpreter> {
        Interpreter::asked(tools, |path, question| tools.ask_anew(path, NAME, question))
    }

    fn asked(tools: &Tools<'_>, ask: impl FnOnce(&Path, &Program) -> Result<String>) -> Result<Interpreter> {
        let path = tools.find("python3").ok_or_else(|| tools::missing("python3"))?;
        let answer = ask(&path, &tools.program(&path).arguments(["-I", "-c", QUESTION]))?;
        serde_json::from_str(&answer).map_err(|error| {
            Error::machine(format!("`{}` did not say what it is: {error}", path.display()))
                .hint("check that this `python3` is a working Python 3 interpreter")
        })
    }

    /// Whether the wheel can be installed for this interpreter; says why not.
    pub fn accepts(&self, wheel: &Wheel) -> Result<(), String> {
        let minor = self.minor();
        let mut fits_python = false;
        for python in &wheel.python_tags {
            for abi in &wheel.abi_tags {
                fits_python |= match (python.as_str(), abi.as_str()) {
                    (python, "none") if python.starts_with("py3") => {
                        python[3..].parse::<u32>().map_or(python == "py3", |version| version <= minor)
                    }
                    (python, "abi3") => cpython_minor(python).is_some_and(|version| version <= minor),
                    (python, abi) => {
                        cpython_minor(python) == Some(minor)
                            && (abi == "none" || abi == format!("cp3{minor}"))
                    }
                };
            }
        }
        if !fits_python {
            return Err(format!(
                "is made for {}-{}; this machine has Python {}",
                wheel.python_tags.join("."),
                wheel.abi_tags.join("."),
                self.version
            ));
        }
        if wheel.platform_tags.iter().any(|platform| self.runs_on(platform)) {
            return Ok(());
        }
        let here = match self.glibc {
            Some((major, minor)) => format!("linux {} with glibc {major}.{minor}", self.machine),
            None => format!("linux {} without glibc", self.machine),
        };
        Err(format!("is made for {}; this machine is {here}", wheel.platform_tags.join(".")))
    }

    /// How well a wheel fits that is accepted; of several, pip takes the greatest: what is made for this very Python before
    /// what is made for many, then the newest glibc.
    pub(super) fn fitness(&self, wheel: &Wheel) -> Option<Fitness> {
        let minor = self.minor();
        let platforms = wheel.platform_tags.iter().filter(|platform| self.runs_on(platform));
        let platform = platforms.map(|platform| platform_rank(platform, &self.machine)).max()?;
        let is_anywhere = platform == PlatformRank::default();
        let of_tags = |python: &str, abi: &str| match (cpython_minor(python), abi) {
            (Some(own), "abi3") if own == minor => Some((4, own)),
            (Some(own), "abi3") if own < minor => Some((2, own)),
            (Some(own), "none") if own == minor => Some(if is_anywhere { (0, u32::MAX) } else { (3, own) }),
            (Some(own), abi) if own == minor && abi == format!("cp3{minor}") => Some((5, own)),
            (None, "none") => {
                let own = python.strip_prefix("py3")?;
                // `py311`, then `py3`, then `py310`.
                let version = match own.parse::<u32>() {
                    Ok(own) if own > minor => return None,
                    Ok(own) if own == minor => own + 2,
                    Ok(own) => own,
                    Err(_) => minor + 1,
                };
                Some((u32::from(!is_anywhere), version))
            }
            _ => None,
        };
        let tags =
            wheel.python_tags.iter().flat_map(|python| wheel.abi_tags.iter().map(move |abi| (python, abi)));
        tags.filter_map(|(python, abi)| of_tags(python, abi)).max().map(|kind| (kind, platform))
    }

    fn minor(&self) -> u32 {
        self.short_version.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or(0)
    }

    /// The platform tags of PEP 425, 600 and 656.
    fn runs_on(&self, platform: &str) -> bool {
        if platform == "any" {
            return true;
        }
        let Some(system) = platform.strip_suffix(&format!("_{}", self.machine)) else { return false };
        match glibc_of(system) {
            _ if system == "linux" => true,
            Some(needed) => self.glibc.is_some_and(|glibc| glibc >= needed),
            None => system.starts_with("musllinux_") && self.glibc.is_none(),
        }
    }
}

/// The kind of tags and their version; the platform.
pub(super) type Fitness = ((u32, u32), PlatformRank);

/// `any`, `linux_…`, and those that name a C library, by its version.
type PlatformRank = (u32, (u32, u32));

fn platform_rank(platform: &str, machine: &str) -> PlatformRank {
    match platform.strip_suffix(machine).map(|system| system.trim_end_matches('_')) {
        None => PlatformRank::default(),
        Some("linux") => (1, (0, 0)),
        Some(system) => (2, glibc_of(&system.replace("musllinux", "manylinux")).unwrap_or_default()),
    }
}

/// Which glibc the system of a platform tag is about.
pub(super) fn glibc_of(system: &str) -> Option<(u32, u32)> {
    match system {
        "manylinux1" => Some((2, 5)),
        "manylinux2010" => Some((2, 12)),
        "manylinux2014" => Some((2, 17)),
        _ => {
            let (major, minor) = system.strip_prefix("manylinux_")?.split_once('_')?;
            Some((major.parse().ok()?, minor.parse().ok()?))
        }
    }
}

/// `cp311` → 11
pub(super) fn cpython_minor(tag: &str) -> Option<u32> {
    tag.strip_prefix("cp3")?.parse().ok()
}

#[cfg(test)]
impl Interpreter {
    /// CPython 3.11 on Debian 12, which is this file.
    pub(super) fn stand_in(executable: &Path) -> Interpreter {
        Interpreter {
            executable: executable.to_owned(),
            version: "3.11.2".into(),
            short_version: "3.11".into(),
            abi: "cpython-311-x86_64-linux-gnu".into(),
            has_pip: false,
            default_index: None,
            machine: "x86_64".into(),
            glibc: Some((2, 36)),
            markers: markers(),
        }
    }
}

/// Those of CPython 3.11 on Linux.
#[cfg(test)]
pub(super) fn markers() -> MarkerEnvironment {
    serde_json::from_str(
        r#"{"implementation_name":"cpython","implementation_version":"3.11.2","os_name":"posix","platform_machine":"x86_64","platform_python_implementation":"CPython","platform_release":"6.1","platform_system":"Linux","platform_version":"1","python_full_version":"3.11.2","python_version":"3.11","sys_platform":"linux"}"#,
    )
    .unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn of_several_wheels_the_one_that_pip_would_take_fits_best() {
        let interpreter = Interpreter::stand_in(Path::new("/usr/bin/python3.11"));
        // In the order of pip's tags.
        let tags = [
            "cp311-cp311-manylinux_2_35_x86_64",
            "cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64",
            "cp311-cp311-linux_x86_64",
            "cp311-abi3-manylinux2014_x86_64",
            "cp311-none-manylinux2014_x86_64",
            "cp310-abi3-manylinux2014_x86_64",
            "cp37-abi3-manylinux_2_28_x86_64",
            "py3-none-manylinux2014_x86_64",
            "cp311-none-any",
            "py311-none-any",
            "py2.py3-none-any",
            "py37-none-any",
        ];
        let fitness = |tags: &str| {
            let wheel = Wheel::of(Path::new(&format!("a-1-{tags}.whl"))).unwrap();
            interpreter.accepts(&wheel).unwrap();
            interpreter.fitness(&wheel).unwrap()
        };
        for pair in tags.windows(2) {
            assert!(fitness(pair[0]) > fitness(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn a_wheel_for_another_python_or_another_machine_is_refused() {
        let interpreter = Interpreter::stand_in(Path::new("/usr/bin/python3.11"));
        let accepts = |tags: &str| {
            interpreter.accepts(&Wheel::of(Path::new(&format!("a-1-{tags}.whl"))).unwrap()).err()
        };
        for tags in [
            "py3-none-any",
            "py2.py3-none-any",
            "py37-none-any",
            "cp311-cp311-linux_x86_64",
            "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64",
            "cp37-abi3-manylinux_2_28_x86_64",
            "cp311-none-any",
        ] {
            assert_eq!(accepts(tags), None, "{tags}");
        }
        for (tags, reason) in [
            ("cp312-cp312-linux_x86_64", "is made for cp312-cp312; this machine has Python 3.11.2"),
            ("cp312-abi3-linux_x86_64", "this machine has Python 3.11.2"),
            ("py2-none-any", "this machine has Python 3.11.2"),
            ("cp311-cp311-linux_aarch64", "this machine is linux x86_64 with glibc 2.36"),
            ("cp311-cp311-manylinux_2_38_x86_64", "this machine is linux x86_64 with glibc 2.36"),
            ("cp311-cp311-musllinux_1_2_x86_64", "this machine is linux x86_64 with glibc 2.36"),
            ("cp311-cp311-win_amd64", "this machine is linux"),
        ] {
            assert!(accepts(tags).is_some_and(|found| found.contains(reason)), "{tags}: {:?}", accepts(tags));
        }
    }
}
