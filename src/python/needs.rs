//! What wheels ask of a machine, as their tags say.

use std::collections::BTreeSet;
use std::fmt;

use super::interpreter::{cpython_minor, glibc_of};
use super::wheel::Wheel;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The minor versions of Python 3 of which it must be one.
    exactly: Option<BTreeSet<u32>>,
    at_least: u32,
    machines: BTreeSet<String>,
    glibc: Option<(u32, u32)>,
    musl: bool,
}

impl Needs {
    pub fn of(wheels: &[Wheel]) -> Needs {
        let mut needs = Needs::default();
        for wheel in wheels {
            needs.add_python(wheel);
            needs.add_platform(wheel);
        }
        needs
    }

    fn add_python(&mut self, wheel: &Wheel) {
        let (mut exactly, mut at_least) = (BTreeSet::new(), None::<u32>);
        let mut from = |minor: u32| at_least = Some(at_least.map_or(minor, |known| known.min(minor)));
        for python in &wheel.python_tags {
            match (python.strip_prefix("py3"), cpython_minor(python)) {
                (Some(minor), _) => from(minor.parse().unwrap_or(0)),
                (None, Some(minor)) if wheel.abi_tags.iter().any(|abi| abi == "abi3") => from(minor),
                (None, Some(minor)) => drop(exactly.insert(minor)),
                (None, None) => {}
            }
        }
        match at_least {
            Some(minor) => self.at_least = self.at_least.max(minor),
            None if exactly.is_empty() => {}
            None => {
                let both = self.exactly.as_ref().map(|known| known & &exactly);
                self.exactly = Some(both.unwrap_or(exactly));
            }
        }
    }

    fn add_platform(&mut self, wheel: &Wheel) {
        if wheel.platform_tags.iter().any(|platform| platform == "any") {
            return;
        }
        let mut lowest: Option<(u32, u32)> = None;
        for platform in &wheel.platform_tags {
            let machine = ["x86_64", "aarch64", "i686", "armv7l", "ppc64le", "s390x", "riscv64"];
            let Some(machine) = machine.into_iter().find(|machine| platform.ends_with(machine)) else {
                continue;
            };
            self.machines.insert(machine.to_owned());
            let system = platform.trim_end_matches(machine).trim_end_matches('_');
            self.musl |= system.starts_with("musllinux");
            if let Some(glibc) = glibc_of(system) {
                lowest = Some(lowest.map_or(glibc, |known| known.min(glibc)));
            }
        }
        self.glibc = self.glibc.max(lowest);
    }
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.exactly {
            Some(versions) => {
                let versions: Vec<String> = versions.iter().map(|minor| format!("3.{minor}")).collect();
                write!(f, "Python {}", versions.join(" or "))?;
            }
            None if self.at_least == 0 => f.write_str("Python 3")?,
            None => write!(f, "Python 3.{} or later", self.at_least)?,
        }
        for machine in &self.machines {
            write!(f, ", {machine}")?;
        }
        match self.glibc {
            Some((major, minor)) => write!(f, ", glibc {major}.{minor}"),
            None if self.musl => f.write_str(", musl"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn needs_are_the_strictest_of_all_wheels() {
        for (names, expected) in [
            (&["a-1-py2.py3-none-any"][..], "Python 3"),
            (&["a-1-py3-none-any", "b-1-py38-none-any"], "Python 3.8 or later"),
            (&["a-1-cp37-abi3-manylinux_2_28_x86_64"], "Python 3.7 or later, x86_64, glibc 2.28"),
            (
                &[
                    "a-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64",
                    "b-1-cp37-abi3-manylinux_2_28_x86_64",
                    "c-1-py3-none-any",
                ],
                "Python 3.11, x86_64, glibc 2.28",
            ),
            (&["a-1-cp312-cp312-linux_aarch64"], "Python 3.12, aarch64"),
            (&["a-1-cp312-cp312-musllinux_1_2_x86_64"], "Python 3.12, x86_64, musl"),
        ] {
            let wheels: Vec<Wheel> =
                names.iter().filter_map(|name| Wheel::of(Path::new(&format!("{name}.whl")))).collect();
            assert_eq!(Needs::of(&wheels).to_string(), expected, "{names:?}");
        }
    }
}
