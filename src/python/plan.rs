//! What a virtualenv is made of: one source for each path, decided before anything is written, so that it is the same
//! every time and nothing is ever written twice.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::contents::{Brought, Contents, Layout};
use super::lock::Lock;
use super::requirements::Line;
use super::wheel::Wheel;
use crate::artifact::Limits;
use crate::error::{Error, Result};
use crate::text;

pub(super) struct Plan<'a> {
    /// In the lock's order, each with the files of its that count.
    pub(super) wheels: Vec<(&'a Wheel, Contents)>,
    /// Whose file a path is, where several wheels bring it with other content.
    overlaps: Vec<Overlap>,
}

struct Overlap {
    path: String,
    loser: usize,
    winner: usize,
}

impl<'a> Plan<'a> {
    /// Of wheels that a lock names: where two bring the same path, the later one in the lock has it.
    pub(super) fn of(wheels: &'a [Wheel], lock: &str, layout: &Layout, limits: &Limits) -> Result<Plan<'a>> {
        let mut plan = Plan { wheels: Vec::new(), overlaps: Vec::new() };
        let mut owners: HashMap<String, usize> = HashMap::new();
        let (mut bytes, mut files) = (0_u64, 0);
        for wheel in in_order(wheels, lock) {
            let contents = wheel.contents(layout, limits)?;
            bytes = bytes.saturating_add(contents.bytes);
            files += contents.files.len();
            if bytes > limits.bytes {
                let most = text::size(limits.bytes);
                return Err(wheel.refused(&format!("with it, the plugin has more than {most}")));
            }
            if files > limits.wheels.min(limits.members) {
                let most = limits.wheels.min(limits.members);
                return Err(wheel.refused(&format!("with it, the wheels have more than {most} files")));
            }
            let own = plan.wheels.len();
            for path in contents.files.keys().chain([&contents.record]) {
                let Some(before) = owners.insert(path.clone(), own) else { continue };
                let Some((_, loser)) = plan.wheels.get_mut(before) else { continue };
                if *path == loser.record {
                    // Two wheels of one project: what is left of the first is the second's to list.
                    loser.record.clear();
                }
                let lost = loser.files.remove(path);
                if lost.is_none_or(|lost| contents.files.get(path).is_some_and(|won| !is_same(&lost, won))) {
                    plan.overlaps.push(Overlap { path: path.clone(), loser: before, winner: own });
                }
            }
            plan.wheels.push((wheel, contents));
        }
        plan.refuse_files_that_are_directories(&owners)?;
        Ok(plan)
    }

    fn refuse_files_that_are_directories(&self, owners: &HashMap<String, usize>) -> Result<()> {
        // Folded: `Foo` and `foo/x` are in each other's way on some file systems, and there alone; told there.
        for (path, owner) in owners.iter().collect::<BTreeMap<_, _>>() {
            let above = path.match_indices('/').map(|(end, _)| &path[..end]);
            for directory in above {
                if let Some(other) = owners.get(directory) {
                    return Err(Error::input(format!(
                        "`{}` is a file of {} and a directory of {}",
                        text::visible(directory),
                        self.name(*other),
                        self.name(*owner)
                    ))
                    .hint("use other versions of these packages, or take one out of the requirements"));
                }
            }
        }
        Ok(())
    }

    fn name(&self, wheel: usize) -> String {
        self.wheels.get(wheel).map(|(wheel, _)| wheel.file_name()).unwrap_or_default()
    }

    /// What people should know: one line for each pair of wheels that bring the same path with other content.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut pairs: BTreeMap<(usize, usize), Vec<&str>> = BTreeMap::new();
        for overlap in &self.overlaps {
            pairs.entry((overlap.loser, overlap.winner)).or_default().push(&overlap.path);
        }
        let lines = pairs.into_iter().map(|((loser, winner), paths)| {
            let others = paths.len() - 1;
            let first = paths.first().map(|path| text::visible(path)).unwrap_or_default();
            let others = if others == 0 { String::new() } else { format!(" and {others} more") };
            format!(
                "`{first}`{others} is in both {} and {}, with other content; that of {}, the later in the lock, counts",
                self.name(loser),
                self.name(winner),
                self.name(winner)
            )
        });
        lines.collect()
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.wheels.iter().any(|(_, contents)| contents.files.contains_key(path))
    }
}

fn is_same(one: &Brought, other: &Brought) -> bool {
    use super::contents::Source::{Made, Member};
    match (&one.source, &other.source) {
        (Made(one), Made(other)) => one == other,
        (Member { is_script: one_is, .. }, Member { is_script: other_is, .. }) => {
            one.mark == other.mark && one_is == other_is
        }
        _ => false,
    }
}

/// As the lock has them. Those that it does not name come first: they never take anything from one that it does.
fn in_order<'a>(wheels: &'a [Wheel], lock: &str) -> Vec<&'a Wheel> {
    let lock = Lock::parse(lock);
    let names: Vec<String> = lock.requirements.lines.iter().filter_map(Line::name).collect();
    let sorted: BTreeSet<&Wheel> = wheels.iter().collect();
    let mut sorted: Vec<&Wheel> = sorted.into_iter().collect();
    sorted.sort_by_key(|wheel| names.iter().rposition(|name| *name == wheel.name));
    sorted
}
