//! `circus.ini`: the processes of a module as watchers, for a circusd beside an existing MetWork.
//!
//! A worker's command and environment are those that the installed plugin has when it starts, in the environment that
//! circusd has. What circus would read as something else than it is – it knows no escape for most – is refused.

use std::path::Path;

use ini::{EscapePolicy, Ini, LineSeparator, WriteOption};

use super::{Front, OurFiles, Roster, Target, Written, utf8};
use crate::env::quoted;
use crate::error::{At, Error, Problem, Result};
use crate::run::control::too_long;
use crate::run::{LogSettings, Service};
use crate::text;

const PREAMBLE: &str = "\
# Written anew each time: changes are lost here.
# Use `circusctl restart`, not `reload`, but for nginx: reloaded workers would listen where nginx does not look.
";

/// Seconds until a worker that ended is started again, at most.
const CHECK_DELAY: &str = "1";
const QUIT: i32 = 3;
/// What a unix socket's path may have.
const LONGEST_SOCKET: usize = 107;

/// The variables that have a say in where things are: here they are as they were for whoever wrote the file.
const VARIABLES: [&str; 5] = [
    "LAYERAPI2_LAYERS_PATH",
    "MFCONFIG",
    "MFMODULE_PLUGINS_BASE_DIR",
    "MFMODULE_RUNTIME_HOME",
    "MWP_ETC_DIR",
];

/// What was written.
#[derive(Debug, Clone)]
pub struct Watchers {
    pub files: Written,
    /// For `circusctl --endpoint`.
    pub endpoint: String,
    /// What circus cannot do as it was asked to.
    pub warnings: Vec<Problem>,
}

/// Writes the file, and beside the module's other files what it refers to.
pub fn write(roster: &Roster, file: &Path) -> Result<Watchers> {
    roster.make_ready()?;
    let socket = roster.var().join("circus.socket");
    if socket.as_os_str().len() + "_pubsub".len() > LONGEST_SOCKET {
        return Err(too_long(&socket));
    }
    let endpoint = format!("ipc://{}", value(utf8(&socket)?)?);
    let mut ini = Ini::new();
    let log = roster.log();
    let log = utf8(&log)?;
    ini.with_section(Some("circus"))
        .set("check_delay", CHECK_DELAY)
        .set("endpoint", endpoint.as_str())
        .set("pubsub_endpoint", format!("{endpoint}_pubsub"))
        // It would find other circusds by multicast otherwise.
        .set("multicast_endpoint", "")
        .set("logoutput", value(&format!("{log}/circus.log"))?);
    let mut warnings = Vec::new();
    for service in &roster.services {
        watch(&mut ini, service, roster)?;
        if service.split_workers {
            warnings.push(Problem {
                message: format!("{}: circus has no log for each worker; they share one", service.id),
                hint: None,
            });
        }
    }
    if let Some(front) = &roster.nginx {
        watch_nginx(&mut ini, front, roster)?;
    }
    let mut text = PREAMBLE.as_bytes().to_vec();
    for warning in &warnings {
        text.extend(format!("# {}\n", warning.message).into_bytes());
    }
    text.push(b'\n');
    let options = WriteOption {
        escape_policy: EscapePolicy::Nothing,
        line_separator: LineSeparator::CR,
        kv_separator: " = ",
    };
    ini.write_to_opt(&mut text, options).at("write", file)?;
    text.push(b'\n');
    let text = String::from_utf8(text).map_err(|error| Error::machine(error.to_string()))?;
    let first_line = format!("# mwp circus: {}", roster.module);
    let target = Target { path: file.to_owned(), text, mode: 0o666 };
    let files = OurFiles { first_line: &first_line }.write(&[target])?;
    Ok(Watchers { files, endpoint, warnings })
}

fn watch(ini: &mut Ini, service: &Service, roster: &Roster) -> Result<()> {
    let name = service.id.file_stem();
    // circus cannot put two streams into one file that is rotated; the worker can.
    let options: &[&str] = if service.split_streams { &[] } else { &["--one-stream"] };
    let words = roster.launcher(service, options)?;
    let section = format!("watcher:{name}");
    let mut set = |key: &str, value: &dyn std::fmt::Display| {
        ini.with_section(Some(section.as_str())).set(key, value.to_string());
    };
    set("cmd", &word(&words[0])?);
    let arguments = words[1..].iter().map(|text| word(text)).collect::<Result<Vec<_>>>()?;
    set("args", &format!("{} $(circus.wid)", arguments.join(" ")));
    set("numprocesses", &service.workers);
    if service.workers == 1 {
        set("singleton", &"True");
    }
    set("working_dir", &value(utf8(&service.home)?)?);
    set("copy_env", &"True");
    set("stop_signal", &service.stop.signal);
    set("graceful_timeout", &service.longest_stop().as_secs());
    if let Some(age) = service.max_age {
        set("max_age", &age.as_secs());
        set("max_age_variance", &age.as_secs());
    }
    let limits = [
        ("rlimit_as", service.limits.address_space),
        ("rlimit_nofile", service.limits.open_files),
        ("rlimit_stack", service.limits.stack),
        ("rlimit_fsize", service.limits.file_size),
    ];
    for (key, limit) in limits {
        if let Some(limit) = limit {
            set(key, &limit);
        }
    }
    let shared = Service { split_workers: false, ..service.clone() };
    let [out, err] = shared.log_names("");
    stream(&mut set, "stdout", &roster.log().join(out), &roster.settings.log)?;
    if service.split_streams {
        stream(&mut set, "stderr", &roster.log().join(err), &roster.settings.log)?;
    }
    environment(ini, &name, roster)
}

