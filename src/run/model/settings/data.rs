//! Sections of mfdata: the plugins that come by themselves, and how long files are kept.

use std::time::Duration;

use super::{Reader, is_null, refuse};
use crate::error::Result;
use crate::plugin::Module;

/// What only mfdata has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataSettings {
    pub internal_plugins: InternalPlugins,
    pub kept: Kept,
}

/// Section `[internal_plugins]`: plugins that are there without anybody installing them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InternalPlugins {
    /// `install_NAME`, in the order in which files go through them.
    pub names: Vec<String>,
    pub guess_file_type: Workload,
    pub switch: Workload,
    /// Directories where files come in, with commas between them.
    pub watched_directories: String,
}

/// How the step of an internal plugin is run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Workload {
    pub numprocesses: u64,
    pub debug: bool,
}

/// Section `[data_in]`: how long files are kept that nobody waits for, by the last that happened to them; `None` is for
/// ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub trash: Option<Duration>,
    pub tmp: Option<Duration>,
    pub other: Option<Duration>,
}

pub const GUESS_FILE_TYPE: &str = "guess_file_type";
pub const SWITCH: &str = "switch";

const SECTION: &str = "internal_plugins";

impl Reader<'_> {
    pub(super) fn data(&self) -> Result<DataSettings> {
        let kept = Kept {
            trash: self.lifetime("trash_max_lifetime", 1440)?,
            tmp: self.lifetime("tmp_max_lifetime", 60)?,
            other: self.lifetime("other_max_lifetime", 360)?,
        };
        let internal_plugins = match self.module {
            Module::Mfdata => self.internal_plugins()?,
            _ => InternalPlugins::default(),
        };
        Ok(DataSettings { internal_plugins, kept })
    }

    /// In minutes, and parts of them.
    fn lifetime(&self, key: &str, default: u64) -> Result<Option<Duration>> {
        let Some((value, place)) = self.raw("data_in", key).filter(|(value, _)| !is_null(value)) else {
            return Ok(Some(Duration::from_secs(default * 60)));
        };
        match value.parse::<f64>() {
            Ok(minutes) if minutes <= 0.0 => Ok(None),
            // So many that they cannot be counted are for ever, too.
            Ok(minutes) if !minutes.is_nan() => Ok(Duration::try_from_secs_f64(minutes * 60.0).ok()),
            _ => Err(refuse(&place, &value, "a number of minutes is allowed")),
        }
    }

    fn internal_plugins(&self) -> Result<InternalPlugins> {
        let half_the_cores = std::thread::available_parallelism().map_or(1, usize::from).div_ceil(2) as u64;
        let workload = |name: &str| {
            Ok(Workload {
                numprocesses: self.number(SECTION, &format!("{name}_numprocesses"), half_the_cores)?,
                debug: self.flag(SECTION, &format!("{name}_debug"), false)?,
            })
        };
        let mut names = Vec::new();
        if self.flag(SECTION, "install_guess_file_type", true)? {
            names.push(GUESS_FILE_TYPE.to_owned());
        }
        // Which hands on to the switch.
        if self.flag(SECTION, "install_switch", true)? || !names.is_empty() {
            names.push(SWITCH.to_owned());
        }
        for (_, key, _) in self.given.iter().filter(|(section, ..)| *section == SECTION) {
            let Some(name) = key.strip_prefix("install_").filter(|name| *name != GUESS_FILE_TYPE) else {
                continue;
            };
            if self.flag(SECTION, key, false)? && name != SWITCH {
                names.push(name.to_owned());
            }
        }
        let watched = self.text(SECTION, "watched_directories");
        Ok(InternalPlugins {
            names,
            guess_file_type: workload(GUESS_FILE_TYPE)?,
            switch: workload(SWITCH)?,
            watched_directories: watched.unwrap_or_else(|| "incoming".to_owned()),
        })
    }
}
