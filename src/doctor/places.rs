//! Directories that are written to: whether they can be, and what their disk can do.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access, statvfs};

use super::Finding;
use super::needs::Needs;
use crate::fs;
use crate::installed::Base;
use crate::site::Site;
use crate::text;

/// A virtualenv or an update of a plugin takes that much soon.
const LITTLE: u64 = 1_000_000_000;

pub(super) fn examine(needs: &Needs, site: &Site) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut places = vec![("build", "cache".to_owned(), site.cache.clone(), "what builds have in common")];
    let modules = match (&site.module, needs.modules.as_slice()) {
        (Some(module), _) => vec![module.clone()],
        (None, []) => vec![crate::plugin::Module::Mfserv],
        (None, modules) => modules.to_vec(),
    };
    for module in &modules {
        let home = site.runtime_home(module);
        places.push(("run", format!("home of {module}"), home, "configuration, logs, sockets"));
        let base = Base::new(None, module, site);
        places.push(("install", format!("plugins of {module}"), base.dir.clone(), "installed plugins"));
        for path in base.set_aside() {
            findings.push(
                Finding::new("install", "set aside", "what could be neither undone nor removed").bad(
                    text::path(&path),
                    format!("rm -r {} once nothing there is needed", text::path(&path)),
                ),
            );
        }
    }
    let mut disks = BTreeSet::new();
    for (area, what, path, purpose) in places {
        let existing = nearest_existing(&path);
        let finding = Finding::new(area, what, purpose).needed(true);
        findings.push(match access(&existing, Access::WRITE_OK | Access::EXEC_OK) {
            Ok(()) => finding.ok(text::path(&path)),
            Err(_) => finding.bad(
                format!("{} cannot be written to", text::path(&existing)),
                format!("chown $(id -un) {}", text::path(&existing)),
            ),
        });
        if let Ok(state) = statvfs(&existing)
            && disks.insert(state.f_fsid)
        {
            findings.extend(disk(&existing, state.f_bavail.saturating_mul(state.f_frsize)));
        }
    }
    findings.extend(layers(site));
    findings
}

fn nearest_existing(path: &Path) -> PathBuf {
    path.ancestors().find(|path| fs::exists(path)).unwrap_or(Path::new("/")).to_owned()
}

fn disk(dir: &Path, free: u64) -> Vec<Finding> {
    let shown = text::path(dir);
    let space = Finding::new("machine", format!("space at {shown}"), "builds, updates, logs");
    let nameless = Finding::new(
        "machine",
        format!("files without a name at {shown}"),
        "files that are whole or not there",
    );
    let clones = Finding::new("machine", format!("reflinks at {shown}"), "copies that take no space");
    vec![
        match free >= LITTLE {
            true => space.ok(text::size(free)),
            false => space.bad(text::size(free), "mwp cache prune"),
        },
        match fs::unnamed_file_in(dir) {
            Ok(_) => nameless.ok("yes"),
            // Files get a name and lose it then.
            Err(_) => nameless.ok("no; names that nobody looks at do"),
        },
        match fs::has_clones(dir) {
            true => clones.ok("yes"),
            false => clones.ok("no; files are copied"),
        },
    ]
}

fn layers(site: &Site) -> Vec<Finding> {
    let finding = Finding::new("build", "MetWork layers", "what plugins depend on, where it is installed");
    let absent: Vec<String> =
        site.layers_path.iter().filter(|dir| !dir.is_dir()).map(|dir| text::path(dir)).collect();
    vec![match (&site.module, site.layers_path.as_slice()) {
        (None, []) => finding.ok("no MetWork is loaded; none is needed"),
        (Some(module), []) => finding.ok(format!("{module} is loaded")),
        _ if absent.is_empty() => finding.ok(format!("{} on LAYERAPI2_LAYERS_PATH", site.layers_path.len())),
        _ => finding.bad(
            format!("no directory: {}", absent.join(", ")),
            "take it off LAYERAPI2_LAYERS_PATH, or install it",
        ),
    }]
}
