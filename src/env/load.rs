//! Loading and unloading layers: what they depend on first, what they may use after them.
//!
//! A layer's required dependencies are loaded before it and its optional ones after it, so that the search
//! paths find the layer's own things before those of what it requires. `root@{module}` is required by every
//! layer of that module without saying so. Layers that require each other are an error; a cycle with an optional
//! dependency in it is cut there. What a layer conflicts with is unloaded first, and with it whatever requires that.
//!
//! Where a module is not installed, the host's own tools stand for some of its layers: plugins name
//! `python3@mfext` whether or not there is a MetWork, and `python3` is found on PATH all the same.

use std::path::{Path, PathBuf};

use super::extra;
use super::layer::{DEPENDENCIES, Dependency, Layer, Layers};
use super::search_path;
use crate::error::{Error, Result};
use crate::fs;
use crate::site::Environment;
use crate::text;

/// Layers that the host stands for where their module is not installed, with `root` of every module.
const OF_HOST: [&str; 9] = [
    "default@mfext",
    "nodejs@mfext",
    "openresty@mfext",
    "php@mfext",
    "python3@mfext",
    "python3_circus@mfext",
    "python3_core@mfext",
    "python3_devtools@mfext",
    "python3_scientific@mfext",
];

/// The variables that layers put directories into.
const SEARCH_PATHS: [&str; 5] = ["PATH", "LD_LIBRARY_PATH", "PKG_CONFIG_PATH", "PYTHONPATH", "NODE_PATH"];

/// Changes an environment layer by layer.
#[derive(Debug)]
pub struct Loader<'a> {
    pub environment: Environment,
    /// Put directories in front that do not exist, too.
    pub force: bool,
    /// Leave out the optional dependencies.
    pub without_optional: bool,
    layers: &'a Layers,
    steps: Vec<Step>,
    /// Layers that wait for what they require.
    loading: Vec<Layer>,
}

/// What was done, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Loaded(Layer),
    Unloaded(Layer),
}

