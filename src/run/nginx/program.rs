//! The nginx of this machine: where it is, what it can do, whether it takes a configuration.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use super::lua;
use crate::error::{Error, Result};
use crate::process::{Finished, Program};
use crate::site::{Environment, Site};
use crate::text;
use crate::tools;

/// Where builds of nginx put themselves that is not on everybody's PATH.
const OPENRESTY: [&str; 2] = ["/usr/local/openresty/nginx/sbin/nginx", "/opt/openresty/nginx/sbin/nginx"];
const NGINX: [&str; 4] =
    ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/local/nginx/sbin/nginx", "/opt/nginx/sbin/nginx"];

/// Asking for the version takes milliseconds, checking a configuration a little longer; names that a plugin's
/// fragment has nginx look up in the DNS may take any time.
const VERSION_LIMIT: Duration = Duration::from_secs(10);
const TEST_LIMIT: Duration = Duration::from_secs(30);

/// The first nginx that logs where it is told to before it has read its configuration.
const LOG_OPTION_SINCE: [u32; 3] = [1, 19, 5];

/// nginx or openresty of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nginx {
    pub program: PathBuf,
    /// As it says itself: `nginx/1.22.1`.
    pub version: String,
    has_log_option: bool,
    /// What `-V` says of its build.
    build: String,
    /// What it loads for Lua, once it was asked.
    lua: OnceLock<Option<Vec<PathBuf>>>,
}

impl Nginx {
    /// openresty where there is one, else nginx: on PATH, in a loaded MetWork, or where their packages put them.
    pub fn find(site: &Site) -> Result<Nginx> {
        let path = site.environment.get("PATH");
        let on_path = |name: &str| which::which_in(name, path, &site.home).ok();
        let first = |paths: &[&str]| paths.iter().map(PathBuf::from).find(|path| path.is_file());
        let metwork =
            site.environment.path("MFEXT_HOME").map(|home| home.join("opt/openresty/nginx/sbin/nginx"));
        let program = metwork
            .filter(|path| path.is_file())
            .or_else(|| on_path("openresty"))
            .or_else(|| first(&OPENRESTY))
            .or_else(|| on_path("nginx"))
            .or_else(|| first(&NGINX))
            .ok_or_else(|| tools::missing("nginx"))?;
        Nginx::at(program, &site.environment)
    }

    fn at(program: PathBuf, environment: &Environment) -> Result<Nginx> {
        let question = Program::new(&program, Path::new("/"), environment).argument("-V");
        let answer = question.run_within(VERSION_LIMIT)?.filter(Finished::succeeded);
        let build = answer.map(|finished| finished.output).unwrap_or_default();
        let version = build.lines().find_map(|line| line.split_once("version: "));
        let Some((_, version)) = version else {
            return Err(Error::machine(format!("{} does not say which nginx it is", text::path(&program)))
                .hint("`nginx -V` has to work; put another nginx in front of it on PATH"));
        };
        let version = version.split_whitespace().next().unwrap_or_default().to_owned();
        Ok(Nginx {
            has_log_option: is_since(&version, LOG_OPTION_SINCE),
            program,
            version,
            build,
            lua: OnceLock::new(),
        })
    }

    /// The modules that it has to load for Lua, none where it is built in; `None` where it runs none.
    pub(super) fn lua(&self, site: &Site) -> Option<&[PathBuf]> {
        self.lua.get_or_init(|| lua::modules(self, site)).as_deref()
    }

    /// Whether Lua is in it, or beside it, without asking whether that fits.
    pub fn may_run_lua(&self) -> bool {
        let beside = self.modules_dir().map(|dir| dir.join("ngx_http_lua_module.so"));
        self.build.contains("lua") || beside.is_some_and(|module| module.is_file())
    }

    /// Where modules are that can be loaded.
    pub(super) fn modules_dir(&self) -> Option<PathBuf> {
        let option = |name: &str| {
            let (_, rest) = self.build.split_once(name)?;
            rest.split_whitespace().next().map(|path| PathBuf::from(path.trim_matches('\'')))
        };
        option("--modules-path=").or_else(|| Some(option("--prefix=")?.join("modules")))
    }

    /// Whether it is of this version, or a later one; openresty counts as the nginx that it is made of.
    pub(super) fn is_since(&self, version: [u32; 3]) -> bool {
        is_since(&self.version, version)
    }

    /// Whether a module is in this build that nginx has by default.
    pub(super) fn has_default_module(&self, name: &str) -> bool {
        !self.build.contains(&format!("--without-{name}"))
    }

    /// Whether a module is in this build that nginx has on request only.
    pub(super) fn has_extra_module(&self, name: &str) -> bool {
        self.build.contains(&format!("--with-{name}"))
    }

    /// The arguments of a master process in the foreground. Paths in the configuration are relative to `prefix`.
    pub fn arguments(&self, conf: &Path, prefix: &Path) -> Vec<OsString> {
        let mut arguments = self.common(conf, prefix, "log/nginx_error.log");
        arguments.extend(["-g", "daemon off;"].map(OsString::from));
        arguments
    }

    fn common(&self, conf: &Path, prefix: &Path, early_log: &str) -> Vec<OsString> {
        let mut arguments = vec![OsString::from("-p"), prefix.into(), OsString::from("-c"), conf.into()];
        if self.has_log_option {
            arguments.extend(["-e", early_log].map(OsString::from));
        }
        arguments
    }

