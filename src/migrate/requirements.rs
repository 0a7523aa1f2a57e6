//! Requirements of Python: what layers of MetWork gave without being asked is required by name.

use std::path::Path;

use super::{Change, Facts, Findings};
use crate::error::Result;
use crate::fs;

const DIR: &str = "python3_virtualenv_sources";
const FILE: &str = "python3_virtualenv_sources/requirements-to-freeze.txt";

/// Modules that plugins import, and the distributions that have them.
const OF_LAYERS: [(&str, &str); 3] =
    [("mflog", "mflog"), ("redis", "redis"), ("dateutil", "python-dateutil")];

/// The distribution that has a module.
pub fn distribution_of(module: &str) -> &str {
    OF_LAYERS.iter().find(|(name, _)| *name == module).map_or(module, |(_, distribution)| distribution)
}

/// `of_config`: what the configuration of today needs.
pub(super) fn migrate(of_config: &[String], facts: &Facts<'_>, report: &mut Findings) -> Result<()> {
    let is_renamed = report
        .changes
        .iter()
        .any(|change| matches!(change, Change::Rename { to, .. } if to == Path::new(DIR)));
    let old_file = if is_renamed { FILE.replacen('3', "2", 1) } else { FILE.to_owned() };
    let old = facts.read(&old_file)?;
    let mut wanted: Vec<String> = of_config.to_vec();
    for (module, distribution) in OF_LAYERS {
        if imports(facts.dir, module)? {
            wanted.push(distribution.to_owned());
        }
    }
    let text = old.clone().unwrap_or_default();
    let names: Vec<String> = text.lines().map(name).collect();
    wanted.retain(|wanted| !names.contains(wanted));
    wanted.dedup();
    if wanted.is_empty() {
        return Ok(());
    }
    let mut new = text;
    if !new.is_empty() && !new.ends_with('\n') {
        new.push('\n');
    }
    for wanted in &wanted {
        new.push_str(wanted);
        new.push('\n');
    }
    report.note(
        FILE,
        0,
        format!(
            "{} came with MetWork without being asked for: now the plugin requires it",
            wanted.join(", ")
        ),
    );
    report.write(FILE, old, new);
    Ok(())
}

/// The name of a requirement, as distributions are compared.
fn name(line: &str) -> String {
    let end = line.find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c)).unwrap_or(line.len());
    line[..end].to_ascii_lowercase().replace(['_', '.'], "-")
}

fn imports(dir: &Path, module: &str) -> Result<bool> {
    for path in super::files::of_code(dir)? {
        if path.extension().is_none_or(|extension| extension != "py") {
            continue;
        }
        let Ok(text) = fs::read_text(&path) else { continue };
        let is_import = |line: &str| {
            let line = line.trim_start();
            let rest = line.strip_prefix("import ").or_else(|| line.strip_prefix("from "));
            rest.and_then(|rest| rest.trim_start().strip_prefix(module))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '.', ',']))
        };
        if text.lines().any(is_import) {
            return Ok(true);
        }
    }
    Ok(false)
}