impl<'a> Loader<'a> {
    pub fn new(layers: &'a Layers, environment: Environment) -> Loader<'a> {
        Loader {
            environment,
            force: false,
            without_optional: false,
            layers,
            steps: Vec::new(),
            loading: Vec::new(),
        }
    }

    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Loads a layer, given by label or home, with all that belongs to it.
    pub fn load(&mut self, label_or_home: &str) -> Result<()> {
        let wanted = Dependency { label: label_or_home.to_owned(), optional: false };
        self.load_required(&wanted, None)
    }

    /// As [`load`](Loader::load), where it can be loaded; else the environment stays as it is.
    pub fn load_if_possible(&mut self, label_or_home: &str) {
        if self.layers.get(label_or_home, &self.environment).is_none() {
            return;
        }
        let before = (self.environment.clone(), self.steps.clone(), self.loading.clone());
        if self.load(label_or_home).is_err() {
            (self.environment, self.steps, self.loading) = before;
        }
    }

    pub fn load_layer(&mut self, layer: &Layer) -> Result<()> {
        if layer.is_loaded(&self.environment) {
            return Ok(());
        }
        if let Some(begun) = self.loading.iter().position(|known| known.home == layer.home) {
            let cycle: Vec<_> =
                self.loading[begun..].iter().chain([layer]).map(|it| text::visible(&it.label)).collect();
            return Err(Error::input(format!("layers require each other: {}", cycle.join(" → ")))
                .hint(format!("make one of them optional, with a `-` in front, in {DEPENDENCIES}")));
        }
        search_path::refuse_colon(&layer.home)?;
        self.loading.push(layer.clone());
        for label in layer.conflicts(&self.environment)? {
            if let Some(other) = self.layers.get(&label, &self.environment)
                && other.is_loaded(&self.environment)
            {
                self.unload(&other)?;
            }
        }
        let dependencies = self.dependencies(layer)?;
        for dependency in dependencies.iter().filter(|dependency| !dependency.optional) {
            self.load_required(dependency, Some(layer))?;
        }
        self.put_in_front(layer)?;
        self.loading.pop();
        let optional = dependencies.iter().filter(|dependency| dependency.optional && !self.without_optional);
        for dependency in optional.collect::<Vec<_>>() {
            self.load_if_possible(&dependency.label);
        }
        Ok(())
    }

    /// Those in the file, and the module's root.
    fn dependencies(&self, layer: &Layer) -> Result<Vec<Dependency>> {
        let mut dependencies = layer.dependencies(&self.environment)?;
        let root = format!("root@{}", layer.module().unwrap_or_default());
        // What the root itself requires does not wait for it.
        let is_known = layer.label == root
            || self.loading.iter().any(|loading| loading.label == root)
            || dependencies.iter().any(|dependency| dependency.label == root);
        if !is_known && self.layers.get(&root, &self.environment).is_some() {
            dependencies.insert(0, Dependency { label: root, optional: false });
        }
        Ok(dependencies)
    }

    fn load_required(&mut self, dependency: &Dependency, by: Option<&Layer>) -> Result<()> {
        match self.layers.get(&dependency.label, &self.environment) {
            Some(layer) => self.load_layer(&layer),
            None if self.host_stands_for(&dependency.label) => Ok(()),
            None => Err(self.absent(&dependency.label, by)),
        }
    }

    fn host_stands_for(&self, label: &str) -> bool {
        let Some((name, module)) = label.split_once('@') else { return false };
        (name == "root" || OF_HOST.contains(&label)) && !self.layers.has_module(module)
    }

    fn absent(&self, label: &str, by: Option<&Layer>) -> Error {
        let shown = text::visible(label);
        let message = match by {
            Some(by) => {
                format!("{} requires the layer `{shown}`, which is not installed", text::path(&by.home))
            }
            None => format!("there is no layer `{shown}`"),
        };
        let known = self.layers.iter().map(|layer| layer.label.as_str());
        let hint = match (text::nearest(label, known), label.strip_prefix("plugin_")) {
            (Some(nearest), _) => format!("did you mean `{}`?", text::visible(nearest)),
            (None, Some(plugin)) if by.is_some() => {
                let name = plugin.split('@').next().unwrap_or(plugin);
                format!("install the plugin `{}` first", text::visible(name))
            }
            _ if by.is_some() => {
                "install it below a directory of LAYERAPI2_LAYERS_PATH; a `-` before its name in `.layerapi2_dependencies` makes it optional"
                    .to_owned()
            }
            _ => "layers are looked for in the directories of LAYERAPI2_LAYERS_PATH".to_owned(),
        };
        Error::input(message).hint(hint)
    }

    fn put_in_front(&mut self, layer: &Layer) -> Result<()> {
        for (variable, dir) in search_directories(&layer.home, &self.environment) {
            if self.force || dir.is_dir() {
                search_path::prepend(&mut self.environment, variable, &dir);
            }
        }
        extra::apply(&layer.home, &mut self.environment)?;
        self.environment.set(layer.marker(), "1");
        self.steps.push(Step::Loaded(layer.clone()));
        Ok(())
    }

    /// Unloads a layer, and the loaded ones that require it.
    pub fn unload(&mut self, layer: &Layer) -> Result<()> {
        self.take_out(layer)?;
        loop {
            let mut dependent = None;
            for other in self.layers.iter().filter(|other| other.is_loaded(&self.environment)) {
                let dependencies = other.dependencies(&self.environment)?;
                let lacks_one =
                    dependencies.iter().filter(|dependency| !dependency.optional).any(|dependency| {
                        let required = self.layers.get(&dependency.label, &self.environment);
                        required.is_some_and(|required| !required.is_loaded(&self.environment))
                    });
                if lacks_one {
                    dependent = Some(other.clone());
                    break;
                }
            }
            match dependent {
                Some(other) => self.take_out(&other)?,
                None => return Ok(()),
            }
        }
    }

    pub fn unload_all(&mut self) -> Result<()> {
        for layer in self.layers.iter() {
            if layer.is_loaded(&self.environment) {
                self.take_out(layer)?;
            }
        }
        Ok(())
    }

    fn take_out(&mut self, layer: &Layer) -> Result<()> {
        for variable in SEARCH_PATHS {
            search_path::remove_below(&mut self.environment, variable, &layer.home);
        }
        extra::remove(&layer.home, &mut self.environment)?;
        self.environment.remove(&layer.marker());
        self.loading.retain(|loading| loading.home != layer.home);
        self.steps.push(Step::Unloaded(layer.clone()));
        Ok(())
    }
}

/// Which directories of a layer go into which search path, in the order in which they are put in front: the
/// last comes first.
fn search_directories(home: &Path, environment: &Environment) -> Vec<(&'static str, PathBuf)> {
    let libraries = [home.join("lib"), home.join("local/lib")];
    let modules = ["node_modules", "lib/node_modules", "local/lib/node_modules"].map(|name| home.join(name));
    let mut directories = Vec::new();
    for dir in &modules {
        directories.push(("NODE_PATH", dir.clone()));
        directories.push(("PATH", dir.join(".bin")));
    }
    directories.extend(libraries.iter().map(|dir| ("PYTHONPATH", dir.clone())));
    let packages = libraries.iter().filter_map(|dir| site_packages(dir, environment));
    directories.extend(packages.map(|dir| ("PYTHONPATH", dir)));
    directories.extend(["bin", "local/bin"].map(|name| ("PATH", home.join(name))));
    directories.extend(libraries.iter().map(|dir| ("LD_LIBRARY_PATH", dir.clone())));
    directories.extend(libraries.iter().map(|dir| ("PKG_CONFIG_PATH", dir.join("pkgconfig"))));
    directories
}

/// `python3.X/site-packages` in a library directory: of the version that MetWork names, else of the highest
/// that is there. Asking an interpreter would take longer than all the rest.
fn site_packages(library: &Path, environment: &Environment) -> Option<PathBuf> {
    if let Some(version) = environment.text("PYTHON3_SHORT_VERSION") {
        return Some(library.join(format!("python{version}/site-packages")));
    }
    let minor = |path: &PathBuf| {
        path.file_name()?.to_str()?.strip_prefix("python3.").and_then(|minor| minor.parse::<u32>().ok())
    };
    let versions = fs::list(library).unwrap_or_default().into_iter();
    let with_packages = versions.map(|dir| (minor(&dir), dir.join("site-packages")));
    let highest = with_packages.filter(|(minor, dir)| minor.is_some() && dir.is_dir()).max();
    highest.map(|(_, dir)| dir)
}

#[cfg(test)]
mod tests;
