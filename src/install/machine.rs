//! Whether a plugin fits this machine: its module, and the wheels that it brings.

use std::path::Path;

use crate::error::{Error, Result};
use crate::fs;
use crate::plugin::Label;
use crate::python::{Interpreter, Lock, Needs, Pin, Wheel};
use crate::site::Site;
use crate::text;
use crate::tools::Tools;

pub(super) const SOURCES: &str = "python3_virtualenv_sources";
pub(super) const LOCK: &str = "python3_virtualenv_sources/requirements3.txt";

/// A module's environment takes plugins of that module.
pub(super) fn check_module(label: &Label, file: &Path, site: &Site) -> Result<()> {
    match &site.module {
        Some(module) if *module != label.module => Err(Error::input(format!(
            "{} is a plugin of {}, and this is the environment of {module}",
            text::path(file),
            label.module
        ))
        .hint(format!("install it as the user of {}", label.module))),
        _ => Ok(()),
    }
}

/// The wheels that the plugin's virtualenv is made of, `None` where it has none.
pub(super) struct Wheels {
    pub(super) interpreter: Interpreter,
    pub(super) wheels: Vec<Wheel>,
    pub(super) lock: String,
}

/// Finds the wheels in the plugin's tree and checks that there is one for each pin, and that they fit the machine's
/// python3.
pub(super) fn wheels(tree: &Path, file: &Path, site: &Site) -> Result<Option<Wheels>> {
    let Some(lock) = fs::read_text_optional(&tree.join(LOCK))? else { return Ok(None) };
    let pins: Vec<Pin> = Lock::parse(&lock).requirements.lines.iter().filter_map(Pin::of).collect();
    let wheels = Wheel::in_dir(&tree.join(SOURCES).join("src"))?;
    if wheels.is_empty() && pins.is_empty() {
        return Ok(None);
    }
    let interpreter = Interpreter::find(&Tools::new(site, tree))?;
    for pin in &pins {
        if !wheels.iter().any(|wheel| wheel.name == pin.name && wheel.is_version(&pin.version)) {
            return Err(Error::input(format!(
                "{}: the lock pins `{}=={}`, and no wheel of it is inside",
                text::path(file),
                pin.name,
                pin.version
            ))
            .hint("make the release again with `mwp release`"));
        }
    }
    for wheel in &wheels {
        interpreter.accepts(wheel).map_err(|reason| {
            let name = wheel.path.file_name().unwrap_or_default().as_encoded_bytes();
            Error::input(format!("{}: `{}` {reason}", text::path(file), text::visible_bytes(name)))
                .hint(format!(
                    "the release needs {}; make it with the python3 and on the kind of machine that it is for",
                    text::visible(&Needs::of(&wheels).to_string())
                ))
        })?;
    }
    Ok(Some(Wheels { interpreter, wheels, lock }))
}
