//! `plugins.*` and `bootstrap_plugin.py`: upstream's options and exit codes over the commands of `mwp`.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::Parser;

use super::plugin::mwp;
use super::with;
use crate::cli::Context;
use crate::cli::exec::BaseOption;
use crate::env::enclosing_plugin;
use crate::error::Error;
use crate::exit;
use crate::installed::Bases;
use crate::plugin::PluginName;

/// What upstream's commands exit with where `mwp` says that the plugin, the command line or the machine is at
/// fault.
struct Codes {
    input: u8,
    usage: u8,
    machine: u8,
}

impl Codes {
    fn of(&self, code: u8) -> u8 {
        match code {
            exit::INPUT => self.input,
            exit::USAGE => self.usage,
            exit::MACHINE => self.machine,
            other => other,
        }
    }
}

/// A bad file, or one that is installed already: 1. Whatever else fails: 2.
const INSTALL: Codes = Codes { input: 1, usage: 2, machine: 2 };
/// A bad name for `--new-name`.
const BAD_NEW_NAME: u8 = 3;
/// Not installed: 1. Whatever else fails: 2.
const UNINSTALL: Codes = Codes { input: 1, usage: 2, machine: 2 };
/// Whatever fails but what follows: 2.
const DEVELOP: Codes = Codes { input: 2, usage: 2, machine: 2 };
const ALREADY_INSTALLED: u8 = 3;
/// Whatever fails: 1, since a wrong command line is refused before.
const OTHERS: Codes = Codes { input: 1, usage: 1, machine: 1 };

/// A command line for `mwp`, built up.
struct Words(Vec<OsString>);

impl Words {
    fn new(command: &str) -> Words {
        Words(vec![command.into()])
    }

    fn flag(mut self, flag: &str, is_given: bool) -> Words {
        if is_given {
            self.0.push(flag.into());
        }
        self
    }

    fn option(mut self, option: &str, value: Option<&OsStr>) -> Words {
        if let Some(value) = value {
            self.0.push(option.into());
            self.0.push(value.to_owned());
        }
        self
    }

    fn base(self, base: &BaseOption) -> Words {
        self.option("--plugins-base-dir", base.plugins_base_dir.as_deref().map(Path::as_os_str))
    }

    /// What may look like an option and is none.
    fn operand(mut self, operand: &OsStr) -> Words {
        self.0.push("--".into());
        self.0.push(operand.to_owned());
        self
    }

    fn run(&self, codes: &Codes, context: &Context) -> u8 {
        codes.of(mwp(&self.0, context))
    }
}

/// Says that the command is not for the inside of a plugin environment.
fn is_refused_inside(context: &Context) -> bool {
    let is_inside = enclosing_plugin(&context.site.environment).is_some();
    if is_inside {
        let error = Error::input("plugins are neither installed nor removed inside a plugin environment");
        context.output.error(&error.hint("leave it with `exit` first"));
    }
    is_inside
}

/// Install a plugin file
#[derive(Debug, Parser)]
#[command(name = "plugins.install", version, infer_long_args = true)]
struct Install {
    /// Replace an installed plugin
    #[arg(long)]
    force: bool,
    /// Install under another name
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    new_name: Option<String>,
    #[command(flatten)]
    base: BaseOption,
    /// The plugin file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn install(words: &[OsString], context: &Context) -> u8 {
    with(words, exit::USAGE, context, |arguments: Install| {
        if is_refused_inside(context) {
            return INSTALL.input;
        }
        if let Some(Err(error)) = arguments.new_name.as_deref().map(PluginName::parse) {
            context.output.error(&error);
            return BAD_NEW_NAME;
        }
        // A file that is not there is a bad one, not a failure of the machine.
        let codes = if arguments.file.is_file() { INSTALL } else { OTHERS };
        let words = Words::new("install").flag("--force", arguments.force).base(&arguments.base);
        let words = words.option("--new-name", arguments.new_name.as_deref().map(OsStr::new));
        words.operand(arguments.file.as_os_str()).run(&codes, context)
    })
}

