//! Variables for a plugin's configuration: `MFSERV_CURRENT_PLUGIN_{SECTION}_{KEY}`.

use super::address;
use crate::plugin::Plugin;

/// Keys that MetWork does not have: plugins see no more variables than there, unless somebody gives them a value.
const OURS: [&str; 3] = ["memory_max", "cpu_max", "smart_start_timeout"];

/// Every key, given or by default, that does not start with `_`, and the addresses of the hosts that are named.
pub(super) fn of_configuration(plugin: &Plugin) -> Vec<(String, String)> {
    let prefix = format!("{}_CURRENT_PLUGIN", plugin.label.module.upper());
    let mut variables = Vec::new();
    for section in plugin.config.sections.iter().filter(|section| is_plain(&section.name)) {
        let entries = section
            .entries
            .iter()
            .filter(|entry| is_plain(&entry.key) && !entry.key.starts_with('_'))
            .filter(|entry| entry.origin.is_some() || !OURS.contains(&entry.key.as_str()));
        for entry in entries {
            let value = entry.value.to_string();
            let address = address::of_key(&entry.key, &value);
            for (key, value) in std::iter::once((entry.key.clone(), value)).chain(address) {
                let name = format!("{prefix}_{}_{key}", section.name).to_ascii_uppercase().replace('-', "_");
                variables.push((name, value));
            }
        }
    }
    variables
}

/// Whether it may become part of a variable's name.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}
