//! How the internal plugins run: the module's settings decide, so their override files are written at each start.

use crate::error::Result;
use crate::fs;
use crate::plugin::{Label, Module, PluginName};
use crate::run::model::{GUESS_FILE_TYPE, InternalPlugins, SWITCH};
use crate::site::Site;

const HEADER: &str = "\
# The module's settings in [internal_plugins] say what is here; it is written anew when the module starts.
# /etc/metwork.config.d overrides this file.
";
/// A step's own inbox.
const INBOX: &str = "{MFDATA_CURRENT_STEP_DIR}";

pub(super) fn write(name: &str, settings: &InternalPlugins, site: &Site) -> Result<()> {
    let (workload, custom) = match name {
        GUESS_FILE_TYPE => (&settings.guess_file_type, "\n[custom]\ndest_dir=switch/main\n"),
        SWITCH => (&settings.switch, ""),
        _ => return Ok(()),
    };
    // Files come in at the first of them.
    let watched = match settings.names.first() {
        Some(first) if first == name => format!("{INBOX},{}", settings.watched_directories),
        _ => INBOX.to_owned(),
    };
    let content = format!(
        "{HEADER}\n[step_main]\nnumprocesses={}\ndebug={}\nwatched_directories={watched}\n{custom}",
        workload.numprocesses,
        u8::from(workload.debug),
    );
    let [path, _] = site.overrides(&Label { name: PluginName::parse(name)?, module: Module::Mfdata });
    // An update of the plugin takes ours for an administrator's.
    let mut beside = path.clone().into_os_string();
    beside.push(".new");
    fs::remove_file(beside.as_ref())?;
    if fs::read_optional(&path)?.is_some_and(|present| present == content.as_bytes()) {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_own_dir_all(parent)?;
    }
    fs::write_atomic_with_mode(&path, content.as_bytes(), 0o640)
}