/// Uninstall a plugin
#[derive(Debug, Parser)]
#[command(name = "plugins.uninstall", version, infer_long_args = true)]
struct Uninstall {
    /// Remove the plugin's override file, too
    #[arg(long)]
    clean: bool,
    #[command(flatten)]
    base: BaseOption,
    /// The plugin's name
    name: OsString,
}

pub(super) fn uninstall(words: &[OsString], context: &Context) -> u8 {
    with(words, exit::USAGE, context, |arguments: Uninstall| {
        if is_refused_inside(context) {
            return UNINSTALL.input;
        }
        let words = Words::new("uninstall").flag("--clean", arguments.clean).base(&arguments.base);
        words.operand(&arguments.name).run(&UNINSTALL, context)
    })
}

/// Put a plugin into service from a development directory
#[derive(Debug, Parser)]
#[command(name = "plugins.develop", version, infer_long_args = true)]
struct Develop {
    /// The plugin's directory
    #[arg(long, value_name = "DIR", default_value = ".")]
    plugin_path: PathBuf,
    /// Be content where it is in service already
    #[arg(long)]
    ignore_already_installed: bool,
    #[command(flatten)]
    base: BaseOption,
    /// The plugin's name
    name: OsString,
}

pub(super) fn develop(words: &[OsString], context: &Context) -> u8 {
    with(words, exit::USAGE, context, |arguments: Develop| {
        let bases = Bases::new(arguments.base.plugins_base_dir.as_deref(), &context.site);
        let installed = bases.and_then(|bases| bases.find(&arguments.name)).ok();
        if let Some(installed) = installed.filter(|found| found.base.is_some()) {
            if arguments.ignore_already_installed && installed.dir.is_symlink() {
                context.output.warning("the plugin is in service from a development directory already");
                return exit::DONE;
            }
            context.output.error(&Error::input("the plugin is installed already"));
            return ALREADY_INSTALLED;
        }
        let directory = Some(arguments.plugin_path.as_os_str());
        Words::new("develop")
            .flag("--no-build", true)
            .option("-C", directory)
            .base(&arguments.base)
            .run(&DEVELOP, context)
    })
}

/// List the installed plugins
#[derive(Debug, Parser)]
#[command(name = "plugins.list", version, infer_long_args = true)]
struct List {
    /// `name~~~version~~~release~~~home` per line
    #[arg(long)]
    raw: bool,
    /// A list of objects with `name`, `version`, `release` and `home`
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    base: BaseOption,
}

pub(super) fn list(words: &[OsString], context: &Context) -> u8 {
    with(words, exit::USAGE, context, |arguments: List| {
        if arguments.raw && arguments.json {
            context.output.error(&Error::usage("`--raw` and `--json` exclude each other"));
            return OTHERS.input;
        }
        let words = Words::new("list").flag("--raw", arguments.raw).flag("--json", arguments.json);
        words.base(&arguments.base).run(&OTHERS, context)
    })
}

/// Show what is known of a plugin
#[derive(Debug, Parser)]
#[command(name = "plugins.info", version, infer_long_args = true)]
struct Info {
    /// Print where it is installed and nothing else
    #[arg(long)]
    just_home: bool,
    #[command(flatten)]
    base: BaseOption,
    /// An installed plugin, or a plugin file
    #[arg(value_name = "NAME_OR_FILE")]
    plugin: OsString,
}

pub(super) fn info(words: &[OsString], context: &Context) -> u8 {
    with(words, exit::USAGE, context, |arguments: Info| {
        let words = Words::new("info").flag("--just-home", arguments.just_home).flag("--upstream", true);
        let words = words.base(&arguments.base);
        words.operand(&arguments.plugin).run(&OTHERS, context)
    })
}

/// Print the hash of a plugin
#[derive(Debug, Parser)]
#[command(name = "plugins.hash", version)]
struct Hash {
    /// An installed plugin, or a plugin file
    #[arg(value_name = "NAME_OR_FILE")]
    plugin: OsString,
}

pub(super) fn hash(words: &[OsString], context: &Context) -> u8 {
    with(words, exit::USAGE, context, |arguments: Hash| {
        Words::new("hash").operand(&arguments.plugin).run(&OTHERS, context)
    })
}

