//! What the plugins want of nginx: their apps, with workers and files, and their fragments.

use std::path::{Component, Path, PathBuf};

use super::Nginx;
use super::fragment::{Fragment, Fragments};
use crate::error::{Error, Problem, Result};
use crate::plugin::Plugin;
use crate::plugin::config::Section;
use crate::run::{NginxSettings, Service, ServiceKind, check_socket};
use crate::site::Site;
use crate::text;

/// A plugin that may become part of the configuration.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) name: String,
    /// As the configuration names it.
    pub(super) dir: String,
    pub(super) config: PathBuf,
    pub(super) apps: Vec<App>,
    pub(super) http: Option<Fragment>,
    pub(super) server: Option<Fragment>,
    pub(super) init_worker: Option<Fragment>,
    pub(super) is_on_lua_path: bool,
    /// What is wrong with it and does not keep it out.
    pub(super) problems: Vec<Problem>,
}

impl Candidate {
    /// What it brings along for nginx, Lua for its workers apart.
    pub(super) fn fragments(&self) -> impl Iterator<Item = &Fragment> {
        let of_apps = self.apps.iter().flat_map(|app| [app.fragment.as_ref(), app.files_fragment.as_ref()]);
        [self.http.as_ref(), self.server.as_ref()].into_iter().chain(of_apps).flatten()
    }

    pub(super) fn has_lua(&self) -> bool {
        self.init_worker.is_some() || self.fragments().any(Fragment::has_lua)
    }
}

/// An app of a plugin.
#[derive(Debug, Clone)]
pub(super) struct App {
    pub(super) name: String,
    pub(super) dir: String,
    /// Of its workers; empty where it has none.
    pub(super) sockets: Vec<String>,
    pub(super) timeout: i64,
    pub(super) is_fastcgi: bool,
    /// Whether `/plugin` is its, too.
    pub(super) is_main: bool,
    /// Whether it has routes by path: its own, and these.
    pub(super) by_path: bool,
    pub(super) extra_routes: Vec<String>,
    pub(super) files: Option<Files>,
    pub(super) hosts: Vec<String>,
    pub(super) fragment: Option<Fragment>,
    pub(super) files_fragment: Option<Fragment>,
}

/// Files that nginx serves by itself.
#[derive(Debug, Clone)]
pub(super) struct Files {
    /// Below the app's routes: empty, or as `/static`.
    pub(super) prefix: String,
    pub(super) dir: String,
}

/// nginx counts in milliseconds; nobody waits for a year.
const MAX_TIMEOUT: i64 = 31_536_000;

/// Reads what one plugin wants; all its fragments are rendered when this returns.
pub(super) struct Reader<'a> {
    pub(super) site: &'a Site,
    /// Where the sockets are.
    pub(super) var: &'a Path,
    /// The names of this machine.
    pub(super) hosts: &'a [String],
    pub(super) nginx: &'a Nginx,
    pub(super) settings: &'a NginxSettings,
}

