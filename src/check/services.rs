//! What a plugin wants to have running: whether it can, and whether it does.

use super::Findings;
use crate::plugin::config::Section;
use crate::plugin::{ConfigProblem, Plugin};
use crate::run::{CommandLine, Service, ServiceKind, check_socket};
use crate::shims;
use crate::site::{Environment, Site};
use crate::text;

const COMMAND: &str = "_cmd_and_args";

pub(super) fn check(plugin: &Plugin, environment: &Environment, site: &Site) -> Findings {
    let mut findings = Findings::default();
    for (section, kind, service) in Service::sections(plugin, site) {
        if kind == ServiceKind::App && plugin.label.module.has_nginx() {
            findings.warnings.extend(missing_directory(plugin, section));
        }
        match service {
            None if kind == ServiceKind::App && plugin.label.module.has_nginx() => {}
            None => findings.warnings.push(no_command(section)),
            Some(Err(error)) => {
                findings.problems.extend(ConfigProblem::of_error(&section.origin.file, error));
            }
            Some(Ok(service)) => {
                findings.warnings.extend(none_running(section, &service));
                findings.warnings.extend(missing_program(plugin, section, &service, environment));
                findings.warnings.extend(long_socket(plugin, section, &service, site));
            }
        }
        placeholders(section, &mut findings);
    }
    findings
}

/// nginx takes an app's static files from there, and most commands their code.
fn missing_directory(plugin: &Plugin, section: &Section) -> Option<ConfigProblem> {
    let name = section.instance.as_deref()?;
    if plugin.dir.join(name).is_dir() {
        return None;
    }
    let reason = format!("the plugin has no directory `{name}` for this app");
    let hint = format!("make `{name}/`, or rename the section");
    Some(ConfigProblem::at(&section.origin, &section.name, None, &reason).hint(hint))
}

fn no_command(section: &Section) -> ConfigProblem {
    let reason = format!("there is no `{COMMAND}`: nothing runs");
    let hint = format!("write `{COMMAND}=PROGRAM ARGUMENTS`, or remove the section");
    ConfigProblem::at(&section.origin, &section.name, None, &reason).hint(hint)
}

fn none_running(section: &Section, service: &Service) -> Option<ConfigProblem> {
    if service.workers > 0 {
        return None;
    }
    let key = "numprocesses";
    let given = section.entry(key).and_then(|entry| entry.origin.as_ref());
    let hint = "write `numprocesses=1` or more; an override of the machine can do so, too";
    let reason = "`numprocesses` is 0: none of its processes runs";
    Some(match given {
        Some(origin) => ConfigProblem::at(origin, &section.name, Some(key), reason).hint(hint),
        None => ConfigProblem::at(&section.origin, &section.name, None, reason).hint(hint),
    })
}

fn missing_program(
    plugin: &Plugin,
    section: &Section,
    service: &Service,
    environment: &Environment,
) -> Option<ConfigProblem> {
    let program = service.command.program();
    let origin = section.entry(COMMAND)?.origin.as_ref()?;
    // A relative path is one from the plugin's home.
    let home = std::path::absolute(&plugin.dir).unwrap_or_else(|_| plugin.dir.clone());
    if which::which_in(program, environment.get("PATH"), &home).is_ok() || shims::stands_for(program) {
        return None;
    }
    // A build may bring it.
    let lacks = |source: &str, made: &str| home.join(source).exists() && !home.join(made).exists();
    if !program.contains('/')
        && (lacks("python3_virtualenv_sources", "local") || lacks("package.json", "node_modules"))
    {
        return None;
    }
    let shown = text::visible(program);
    let reason = format!("the program `{shown}` is not on this machine, or may not be run");
    let hint = "install it, or correct the command";
    Some(ConfigProblem::at(origin, &section.name, Some(COMMAND), &reason).hint(hint))
}

/// The path of a socket has to fit into what the kernel takes; it is this machine's runtime home that counts, too.
fn long_socket(plugin: &Plugin, section: &Section, service: &Service, site: &Site) -> Vec<ConfigProblem> {
    if !service.listens() || service.workers == 0 {
        return Vec::new();
    }
    let var = site.runtime_home(&plugin.label.module).join("var");
    let checked = check_socket(&service.socket(service.workers, &var));
    checked.err().map(|error| ConfigProblem::of_error(&section.origin.file, error)).unwrap_or_default()
}

/// What is in braces and no placeholder is handed to the command as it stands, which may be what is meant.
fn placeholders(section: &Section, findings: &mut Findings) {
    let Some(entry) = section.entry(COMMAND) else { return };
    let Some(origin) = &entry.origin else { return };
    let written = entry.value.as_text();
    for (before, word) in CommandLine::unknown_placeholders(written) {
        if !word.contains('_') {
            continue;
        }
        let mut origin = origin.clone();
        // Further lines of a value are indented, who knows how far.
        if !written.chars().take(before).any(|character| character == '\n') {
            origin.column += before;
        }
        let reason = format!("`{word}` is no placeholder: it is handed over as it stands");
        let warning = ConfigProblem::at(&origin, &section.name, Some(COMMAND), &reason);
        findings.warnings.push(warning.hint("write `{plugin_dir}`, `{app_name}`, `{unix_socket_path}`, …"));
    }
}
