//! What layers bring for Python: their `requirements3.txt` files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::layer::{Layer, Layers};
use crate::error::Result;
use crate::site::Site;

/// The `requirements3.txt` files of the layers that a plugin depends on, and of those on PYTHONPATH: what is there
/// already, and at which version.
pub fn requirement_files(site: &Site, plugin_dir: &Path, short_version: &str) -> Result<Vec<PathBuf>> {
    let environment = &site.environment;
    let layers = Layers::find(environment);
    let mut homes = Vec::new();
    let mut seen = BTreeSet::new();
    let plugin = Layer { label: String::new(), home: plugin_dir.to_owned() };
    let mut waiting = plugin.dependencies(environment)?;
    while let Some(dependency) = waiting.pop() {
        let layer = layers.get(&dependency.label, environment);
        if let Some(layer) = layer.filter(|_| seen.insert(dependency.label)) {
            waiting.extend(layer.dependencies(environment)?);
            homes.push(layer.home);
        }
    }
    let of_layers = homes.into_iter().flat_map(|home| {
        let python = format!("python{short_version}/site-packages");
        [home.join("lib").join(&python), home.join("local/lib").join(&python)]
    });
    let on_path = environment.get("PYTHONPATH").map(|list| std::env::split_paths(list).collect::<Vec<_>>());
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