/// Check a plugin's directory
#[derive(Debug, Parser)]
#[command(name = "plugins.check", version, infer_long_args = true)]
struct Check {
    /// Accepted and ignored: every problem is shown anyway
    #[arg(long)]
    debug: bool,
    #[command(flatten)]
    base: BaseOption,
    /// The plugin's directory
    #[arg(value_name = "PLUGIN_PATH", default_value = ".")]
    path: PathBuf,
}

pub(super) fn check(words: &[OsString], context: &Context) -> u8 {
    with(words, exit::USAGE, context, |arguments: Check| {
        Words::new("check").option("-C", Some(arguments.path.as_os_str())).run(&OTHERS, context)
    })
}

/// Make a plugin file of a plugin's directory
#[derive(Debug, Parser)]
#[command(name = "plugins.make", version, infer_long_args = true)]
struct Make {
    /// The plugin's directory
    #[arg(long, value_name = "DIR", default_value = ".")]
    plugin_path: PathBuf,
    /// Accepted and ignored: the file's path is always shown
    #[arg(long)]
    show_plugin_path: bool,
    /// Accepted and ignored
    #[arg(long)]
    debug: bool,
}

pub(super) fn make(words: &[OsString], context: &Context) -> u8 {
    with(words, exit::USAGE, context, |arguments: Make| {
        Words::new("pack").option("-C", Some(arguments.plugin_path.as_os_str())).run(&OTHERS, context)
    })
}

/// Make a plugin file of an installed plugin
#[derive(Debug, Parser)]
#[command(name = "plugins.repackage", version, infer_long_args = true)]
struct Repackage {
    #[command(flatten)]
    base: BaseOption,
    /// Accepted and ignored
    #[arg(long)]
    debug: bool,
    /// The plugin's name
    name: OsString,
}

pub(super) fn repackage(words: &[OsString], context: &Context) -> u8 {
    with(words, exit::USAGE, context, |arguments: Repackage| {
        if is_refused_inside(context) {
            return OTHERS.input;
        }
        let words = Words::new("repackage").flag("--force", true).base(&arguments.base);
        words.operand(&arguments.name).run(&OTHERS, context)
    })
}

/// Replace an installed plugin without losing a request
#[derive(Debug, Parser)]
#[command(name = "plugins.hotswap", version, infer_long_args = true)]
struct Hotswap {
    #[command(flatten)]
    base: BaseOption,
    /// The plugin file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn hotswap(words: &[OsString], context: &Context) -> u8 {
    with(words, exit::USAGE, context, |arguments: Hotswap| {
        if is_refused_inside(context) {
            return OTHERS.input;
        }
        Words::new("hotswap").base(&arguments.base).operand(arguments.file.as_os_str()).run(&OTHERS, context)
    })
}

/// Say whether a name may be that of a plugin
#[derive(Debug, Parser)]
#[command(name = "plugins.validate_name", version)]
struct ValidateName {
    /// The name
    #[arg(allow_hyphen_values = true)]
    name: String,
}

pub(super) fn validate_name(words: &[OsString], context: &Context) -> u8 {
    with(words, exit::USAGE, context, |arguments: ValidateName| match PluginName::parse(&arguments.name) {
        Ok(_) => {
            context.output.line("OK");
            exit::DONE
        }
        Err(error) => {
            context.output.line(&format!("ERROR: {error}"));
            exit::INPUT
        }
    })
}

/// As `mwp bootstrap`.
pub(super) fn bootstrap(words: &[OsString], context: &Context) -> u8 {
    let given = words.iter().skip(1).cloned();
    let words: Vec<OsString> = std::iter::once("bootstrap".into()).chain(given).collect();
    OTHERS.of(mwp(&words, context))
}

/// Put the cron jobs of the module's plugins into the user's crontab
#[derive(Debug, Parser)]
#[command(name = "_make_and_install_crontab.sh", version)]
struct InstallCrontab {}

pub(super) fn install_crontab(words: &[OsString], context: &Context) -> u8 {
    with(words, exit::USAGE, context, |_: InstallCrontab| {
        OTHERS.of(mwp(&["cron".into(), "sync".into()], context))
    })
}