    /// Whether nginx would run with this configuration; if not, why. It opens the logs and tries the ports, as a start
    /// does, and leaves a running nginx alone.
    pub fn test(&self, conf: &Path, prefix: &Path, environment: &Environment) -> Result<(), String> {
        self.run_test(conf, prefix, environment).map_err(|refusal| refusal.to_string())
    }

    pub(super) fn run_test(
        &self,
        conf: &Path,
        prefix: &Path,
        environment: &Environment,
    ) -> Result<(), Refusal> {
        let mut arguments = self.common(conf, prefix, "stderr");
        arguments.extend(["-q", "-t"].map(OsString::from));
        let program = Program::new(&self.program, prefix, environment).arguments(arguments);
        match program.run_within(TEST_LIMIT) {
            Ok(Some(finished)) if finished.succeeded() => Ok(()),
            Ok(Some(finished)) => Err(Refusal::read(&finished.output, conf)),
            Ok(None) => Err(Refusal {
                reason: format!("nginx has not read it within {} seconds", TEST_LIMIT.as_secs()),
                line: None,
                place: None,
            }),
            Err(error) => Err(Refusal { reason: error.to_string(), line: None, place: None }),
        }
    }
}

/// Why nginx does not take a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) reason: String,
    /// Of the configuration, where that is where it is.
    pub(super) line: Option<usize>,
    /// The fragment that this line is in, by its name, and its line there.
    pub(super) place: Option<(String, usize)>,
}

impl Refusal {
    /// From what `nginx -t` wrote: the first line that is the reason, without its trimmings.
    fn read(output: &str, conf: &Path) -> Refusal {
        let fatal = ["[emerg]", "[crit]", "[alert]"];
        let line = output.lines().find(|line| fatal[..1].iter().any(|level| line.contains(level)));
        let line =
            line.or_else(|| output.lines().find(|line| fatal.iter().any(|level| line.contains(level))));
        let Some(line) = line else {
            let last = output.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it gave no reason");
            return Refusal { reason: text::visible(last), line: None, place: None };
        };
        let reason = line.split_once("] ").map_or(line, |(_, reason)| reason);
        // `1234#0: ` is the process.
        let reason = match reason.split_once(": ") {
            Some((process, rest)) if process.contains('#') && !process.contains(' ') => rest,
            _ => reason,
        };
        let place = format!(" in {}:", conf.display());
        match reason.split_once(&place).map(|(reason, number)| (reason, number.trim().parse().ok())) {
            Some((reason, line @ Some(_))) => Refusal { reason: text::visible(reason), line, place: None },
            _ => Refusal { reason: text::visible(reason), line: None, place: None },
        }
    }

    /// With the fragment of the configuration that its line is in.
    pub(super) fn placed(mut self, configuration: &str) -> Refusal {
        let Some(number) = self.line else { return self };
        let before = configuration.lines().take(number).enumerate();
        let mark = before
            .filter(|(_, line)| line.starts_with("# BEGIN OF ") || line.starts_with("# END OF "))
            .last();
        if let Some((index, begin)) = mark
            && begin.starts_with("# BEGIN OF ")
            && let Some((_, file)) = begin.split_once(": ")
        {
            self.place = Some((file.to_owned(), number - index - 1));
        }
        self
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.place, self.line) {
            (Some((file, line)), _) => {
                write!(f, "{}: {}", text::place(Path::new(file), *line, None), self.reason)
            }
            (None, Some(line)) => write!(f, "{} (in line {line} of the configuration)", self.reason),
            (None, None) => f.write_str(&self.reason),
        }
    }
}

fn is_since(version: &str, since: [u32; 3]) -> bool {
    numbers(version) >= since.to_vec()
}

/// Of `nginx/1.22.1`.
fn numbers(version: &str) -> Vec<u32> {
    let digits = version.split('/').nth(1).unwrap_or_default();
    digits.split('.').map_while(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_comes_without_its_trimmings() {
        let conf = Path::new("/x y/check.conf");
        for (output, reason, line) in [
            (
                "nginx: [emerg] unknown directive \"foo\" in /x y/check.conf:12\nnginx: configuration file failed",
                "unknown directive \"foo\"",
                Some(12),
            ),
            (
                "nginx: [alert] could not open error log\nnginx: [emerg] bind() to 0.0.0.0:80 failed (13: Permission denied)",
                "bind() to 0.0.0.0:80 failed (13: Permission denied)",
                None,
            ),
            (
                "2026/01/01 12:00:00 [emerg] 12#12: host not found in upstream \"x\" in /x y/check.conf:1",
                "host not found in upstream \"x\"",
                Some(1),
            ),
            (
                "nginx: [emerg] open() \"/etc/x\" failed in /etc/y.conf:3",
                "open() \"/etc/x\" failed in /etc/y.conf:3",
                None,
            ),
            ("Segmentation fault", "Segmentation fault", None),
            ("", "it gave no reason", None),
        ] {
            let expected = Refusal { reason: reason.to_owned(), line, place: None };
            assert_eq!(Refusal::read(output, conf), expected, "{output}");
        }
    }

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert!(is_since("openresty/1.21.4.1", LOG_OPTION_SINCE));
        assert!(!is_since("nginx/1.9.10", LOG_OPTION_SINCE));
        assert!(is_since("nginx/1.19.5", LOG_OPTION_SINCE));
    }
}
