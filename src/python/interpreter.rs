//! What must be known of a Python interpreter to make a virtualenv for it.

use std::path::PathBuf;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::tools::{self, Tools};

/// A base interpreter (never one of a virtualenv).
#[derive(Debug, Clone, Deserialize)]
pub struct Interpreter {
    /// The real program behind shims and links of virtualenvs.
    pub executable: PathBuf,
    /// `3.11.7`
    pub version: String,
    /// `3.11`
    pub short_version: String,
    /// `cpython-311-x86_64-linux-gnu`: what compiled extensions are made for.
    pub abi: String,
    pub has_pip: bool,
}

const QUESTION: &str = "\
import importlib.util, json, platform, sys, sysconfig
base = getattr(sys, '_base_executable', None) or sys.executable
print(json.dumps({
    'executable': base,
    'version': platform.python_version(),
    'short_version': '%d.%d' % sys.version_info[:2],
    'abi': sysconfig.get_config_var('SOABI') or sys.implementation.cache_tag,
    'has_pip': importlib.util.find_spec('pip') is not None,
}))
";

impl Interpreter {
    /// The `python3` on PATH.
    pub fn find(tools: &Tools<'_>) -> Result<Interpreter> {
        let path = tools.find("python3").ok_or_else(|| tools::missing("python3"))?;
        let answer =
            tools.ask(&path, "interpreter-1", &tools.program(&path).arguments(["-I", "-c", QUESTION]))?;
        serde_json::from_str(&answer).map_err(|error| {
            Error::machine(format!("`{}` did not say what it is: {error}", path.display()))
                .hint("check that this `python3` is a working Python 3 interpreter")
        })
    }
}
