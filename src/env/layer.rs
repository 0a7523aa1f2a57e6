//! Layers: what each directory says of itself, and where all of them are.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use md5::{Digest, Md5};

use super::extra;
use crate::error::Result;
use crate::fs;
use crate::site::Environment;

const LABEL: &str = ".layerapi2_label";
pub(super) const DEPENDENCIES: &str = ".layerapi2_dependencies";
const CONFLICTS: &str = ".layerapi2_conflicts";

/// A directory with a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// `python3@mfext`
    pub label: String,
    pub home: PathBuf,
}

/// A layer that another one wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dependency {
    /// Or its home, where it starts with `/`.
    pub(super) label: String,
    pub(super) optional: bool,
}

impl Layer {
    /// The layer in a directory, `None` where it is none.
    pub fn read(home: &Path, environment: &Environment) -> Result<Option<Layer>> {
        let file = home.join(LABEL);
        let Some(content) = fs::read_optional_within(&file, fs::MOST_TEXT)? else { return Ok(None) };
        let label = extra::replaced(content.trim_ascii(), environment, &file)?.to_string_lossy().into_owned();
        Ok(Some(Layer { label, home: home.to_owned() }))
    }

    /// In the order of the file.
    pub(super) fn dependencies(&self, environment: &Environment) -> Result<Vec<Dependency>> {
        let lines = lines(&self.home.join(DEPENDENCIES), environment)?;
        let dependency = |line: String| match line.strip_prefix('-') {
            Some(label) => Dependency { label: label.trim().to_owned(), optional: true },
            None => Dependency { label: line, optional: false },
        };
        Ok(lines.into_iter().map(dependency).collect())
    }

    pub(super) fn conflicts(&self, environment: &Environment) -> Result<Vec<String>> {
        lines(&self.home.join(CONFLICTS), environment)
    }

    /// The variable that says that the layer is loaded.
    pub fn marker(&self) -> String {
        let digest = Md5::digest(self.home.as_os_str().as_bytes());
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("LAYERAPI2_LAYER_{hex}_LOADED")
    }

    pub fn is_loaded(&self, environment: &Environment) -> bool {
        environment.text(&self.marker()).is_some_and(|value| value.trim() == "1")
    }

    /// The module in the label.
    pub(super) fn module(&self) -> Option<&str> {
        self.label.split_once('@').map(|(_, module)| module)
    }
}

/// Lines that are neither empty nor comments.
fn lines(file: &Path, environment: &Environment) -> Result<Vec<String>> {
    let content = fs::read_optional_within(file, fs::MOST_TEXT)?.unwrap_or_default();
    let content = extra::replaced(&content, environment, file)?.to_string_lossy().into_owned();
    let lines = content.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(str::to_owned).collect())
}

/// The layers of a machine: those in `LAYERAPI2_LAYERS_PATH`, where each absolute directory is a layer, or holds
/// layers. What cannot be read is no layer: others must not suffer from it.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    found: Vec<Layer>,
    /// Comes before the others.
    base: Option<Base>,
}

/// A directory of plugins, which may be many. It is read only where a plugin is not found by its name.
#[derive(Debug, Clone)]
struct Base {
    dir: PathBuf,
    environment: Environment,
    plugins: OnceCell<Vec<Layer>>,
}

impl Layers {
    pub fn find(environment: &Environment) -> Layers {
        Layers { found: in_path(environment, None), base: None }
    }

    /// As [`find`](Layers::find), and behind them the plugins in these directories, which are layers too.
    pub fn with_plugins_of(environment: &Environment, bases: impl IntoIterator<Item = PathBuf>) -> Layers {
        let mut found = in_path(environment, None);
        for base in bases {
            let plugins = in_dir(&base, environment);
            found.extend(plugins.into_iter().filter(|plugin| plugin.label.starts_with(PLUGIN)));
        }
        let mut homes = BTreeSet::new();
        found.retain(|layer| homes.insert(layer.home.clone()));
        Layers { found, base: None }
    }

