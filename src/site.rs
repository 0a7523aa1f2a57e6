//! The machine that a command runs on: the module's homes, the configuration name, root-owned files.
//!
//! Everything comes from a snapshot of the process environment, taken once by the command line; nothing else
//! reads the environment.

mod hardware;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use self::hardware::Hardware;
use crate::error::{Error, Result};
use crate::fs;
use crate::plugin::Module;
use crate::text;

/// A snapshot of the process environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    pub fn of_process() -> Environment {
        Environment(std::env::vars_os().collect())
    }

    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.get_os(OsStr::new(name))
    }

    /// As [`get`](Environment::get), for a name that need not be UTF-8.
    pub fn get_os(&self, name: &OsStr) -> Option<&OsStr> {
        self.0.get(name).map(OsString::as_os_str)
    }

    /// The value as text; one that is empty or not UTF-8 counts as unset.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(OsStr::to_str).filter(|value| !value.is_empty())
    }

    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    pub fn set(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        self.0.insert(name.into(), value.into());
    }

    pub fn remove(&mut self, name: &str) {
        self.0.remove(OsStr::new(name));
    }

    /// Takes relative entries out of PATH, empty ones included: with them, what runs depends on where one stands, and a
    /// directory from anywhere may hold a `python3` of its own.
    fn keep_absolute_path(&mut self) {
        let path = self.get("PATH").unwrap_or_default();
        let dirs: Vec<PathBuf> = std::env::split_paths(path).filter(|dir| dir.is_absolute()).collect();
        // An empty PATH is the current directory to some, and none at all these two, as shells and the C library have it.
        let kept = if dirs.is_empty() { None } else { std::env::join_paths(dirs).ok() };
        self.set("PATH", kept.unwrap_or_else(|| "/usr/bin:/bin".into()));
    }

    pub fn iter(&self) -> impl Iterator<Item = (&OsString, &OsString)> {
        self.0.iter()
    }
}

impl FromIterator<(OsString, OsString)> for Environment {
    fn from_iter<T: IntoIterator<Item = (OsString, OsString)>>(variables: T) -> Environment {
        Environment(variables.into_iter().collect())
    }
}

/// Where things are on this machine.
#[derive(Debug, Clone)]
pub struct Site {
    pub environment: Environment,
    /// `MFMODULE_LOWERCASE` or `MFMODULE`: the module whose environment is loaded.
    pub module: Option<Module>,
    /// `/etc`, or `MWP_ETC_DIR` in tests and containers.
    pub etc: PathBuf,
    /// `MFCONFIG`, else the first line that is no comment of `metwork.config`, else `GENERIC`.
    pub configuration_name: String,
    /// The user's home.
    pub home: PathBuf,
    /// `$XDG_CACHE_HOME/mwp` (or `MWP_CACHE_DIR`): may be deleted at any time.
    pub cache: PathBuf,
    /// The absolute directories of `LAYERAPI2_LAYERS_PATH`.
    pub layers_path: Vec<PathBuf>,
    /// The program that this process runs, for scripts that are to call it; the command line knows it.
    pub program: Option<PathBuf>,
    runtime_home: Option<PathBuf>,
    data: PathBuf,
    /// Asked for once: half of what `mwp exec` took was asking.
    hardware: OnceLock<Hardware>,
}

impl Site {
    pub fn new(mut environment: Environment) -> Site {
        environment.keep_absolute_path();
        let home = environment.path("HOME").unwrap_or_else(|| PathBuf::from("/"));
        let etc = environment.path("MWP_ETC_DIR").unwrap_or_else(|| PathBuf::from("/etc"));
        let absolute = |name: &str| environment.path(name).filter(|path| path.is_absolute());
        let cache = environment
            .path("MWP_CACHE_DIR")
            .map(|path| std::path::absolute(&path).unwrap_or(path))
            .unwrap_or_else(|| absolute("XDG_CACHE_HOME").unwrap_or_else(|| home.join(".cache")).join("mwp"));
        let data = absolute("XDG_DATA_HOME").unwrap_or_else(|| home.join(".local/share")).join("mwp");
        let module = environment
            .text("MFMODULE_LOWERCASE")
            .or_else(|| environment.text("MFMODULE"))
            .and_then(|name| Module::parse(&name.to_ascii_lowercase()).ok());
        let layers_path = environment
            .get("LAYERAPI2_LAYERS_PATH")
            .map(|list| std::env::split_paths(list).filter(|path| path.is_absolute()).collect())
            .unwrap_or_default();
        let configuration_name = environment
            .text("MFCONFIG")
            .map(str::to_owned)
            .or_else(|| configuration_name_of_machine(&etc))
            .unwrap_or_else(|| "GENERIC".to_owned());
        Site {
            module,
            configuration_name,
            cache,
            layers_path,
            program: None,
            runtime_home: absolute("MFMODULE_RUNTIME_HOME"),
            data,
            hardware: OnceLock::new(),
            home,
            etc,
            environment,
        }
    }

