//! A new `.plugin` from an installed plugin, with its present name and the overridden values.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Event;
use super::home::MadeAfter;
use super::verify::{Verification, verify};
use crate::artifact::{self, Damage, Description, Packed};
use crate::error::{At, Error, Fault, Problem, Result};
use crate::fs::{self, Staging};
use crate::installed::{Base, InstallState, OWN};
use crate::plugin::Plugin;
use crate::plugin::config::{CONFIG_FILE, Document, NewValue};
use crate::site::Site;
use crate::text;

/// Packs the plugin into `output`. A devlink is refused: its directory is to be released. Without `force` so are a
/// damaged plugin and a file that is there already: it may be the only good one.
pub fn repackage(
    base: &Base,
    name: &str,
    output: &Path,
    force: bool,
    site: &Site,
    on_event: &mut dyn FnMut(Event<'_>),
) -> Result<Packed> {
    let _lock = base.lock(&format!("repackage {name}"), site, on_event)?;
    let installed = base.get(name)?;
    match &installed.state {
        InstallState::Installed(_) => {}
        InstallState::Devlink(target) => {
            return Err(Error::input(format!(
                "the plugin `{}` is a devlink to {}",
                text::visible(name),
                text::path(target)
            ))
            .hint("run `mwp release` in that directory"));
        }
        InstallState::Broken(target) => {
            return Err(Error::input(format!(
                "the plugin `{}` is a link to nothing: {}",
                text::visible(name),
                text::path(target)
            ))
            .hint(format!("remove it with `mwp uninstall {}`", text::visible(name))));
        }
        InstallState::Corrupt(reason) => {
            return Err(Error::input(format!("the plugin `{}` is damaged: {reason}", text::visible(name)))
                .hint("install it again from its .plugin file"));
        }
    }
    if let Verification::Checked { damages, .. } = verify(&installed, site)?
        && !damages.is_empty()
    {
        let damaged = |damage: &Damage| Problem {
            message: format!("{}: {damage}", text::path(&installed.home)),
            hint: None,
        };
        let damages = Error::many(Fault::Input, damages.iter().map(damaged).collect());
        if !force {
            return Err(
                damages.hint("install the plugin again from its file, or pack it as it is with --force")
            );
        }
        on_event(Event::Warning(&damages));
    }
    let plugin = Plugin::load(&installed.home, site)?;
    let staging = Staging::new_in(&base.dir.join(OWN))?;
    let tree = staging.join("plugin");
    let made_after = MadeAfter::of(&installed.home)?;
    copy(&installed.home, &tree, Path::new(""), &made_after)?;
    let config = with_overrides(&installed.home, &plugin, site)?;
    fs::remove_file(&tree.join(CONFIG_FILE))?;
    fs::write_atomic(&tree.join(CONFIG_FILE), config.as_bytes())?;
    fs::set_mode(&tree.join(CONFIG_FILE), 0o644)?;
    let description = Description::of(&plugin);
    let target = description.file_in(output)?;
    if !force && fs::try_exists(&target)? {
        return Err(Error::input(format!("{} is there already", text::path(&target)))
            .hint("write to another directory with --output, or over it with --force"));
    }
    let limits = artifact::Limits::of(site)?;
    let options = artifact::Options {
        limits: &limits,
        format: artifact::Format::Zstd,
        output,
        source_date_epoch: None,
        build_host: &site.host_name(),
        frame_store: None,
        excluded: &|_| false,
    };
    artifact::pack(&tree, &description, &options)
}

/// A copy that shares the content: second names for files, no second bytes.
fn copy(from: &Path, to: &Path, name: &Path, made_after: &MadeAfter) -> Result<()> {
    fs::create_dir_all(&to.join(name))?;
    for path in fs::list(&from.join(name))? {
        let Some(file_name) = path.file_name() else { continue };
        let inside = name.join(file_name);
        if made_after.is_ours(&inside) || file_name == "__pycache__" {
            continue;
        }
        if path.is_symlink() {
            fs::copy_tree(&path, &to.join(&inside))?;
        } else if path.is_dir() {
            copy(from, to, &inside, made_after)?;
            fs::set_mode(&to.join(&inside), path.metadata().at("read", &path)?.permissions().mode())?;
        } else {
            fs::link_or_copy(&path, &to.join(&inside))?;
        }
    }
    Ok(())
}

/// The plugin's `config.ini` with the values of the override files, comments and order kept. A key that the plugin
/// leaves to its default is added at the end of its section.
fn with_overrides(home: &Path, plugin: &Plugin, site: &Site) -> Result<String> {
    let text = fs::read_text(&home.join(CONFIG_FILE))?;
    let (document, _) = Document::parse(&text);
    let mut values: BTreeMap<(String, String), String> = BTreeMap::new();
    for file in site.overrides(&plugin.label) {
        let Some(content) = fs::read_text_optional(&file)? else { continue };
        for section in Document::parse(&content).0.sections {
            // What the plugin does not have is ignored when it runs, too.
            let is_known = document.section(&section.name).is_some() || section.name.starts_with("custom");
            for entry in section.entries.iter().filter(|_| is_known && section.name != "general") {
                values.insert((section.name.clone(), entry.key.clone()), entry.value.clone());
            }
        }
    }
    let (mut replaced, mut added) = (Vec::new(), Vec::new());
    for ((section, key), value) in values {
        let is_there = document.section(&section).is_some_and(|found| found.entry(&key).is_some());
        if is_there {
            replaced.push(NewValue { section, key, value });
        } else {
            added.push(NewValue { section, key, value });
        }
    }
    let text = document.rewrite(&replaced)?;
    Document::parse(&text).0.with_keys(&added)
}