    /// As [`find`](Layers::find), where the first in the path is a directory of plugins and of nothing else.
    pub(super) fn with_plugins(environment: &Environment, dir: &Path) -> Layers {
        let plugins = OnceCell::new();
        let base = Base { dir: dir.to_owned(), environment: environment.clone(), plugins };
        Layers { found: in_path(environment, Some(dir)), base: Some(base) }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Layer> {
        self.base.iter().flat_map(Base::plugins).chain(&self.found)
    }

    /// By label – the first in the path wins – or by an absolute home, which need not be in the path.
    pub fn get(&self, label_or_home: &str, environment: &Environment) -> Option<Layer> {
        if label_or_home.starts_with('/') {
            return Layer::read(Path::new(label_or_home), environment).ok().flatten();
        }
        let plugin = self.base.as_ref().and_then(|base| base.get(label_or_home));
        plugin.or_else(|| self.found.iter().find(|layer| layer.label == label_or_home).cloned())
    }

    /// Whether the module itself is installed, as opposed to plugins for it.
    pub(super) fn has_module(&self, module: &str) -> bool {
        self.found.iter().any(|layer| layer.module() == Some(module) && !layer.label.starts_with(PLUGIN))
    }
}

const PLUGIN: &str = "plugin_";

impl Base {
    fn plugins(&self) -> &[Layer] {
        self.plugins.get_or_init(|| in_dir(&self.dir, &self.environment))
    }

    fn get(&self, label: &str) -> Option<Layer> {
        let (name, _) = label.strip_prefix(PLUGIN)?.split_once('@')?;
        let by_name = Layer::read(&self.dir.join(name), &self.environment).ok().flatten();
        by_name
            .filter(|layer| layer.label == label)
            .or_else(|| self.plugins().iter().find(|layer| layer.label == label).cloned())
    }
}

fn in_path(environment: &Environment, except: Option<&Path>) -> Vec<Layer> {
    let list = environment.get("LAYERAPI2_LAYERS_PATH").unwrap_or_default();
    let dirs = std::env::split_paths(list).filter(|dir| dir.is_absolute() && Some(dir.as_path()) != except);
    dirs.flat_map(|dir| match Layer::read(&dir, environment) {
        Ok(Some(layer)) => vec![layer],
        _ => in_dir(&dir, environment),
    })
    .collect()
}

fn in_dir(dir: &Path, environment: &Environment) -> Vec<Layer> {
    let homes = fs::list(dir).unwrap_or_default();
    homes.iter().filter_map(|home| Layer::read(home, environment).ok().flatten()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_holds_the_md5_of_the_home() {
        let layer = Layer { label: "a@b".to_owned(), home: PathBuf::from("/opt/metwork-mfext/opt/core") };
        // printf /opt/metwork-mfext/opt/core | md5sum
        assert_eq!(layer.marker(), "LAYERAPI2_LAYER_ce829bef4c87df5f46d2752a43678183_LOADED");
    }

    #[test]
    fn the_path_holds_layers_and_directories_of_layers_and_the_first_wins() {
        let root = tempfile::tempdir().unwrap();
        for (home, label) in [("one", "one@m\n"), ("many/a", "a@m"), ("many/b", "b@m"), ("more/a2", "a@m")] {
            let home = root.path().join(home);
            fs::create_dir_all(&home).unwrap();
            fs::write_atomic(&home.join(LABEL), label.as_bytes()).unwrap();
        }
        let path = ["one", "many", "more", "absent"].map(|dir| root.path().join(dir));
        let mut environment = Environment::default();
        let path = std::env::join_paths(path.iter().map(PathBuf::as_path).chain([Path::new("relative")]));
        environment.set("LAYERAPI2_LAYERS_PATH", path.unwrap());
        let layers = Layers::find(&environment);
        let labels: Vec<_> = layers.iter().map(|layer| layer.label.as_str()).collect();
        assert_eq!(labels, ["one@m", "a@m", "b@m", "a@m"]);
        assert_eq!(layers.get("a@m", &environment).unwrap().home, root.path().join("many/a"));
        let home = root.path().join("more/a2");
        assert_eq!(layers.get(home.to_str().unwrap(), &environment).unwrap().home, home);
    }
}