    /// Refuses homes that would be elsewhere from every directory.
    pub fn refuse_relative_homes(&self) -> Result<()> {
        let names = ["HOME", "MFMODULE_RUNTIME_HOME", "MFMODULE_PLUGINS_BASE_DIR"];
        let relative = |name: &str| self.environment.path(name).filter(|path| path.is_relative());
        match names.into_iter().find_map(|name| Some((name, relative(name)?))) {
            None => Ok(()),
            Some((name, path)) => Err(Error::machine(format!(
                "the variable {name} is {}; an absolute path is allowed",
                text::path(&path)
            ))
            .hint(format!("set {name} to the directory's whole path"))),
        }
    }

    /// Refuses numbers that are none: they would count as not set.
    pub fn refuse_bad_numbers(&self) -> Result<()> {
        for (name, unit) in [("MWP_CACHE_SIZE", "bytes"), ("MWP_LOCK_TIMEOUT", "seconds")] {
            let Some(value) = self.environment.text(name).filter(|value| !value.is_empty()) else { continue };
            if value.parse::<u64>().is_err() {
                let message = format!(
                    "the variable {name} is `{}`; a number of {unit} is allowed",
                    text::visible(value)
                );
                return Err(Error::input(message).hint(format!("set {name} to such a number, or unset it")));
            }
        }
        Ok(())
    }

    /// `MFMODULE_RUNTIME_HOME`: var/, log/, tmp/ and config/ of the module's user; a per-user directory where
    /// no MetWork module is loaded.
    pub fn runtime_home(&self, module: &Module) -> PathBuf {
        self.runtime_home.clone().unwrap_or_else(|| self.data.join(module.as_str()))
    }

    /// Whether the environment says where the runtime home is, as MetWork's does.
    pub fn has_given_runtime_home(&self) -> bool {
        self.runtime_home.is_some()
    }

    /// The name of this machine, as MetWork has it or the kernel.
    pub fn host_name(&self) -> String {
        let kernel = || rustix::system::uname().nodename().to_string_lossy().into_owned();
        self.environment.text("MFHOSTNAME_FULL").map_or_else(kernel, str::to_owned)
    }

    /// What MetWork says of the machine, for templates, where it is not loaded; names and values of variables.
    pub fn machine_variables(&self) -> [(&'static str, String); 9] {
        let Hardware { cores, processors, memory } = self.hardware.get_or_init(Hardware::of_kernel);
        let full = self.host_name();
        let (host, domain) = full.split_once('.').unwrap_or((&full, ""));
        [
            ("MFHARDWARE_NUMBER_OF_CPU_CORES", cores.to_string()),
            ("MFHARDWARE_NUMBER_OF_CPU_CORES_PLUS_1", (cores + 1).to_string()),
            ("MFHARDWARE_NUMBER_OF_CPU_CORES_MULTIPLIED_BY_2", (cores * 2).to_string()),
            ("MFHARDWARE_NUMBER_OF_CPU_CORES_DIVIDED_BY_2", cores.div_ceil(2).to_string()),
            ("MFHARDWARE_NUMBER_OF_PHYSICAL_PROCESSORS", processors.to_string()),
            ("MFHARDWARE_PHYSICAL_MEMORY", memory.to_string()),
            ("MFHOSTNAME", host.to_owned()),
            ("MFDOMAIN", domain.to_owned()),
            ("MFHOSTNAME_FULL", full),
        ]
    }

    /// Where the plugins of a module are installed.
    pub fn plugins_base(&self, module: &Module) -> PathBuf {
        self.environment
            .path("MFMODULE_PLUGINS_BASE_DIR")
            .filter(|path| path.is_absolute())
            .unwrap_or_else(|| self.runtime_home(module).join("var/plugins"))
    }

    /// Root-owned files of a module's plugins: provisioning and overrides.
    pub fn provisioning(&self, module: &Module) -> PathBuf {
        self.etc.join("metwork.config.d").join(module.as_str()).join("plugins")
    }

    /// The override files for a plugin, weakest first.
    pub fn overrides(&self, label: &crate::plugin::Label) -> [PathBuf; 2] {
        let file = format!("{}.ini", label.name);
        [
            self.runtime_home(&label.module).join("config/plugins").join(&file),
            self.provisioning(&label.module).join(&file),
        ]
    }
}

fn configuration_name_of_machine(etc: &Path) -> Option<String> {
    let content = fs::read_optional(&etc.join("metwork.config")).ok()??;
    let content = String::from_utf8(content).ok()?;
    content.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned)
}
