//! Who requires what, by what the wheels of a plugin say.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::wheel::{Wheel, canonical_name};
use crate::error::Result;

/// A package, with what it requires of the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Package {
    pub name: String,
    pub version: String,
    /// Names of packages that are there, each with the versions that are asked for.
    pub requires: BTreeMap<String, String>,
}

/// All packages, by name.
#[derive(Debug, Default)]
pub struct Tree(BTreeMap<String, Package>);

/// A line of the tree.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    pub depth: usize,
    pub name: String,
    pub version: String,
    /// What the package above asks for, or this one of the package above.
    pub asked: String,
    /// What is below it is shown elsewhere.
    pub is_repeated: bool,
}

impl Tree {
    /// What only an extra or another machine needs is left out, unless it is there.
    pub fn of(wheels: &[Wheel]) -> Result<Tree> {
        let names: BTreeSet<&str> = wheels.iter().map(|wheel| wheel.name.as_str()).collect();
        let mut packages = BTreeMap::new();
        for wheel in wheels {
            let mut requires = BTreeMap::new();
            for requirement in wheel.requirements()? {
                let name = canonical_name(requirement.name.as_ref());
                if names.contains(name.as_str()) {
                    let text = requirement.to_string();
                    let text = text.split(';').next().unwrap_or_default();
                    let asked = text.trim_start_matches(requirement.name.as_ref()).trim().to_owned();
                    requires.insert(name, asked);
                }
            }
            let package = Package { name: wheel.name.clone(), version: wheel.version.clone(), requires };
            packages.insert(wheel.name.clone(), package);
        }
        Ok(Tree(packages))
    }

    pub fn packages(&self) -> impl Iterator<Item = &Package> {
        self.0.values()
    }

    /// From these down to what they require; `inverted`: up to what requires them.
    pub fn rows(&self, roots: &[String], inverted: bool) -> Vec<Row> {
        let mut rows = Vec::new();
        let mut shown = BTreeSet::new();
        for root in roots {
            self.add(root, "", 0, inverted, &mut shown, &mut rows);
        }
        rows
    }

    fn add(
        &self,
        name: &str,
        asked: &str,
        depth: usize,
        inverted: bool,
        shown: &mut BTreeSet<String>,
        rows: &mut Vec<Row>,
    ) {
        let Some(package) = self.0.get(name) else { return };
        let below: Vec<(&str, &str)> = match inverted {
            false => package.requires.iter().map(|(name, asked)| (name.as_str(), asked.as_str())).collect(),
            true => self
                .0
                .values()
                .filter_map(|other| Some((other.name.as_str(), other.requires.get(name)?.as_str())))
                .collect(),
        };
        let is_repeated = !shown.insert(name.to_owned()) && !below.is_empty();
        rows.push(Row {
            depth,
            name: name.to_owned(),
            version: package.version.clone(),
            asked: asked.to_owned(),
            is_repeated,
        });
        if !is_repeated {
            for (name, asked) in below {
                self.add(name, asked, depth + 1, inverted, shown, rows);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(packages: &[(&str, &[(&str, &str)])]) -> Tree {
        let package = |(name, requires): &(&str, &[(&str, &str)])| {
            let requires =
                requires.iter().map(|(name, asked)| ((*name).to_owned(), (*asked).to_owned())).collect();
            ((*name).to_owned(), Package { name: (*name).to_owned(), version: "1".to_owned(), requires })
        };
        Tree(packages.iter().map(package).collect())
    }

    #[test]
    fn what_is_shown_once_is_not_shown_again_and_circles_end() {
        let tree = tree(&[("a", &[("b", ">=1"), ("c", "")]), ("b", &[("c", "<2")]), ("c", &[("a", "")])]);
        let lines = |rows: Vec<Row>| {
            rows.into_iter()
                .map(|row| {
                    format!(
                        "{}{}{}{}",
                        "-".repeat(row.depth),
                        row.name,
                        row.asked,
                        if row.is_repeated { "*" } else { "" }
                    )
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(lines(tree.rows(&["a".to_owned()], false)), ["a", "-b>=1", "--c<2", "---a*", "-c*"]);
        assert_eq!(lines(tree.rows(&["b".to_owned()], true)), ["b", "-a>=1", "--c", "---a*", "---b<2*"]);
    }
}