fn watch_nginx(ini: &mut Ini, front: &Front, roster: &Roster) -> Result<()> {
    let mut set = |key: &str, value: &dyn std::fmt::Display| {
        ini.with_section(Some("watcher:nginx")).set(key, value.to_string());
    };
    set("cmd", &word(&front.words[0])?);
    let arguments = front.words[1..].iter().map(|text| word(text)).collect::<Result<Vec<_>>>()?;
    set("args", &arguments.join(" "));
    set("singleton", &"True");
    set("working_dir", &value(utf8(&roster.home)?)?);
    set("copy_env", &"True");
    set("send_hup", &"True");
    set("stop_signal", &QUIT);
    set("graceful_timeout", &roster.settings.nginx.timeout);
    // It has logs of its own; this is for what it says before it has opened them.
    stream(&mut set, "stderr", &roster.log().join("nginx.log"), &roster.settings.log)?;
    environment(ini, "nginx", roster)
}

fn stream(
    set: &mut impl FnMut(&str, &dyn std::fmt::Display),
    name: &str,
    file: &Path,
    settings: &LogSettings,
) -> Result<()> {
    set(&format!("{name}_stream.class"), &"FileStream");
    set(&format!("{name}_stream.filename"), &value(utf8(file)?)?);
    set(&format!("{name}_stream.max_bytes"), &settings.max_size_before_rotation);
    set(&format!("{name}_stream.backup_count"), &settings.retention.max(1));
    Ok(())
}

fn environment(ini: &mut Ini, watcher: &str, roster: &Roster) -> Result<()> {
    for name in VARIABLES {
        let Some(given) = roster.environment.text(name) else { continue };
        let has_variable =
            given.split('$').skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()));
        if has_variable {
            return Err(cannot_say(given));
        }
        ini.with_section(Some(format!("env:{watcher}"))).set(name, value(given)?);
    }
    Ok(())
}

/// A value as it is: circus takes what is behind ` ;` for a comment, knows no escape, and fills in variables.
fn value(given: &str) -> Result<&str> {
    let has_comment = given.contains(" ;") || given.contains("\t;");
    let has_variable = given.contains("$(") || given.contains("((");
    if has_comment || has_variable || given.contains(char::is_control) || given.trim() != given {
        return Err(cannot_say(given));
    }
    Ok(given)
}

/// A word of a command, which circus splits as a shell does: there, quotes keep apart what would be special together.
fn word(given: &str) -> Result<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if !given.is_empty() && given.chars().all(is_plain) {
        return Ok(given.to_owned());
    }
    if given.contains(char::is_control) {
        return Err(cannot_say(given));
    }
    let quoted = quoted(given.as_ref()).to_string_lossy().into_owned();
    Ok(quoted.replace(';', "'';").replace('(', "''(").replace('$', "$''"))
}

fn cannot_say(given: &str) -> Error {
    Error::input(format!(
        "`{}` cannot be written into circus.ini; control characters, ` ;`, `((` and `$` before a capital or `(` are \
         not allowed",
        text::visible(given)
    ))
    .hint("move it to another path")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_hold_nothing_that_circus_fills_in_or_takes_for_a_comment() {
        assert_eq!(word("/usr/bin/mwp").unwrap(), "/usr/bin/mwp");
        for given in ["", "a b", "a ;b", "$(circus.wid)", "((circus.wid))", "it's $WID", "50% \"x\" \\n"] {
            let word = word(given).unwrap();
            for special in [" ;", "$(", "((", "$WID"] {
                assert!(!word.contains(special), "{word}");
            }
            assert_eq!(shlex::split(&word).unwrap(), [given]);
        }
        assert!(word("a\nb").is_err());
    }

    #[test]
    fn values_that_cannot_be_said_are_refused() {
        assert_eq!(value("/a b/50%;x").unwrap(), "/a b/50%;x");
        for bad in ["/a ;b", "/$(circus.wid)", "/((circus.wid))", "/a\n", "/a "] {
            assert!(value(bad).is_err(), "{bad}");
        }
    }
}
