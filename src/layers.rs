//! Layers of MetWork: where they are, and what they provide.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::fs;
use crate::site::Site;

/// Layer label → home, for every layer in `LAYERAPI2_LAYERS_PATH`: each directory there is a layer, or holds some.
pub fn all(site: &Site) -> Result<BTreeMap<String, PathBuf>> {
    let mut layers = BTreeMap::new();
    for dir in &site.layers_path {
        let homes = if fs::exists(&dir.join(LABEL)) { vec![dir.clone()] } else { fs::list(dir)? };
        for home in homes {
            if let Some(label) = fs::read_text_optional(&home.join(LABEL))? {
                // The first in the path wins.
                layers.entry(label.trim().to_owned()).or_insert(home);
            }
        }
    }
    Ok(layers)
}

const LABEL: &str = ".layerapi2_label";

/// The labels in `.layerapi2_dependencies`, a leading `-` (optional) taken off.
fn dependencies(home: &Path) -> Result<Vec<String>> {
    let content = fs::read_text_optional(&home.join(".layerapi2_dependencies"))?.unwrap_or_default();
    let labels = content.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(labels.map(|label| label.trim_start_matches('-').to_owned()).collect())
}

/// The `requirements3.txt` files of the layers that a plugin depends on, and of those on PYTHONPATH: what is there
/// already, and at which version.
pub fn requirement_files(site: &Site, plugin_dir: &Path, short_version: &str) -> Result<Vec<PathBuf>> {
    let layers = all(site)?;
    let mut homes = Vec::new();
    let mut seen = BTreeSet::new();
    let mut waiting = dependencies(plugin_dir)?;
    while let Some(label) = waiting.pop() {
        if let Some(home) = layers.get(&label).filter(|_| seen.insert(label.clone())) {
            waiting.extend(dependencies(home)?);
            homes.push(home);
        }
    }
    let of_layers = homes.into_iter().flat_map(|home| {
        let python = format!("python{short_version}/site-packages");
        [home.join("lib").join(&python), home.join("local/lib").join(&python)]
    });
    let on_path =
        site.environment.get("PYTHONPATH").map(|list| std::env::split_paths(list).collect::<Vec<_>>());
    let mut files: Vec<PathBuf> = of_layers
        .chain(on_path.unwrap_or_default())
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join("requirements3.txt"))
        .filter(|file| file.is_file())
        .collect();
    files.sort();
    files.dedup();
    Ok(files)
}
