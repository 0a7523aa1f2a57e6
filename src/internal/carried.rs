//! Internal plugins that this program carries: made of its templates, without any tool and without a network.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Map;

use crate::artifact::{self, Description, Format, Limits};
use crate::digest::Digest;
use crate::error::Result;
use crate::fs;
use crate::install::{Event, Installation, Outcome, Runner, install};
use crate::installed::{Base, InstallState};
use crate::plugin::{Module, Plugin, PluginName};
use crate::run::model::{GUESS_FILE_TYPE, SWITCH};
use crate::site::Site;
use crate::template;

/// A file in such a plugin that tells what it was made of. Without it, somebody else has made the plugin.
const MARK: &str = ".internal_plugin";
/// Neither needs a package: what they import stands behind their environment.
const SOURCES: &str = "python3_virtualenv_sources";

const ANSWERS: [(&str, &str); 5] = [
    ("license", "BSD"),
    ("maintainer", "mwp"),
    ("one_line_summary", "an internal plugin of mfdata"),
    ("url", "https://github.com/metwork-framework"),
    ("vendor", "mwp"),
];

pub(super) fn is_carried(name: &str) -> bool {
    [GUESS_FILE_TYPE, SWITCH].contains(&name)
}

/// Installs the plugin where it is absent, and replaces one of ours that was made of something else.
pub(super) fn bring(
    name: &str,
    base: &Base,
    site: &Site,
    runner: &dyn Runner,
    on_event: &mut dyn FnMut(Event<'_>),
) -> Result<Outcome> {
    let mark = mark()?;
    let name = PluginName::parse(name)?;
    let outcome = match base.get(name.as_str()) {
        Err(_) => Outcome::Installed,
        Ok(installed) => match installed.state {
            InstallState::Devlink(_) => return Ok(Outcome::Devlinked),
            InstallState::Broken(_) => return Ok(Outcome::Unchanged),
            InstallState::Installed(_) | InstallState::Corrupt(_) => {
                match fs::read_optional(&installed.home.join(MARK))? {
                    Some(present) if present != mark.as_bytes() => Outcome::Replaced,
                    _ => return Ok(Outcome::Unchanged),
                }
            }
        },
    };
    let scratch = site.runtime_home(&Module::Mfdata).join("tmp");
    fs::create_own_dir_all(&scratch)?;
    // What a killed one left there.
    fs::sweep(&scratch);
    let staging = fs::Staging::claimed_in(&scratch)?;
    let file = make(&name, &mark, staging.path(), site)?;
    let installation = Installation {
        file: &file,
        new_name: None,
        replace: true,
        must_be_installed: false,
        plugins_base: Some(&base.dir),
        allow_external_links: false,
        limits: &[],
        runner,
    };
    install(&installation, site, on_event)?;
    Ok(outcome)
}

/// What such a plugin is made of.
fn mark() -> Result<String> {
    let made_of = (template::digest_of_carried(&Module::Mfdata)?, env!("CARGO_PKG_VERSION"));
    Ok(format!("{}\n", Digest::of_value(&made_of)?))
}

/// The `.plugin` file, in the directory `dir`.
fn make(name: &PluginName, mark: &str, dir: &Path, site: &Site) -> Result<PathBuf> {
    let template = template::carried(name.as_str(), &Module::Mfdata)?;
    let answers = ANSWERS.map(|(question, answer)| (question.to_owned(), answer.to_owned()));
    let request = template::Request {
        template: &template,
        module: &Module::Mfdata,
        name,
        parent: dir,
        answers: BTreeMap::from(answers),
        defaults: Map::new(),
    };
    let home = template::create(&request, site, &mut |question| Ok(question.default.clone()))?;
    fs::remove_tree(&home.join(SOURCES))?;
    fs::write_atomic(&home.join(MARK), mark.as_bytes())?;
    let plugin = Plugin::load(&home, site)?;
    let options = artifact::Options {
        format: Format::Zstd,
        output: dir,
        // The same bytes wherever it is made.
        source_date_epoch: Some(0),
        build_host: "",
        frame_store: None,
        limits: &Limits::of(site)?,
        excluded: &|_| false,
    };
    Ok(artifact::pack(&home, &Description::of(&plugin), &options)?.file)
}
