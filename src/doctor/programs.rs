//! Programs and libraries that building, installing and running use.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Finding;
use super::needs::Needs;
use crate::process::{Finished, Program};
use crate::run::nginx::Nginx;
use crate::site::Site;
use crate::tools;

/// Who does not say his version in that time is there all the same.
const LIMIT: Duration = Duration::from_secs(10);

pub(super) fn examine(needs: &Needs, site: &Site) -> Vec<Finding> {
    let program = |area, name: &'static str, purpose: &'static str, needed| {
        let finding = Finding::new(area, name, purpose).needed(needed);
        match find(name, site) {
            Some(path) => finding.ok(version(&path, site)),
            None => finding.missing(how_to_get(name)),
        }
    };
    let mut findings = vec![
        program("build", "python3", "virtualenvs of plugins, steps of mfdata", needs.python),
        installer(site),
        compiler(site),
        program("build", "make", "plugins with a Makefile", false),
        program("build", "git", "requirements from git, `mwp bootstrap update`", false),
        program("build", "node", "plugins in JavaScript", needs.node),
        program("build", "npm", "packages of JavaScript", false),
    ];
    findings.extend(nginx(needs, site));
    findings.push(program("run", "redis-server", "mfdata: the lists of files", needs.redis));
    findings.push(program("run", "crontab", "jobs of plugins", needs.cron));
    findings.push(libmagic(needs));
    findings.push(program("run", "php-fpm", "apps in PHP", false));
    findings
}

fn find(name: &str, site: &Site) -> Option<PathBuf> {
    which::which_in(name, site.environment.get("PATH"), Path::new("/")).ok()
}

/// The first line of what it says of itself, else where it is.
fn version(path: &Path, site: &Site) -> String {
    let is_silent = path.ends_with("crontab") || path.ends_with("php-fpm");
    let asked = (!is_silent).then(|| {
        Program::new(path, Path::new("/"), &site.environment).argument("--version").run_within(LIMIT)
    });
    let answer = asked.and_then(Result::ok).flatten().filter(Finished::succeeded);
    let line = answer.and_then(|answer| answer.output.lines().next().map(|line| line.trim().to_owned()));
    line.filter(|line| !line.is_empty()).unwrap_or_else(|| path.to_string_lossy().into_owned())
}

/// uv, else pip.
fn installer(site: &Site) -> Finding {
    let finding = Finding::new("build", "uv or pip", "packages of Python");
    if let Some(uv) = find("uv", site) {
        return finding.ok(version(&uv, site));
    }
    let python = find("python3", site);
    let pip = python.and_then(|python| {
        let asked = Program::new(&python, Path::new("/"), &site.environment)
            .arguments(["-m", "pip", "--version"])
            .run_within(LIMIT);
        asked.ok().flatten().filter(Finished::succeeded)
    });
    match pip {
        Some(answer) => finding.ok(answer.output.split(" from ").next().unwrap_or_default().trim()),
        None => finding.missing("apt-get install python3-pip"),
    }
}

fn compiler(site: &Site) -> Finding {
    let finding = Finding::new("build", "C compiler", "packages that are not ready-made");
    match ["cc", "gcc", "clang"].iter().find_map(|name| find(name, site)) {
        Some(path) => finding.ok(version(&path, site)),
        None => finding.missing("apt-get install gcc libc6-dev python3-dev"),
    }
}

fn nginx(needs: &Needs, site: &Site) -> [Finding; 2] {
    let finding = Finding::new("run", "nginx", "apps: requests come through it").needed(needs.nginx);
    let lua = Finding::new("run", "Lua in nginx", "plugins that bring Lua");
    match Nginx::find(site) {
        Ok(nginx) => [
            finding.ok(nginx.version.clone()),
            match nginx.may_run_lua() {
                true => lua.ok("there"),
                false => lua.missing("apt-get install libnginx-mod-http-lua"),
            },
        ],
        Err(_) => [
            finding.missing("apt-get install nginx-light"),
            lua.missing("apt-get install nginx-light libnginx-mod-http-lua"),
        ],
    }
}

fn libmagic(needs: &Needs) -> Finding {
    let finding = Finding::new("run", "libmagic", "mfdata: tells what each file is").needed(needs.libmagic);
    let architecture = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let dirs = ["/usr/lib", "/usr/lib64", "/usr/local/lib", architecture.as_str()];
    match dirs.iter().map(|dir| Path::new(dir).join("libmagic.so.1")).find(|file| file.exists()) {
        Some(file) => finding.ok(file.to_string_lossy()),
        None => finding.missing("apt-get install libmagic1"),
    }
}

/// The command of Debian; elsewhere the package has that name or a similar one.
fn how_to_get(name: &str) -> String {
    match name {
        "python3" | "make" | "git" | "npm" | "redis-server" | "php-fpm" => format!("apt-get install {name}"),
        "node" => "apt-get install nodejs".to_owned(),
        "crontab" => "apt-get install cron".to_owned(),
        _ => tools::missing(name).problems.into_iter().find_map(|problem| problem.hint).unwrap_or_default(),
    }
}