impl Reader<'_> {
    /// `None` where the plugin wants nothing of nginx; an error where it must not be served: what a fragment would
    /// have forbidden must not be open because the fragment is broken.
    pub(super) fn candidate(&self, plugin: &Plugin, services: &[Service]) -> Result<Option<Candidate>> {
        let config = &plugin.config;
        if config.section("internal").is_some_and(|section| section.bool("disable_nginx_conf")) {
            return Ok(None);
        }
        let mut candidate = Candidate {
            name: plugin.label.name.to_string(),
            dir: utf8(&plugin.dir)?,
            config: plugin.dir.join("config.ini"),
            apps: Vec::new(),
            http: None,
            server: None,
            init_worker: None,
            is_on_lua_path: false,
            problems: Vec::new(),
        };
        let mut fragments = Fragments::new(plugin, self.site, Some(self.nginx), Some(self.settings));
        if let Some(general) = config.section("general") {
            candidate.http = fragments.read(general, "_extra_nginx_http_conf_filename")?;
            candidate.server = fragments.read(general, "_extra_nginx_server_conf_filename")?;
            let key = "_extra_nginx_init_worker_by_lua_block_filename";
            candidate.init_worker = fragments.read_lua(general, key)?;
            candidate.is_on_lua_path = general.bool("_add_plugin_dir_to_lua_path");
        }
        let count = config.apps().count();
        for section in config.apps() {
            let Some(name) = section.instance.as_deref() else { continue };
            let service = services.iter().find(|it| it.id.kind == ServiceKind::App && it.id.name == name);
            let sockets = self.sockets(service)?;
            let files = files(plugin, section, name, &mut candidate)?;
            candidate.apps.push(App {
                name: name.to_owned(),
                dir: utf8(&plugin.dir.join(name))?,
                sockets,
                timeout: section.int("timeout").clamp(1, MAX_TIMEOUT),
                is_fastcgi: section.text("_gateway_interface_mode") == "fastcgi",
                is_main: name == "main" || count == 1,
                by_path: section.bool("_prefix_based_routing"),
                extra_routes: list(section.text("prefix_based_routing_extra_routes"), ';'),
                files,
                hosts: self.hosts(&candidate.name, name, name == "main" || count == 1, section),
                fragment: fragments.read(section, "_extra_nginx_conf_filename")?,
                files_fragment: fragments.read(section, "_extra_nginx_conf_static_filename")?,
            });
        }
        Ok(Some(candidate))
    }

    fn sockets(&self, service: Option<&Service>) -> Result<Vec<String>> {
        let Some(service) = service.filter(|service| service.listens()) else { return Ok(Vec::new()) };
        let socket = |worker| {
            let path = service.socket(worker, self.var);
            check_socket(&path)?;
            utf8(&path)
        };
        (1..=service.workers).map(socket).collect()
    }

    fn hosts(&self, plugin: &str, app: &str, is_main: bool, section: &Section) -> Vec<String> {
        if !section.bool("_virtualdomain_based_routing") {
            return Vec::new();
        }
        let mut hosts = Vec::new();
        for host in self.hosts {
            hosts.push(format!("{app}.{plugin}.{host}"));
            if is_main {
                hosts.push(format!("{plugin}.{host}"));
            }
        }
        hosts.extend(list(section.text("virtualdomain_based_routing_extra_vhosts"), ','));
        hosts.iter().map(|host| host.to_ascii_lowercase()).collect()
    }
}

/// The files of an app, where it has any.
fn files(plugin: &Plugin, section: &Section, app: &str, candidate: &mut Candidate) -> Result<Option<Files>> {
    if !section.bool("_static_routing") {
        return Ok(None);
    }
    let mut refuse = |key: &str, found: &str, allowed: &str| {
        let place = text::path(&candidate.config);
        let problem = Error::input(format!(
            "{place}: [{}] {key}: found `{}`; {allowed}",
            section.name,
            text::visible(found)
        ));
        candidate.problems.extend(problem.hint("the files of this app are not served").problems);
    };
    let prefix = section.text("_static_url_prefix").trim_matches('/');
    if prefix.split('/').any(|part| matches!(part, "." | "..")) || prefix.chars().any(char::is_control) {
        refuse("_static_url_prefix", prefix, "a path without `.` and `..` is allowed");
        return Ok(None);
    }
    let prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
    let directory = section.text("_static_directory");
    let Some(below) = inside(&Path::new(app).join(directory.trim_start_matches('/'))) else {
        refuse("_static_directory", directory, "a directory inside the plugin is allowed");
        return Ok(None);
    };
    Ok(Some(Files { prefix, dir: utf8(&plugin.dir.join(below))? }))
}

/// Without `.` and `..`; nothing where that would lead outside, or to all of the plugin.
fn inside(path: &Path) -> Option<PathBuf> {
    let mut result = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => result.push(name),
            Component::CurDir => {}
            Component::ParentDir if result.pop() => {}
            _ => return None,
        }
    }
    (!result.as_os_str().is_empty()).then_some(result)
}

fn list(text: &str, separator: char) -> Vec<String> {
    text.split(separator).map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

/// nginx takes any bytes, a text does not.
pub(super) fn utf8(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Error::input(format!("the path {} is not UTF-8; nginx's configuration is", text::path(path)))
            .hint("rename the directory")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_files_stays_inside_the_plugin() {
        for (path, expected) in [
            ("main/static", Some("main/static")),
            ("main/", Some("main")),
            ("main/../shared", Some("shared")),
            ("main/./a", Some("main/a")),
            ("main/..", None),
            ("main/../..", None),
            ("main/../../other", None),
        ] {
            assert_eq!(inside(Path::new(path)), expected.map(PathBuf::from), "{path}");
        }
    }
}
