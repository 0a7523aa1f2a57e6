//! An interactive shell in a plugin's environment.

use std::ffi::OsString;
use std::path::Path;

use super::plugin::PluginEnvironment;
use crate::error::Result;
use crate::fs;
use crate::site::Environment;

/// What to run.
#[derive(Debug)]
pub struct Shell {
    pub program: OsString,
    pub arguments: Vec<OsString>,
    pub environment: Environment,
}

/// The user's own settings may change PATH and the like: what belongs to the plugin is set again after them.
const BASH_SETTINGS: &str = "\
mwp_environment=$(export -p)
if [ -f ~/.bashrc ]; then . ~/.bashrc; fi
eval \"$mwp_environment\" 2>/dev/null
unset mwp_environment
PS1=\"(PLUGIN) $PS1\"
";

impl Shell {
    /// `$SHELL`, else `/bin/sh`; its prompt shows the plugin's name.
    pub fn new(plugin: &PluginEnvironment) -> Result<Shell> {
        let mut environment = plugin.environment.clone();
        let name = plugin.plugin.label.name.as_str();
        let program = environment.path("SHELL").unwrap_or_else(|| "/bin/sh".into());
        let mut arguments = Vec::new();
        if let (true, Some(tmp)) = (is_bash(&program), environment.path("TMPDIR")) {
            let settings = tmp.join(".mwp-bashrc");
            fs::write_atomic(&settings, BASH_SETTINGS.replace("PLUGIN", name).as_bytes())?;
            arguments.extend(["--rcfile".into(), settings.into_os_string()]);
        } else {
            environment.set("PS1", format!("({name}) $ "));
        }
        Ok(Shell { program: program.into_os_string(), arguments, environment })
    }
}

fn is_bash(program: &Path) -> bool {
    program.file_name().is_some_and(|name| name == "bash")
}
