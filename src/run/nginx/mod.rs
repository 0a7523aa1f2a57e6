//! nginx in front of the apps: its configuration, and what can be asked of it.
//!
//! ```text
//! plugins ─► apps, fragments ─► routes: one owner each ─► locations ─► templates/nginx/nginx.conf ─► nginx -t
//! ```
//!
//! A configuration that [`configure`] returns has passed nginx's own test. No plugin can spoil it for the others: one
//! whose fragments nginx does not take, alone or beside those of the plugins before it, is left out as a whole – its
//! fragments may be what keeps people out – with the reason as its problem. All paths are below the runtime home, and
//! relative to it as far as nginx allows.

mod apps;
mod base;
mod choice;
mod fragment;
mod locations;
mod lua;
mod program;
mod reach;
mod routes;
pub(super) mod running;
mod syntax;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::error::{Error, Problem, Result};
use crate::fs;
use crate::plugin::config::Section;
use crate::plugin::{Module, Plugin};
use crate::run::model::DataHome;
use crate::run::{NginxSettings, Service, Settings};
use crate::site::{Environment, Site};
use crate::text;
use apps::{Candidate, Reader};
use base::Base;
use choice::Choice;
use fragment::{Fragment, Fragments};
use reach::{Others, Own};
use routes::{Answer, Routes};

pub use program::Nginx;

/// What the configuration is made of.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    pub module: &'a Module,
    pub settings: &'a Settings,
    /// With the settings applied.
    pub site: &'a Site,
    pub plugins: &'a [(Plugin, Vec<Service>)],
}

/// The header in which nginx says where the body of a request is that is to become a file.
pub(in crate::run) const BODY_FILE: &str = "x-body-file";

/// Where nginx asks what becomes of it.
pub(in crate::run) fn upload_socket(var: &Path) -> PathBuf {
    var.join("upload.socket")
}

/// Where nginx writes bodies: on the disk that they stay on.
pub(in crate::run) fn bodies_dir(input: &Path) -> PathBuf {
    input.join("tmp/nginx")
}

/// Each with the name of the plugin that has it.
pub type Problems = Vec<(String, Problem)>;

/// A configuration that nginx takes.
#[derive(Debug, Clone)]
pub struct Configured {
    pub text: String,
    /// In the order of the plugins' names.
    pub problems: Problems,
    /// Of the apps that answer anywhere.
    pub routes: Vec<AppRoutes>,
    /// Where it listens: a port, or `ADDRESS:PORT`.
    pub addresses: BTreeSet<String>,
}

/// Where an app answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppRoutes {
    pub plugin: String,
    pub app: String,
    /// What its workers answer, and all below: `/hello/main`; `/` for everything.
    pub paths: Vec<String>,
    /// What nginx answers with the app's files.
    pub files: Vec<String>,
    pub hosts: Vec<String>,
}

/// Makes the configuration and has nginx test it. Fails where the machine or the module's settings are at fault.
pub fn configure(nginx: &Nginx, inputs: &Inputs<'_>) -> Result<Configured> {
    let home = inputs.site.runtime_home(inputs.module);
    for dir in ["var/nginx", "log"] {
        fs::create_dir_all(&home.join(dir))?;
    }
    let mut base = Base::new(nginx, inputs)?;
    if inputs.module.takes_uploads() {
        fs::create_dir_all(&bodies_dir(&DataHome::of(inputs.site).input))?;
    }
    let (candidates, mut problems) = match inputs.module.has_nginx() {
        true => candidates(nginx, inputs, &home),
        false => Default::default(),
    };
    if candidates.iter().any(Candidate::has_lua) {
        base.enable_lua(nginx, inputs.site);
    }
    let addresses = base.addresses();
    let choice = Choice { nginx, site: inputs.site, home, base };
    let (chosen, composed) = choice.choose(&candidates, &mut problems)?;
    for plugin in &chosen {
        problems.extend(plugin.problems.iter().map(|problem| (plugin.name.clone(), problem.clone())));
    }
    let routes = app_routes(&chosen, &composed.routes);
    problems.extend(composed.routes.problems);
    problems.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(Configured { text: composed.text, problems, routes, addresses })
}

/// What is wrong with a plugin's fragments, each by itself. Nginx is not asked: it has to read them all at once.
pub fn check_fragments(plugin: &Plugin, environment: &Environment, site: &Site) -> Vec<Problem> {
    let names_any = |section: &Section| FRAGMENTS.iter().any(|(key, _)| !section.text(key).is_empty());
    if !plugin.config.sections.iter().any(names_any) {
        return Vec::new();
    }
    // Where there is no nginx to refuse it, Lua is no mistake.
    let nginx = Nginx::find(site).ok();
    // A module whose settings are broken is told so elsewhere.
    let settings = Settings::load(&plugin.label.module, site).ok();
    let settings = settings.as_ref().map(|settings| &settings.nginx);
    let mut fragments = Fragments::over(plugin, site, nginx.as_ref(), settings, environment);
    let mut problems = Vec::new();
    for section in &plugin.config.sections {
        for (key, is_lua) in FRAGMENTS {
            let read = if is_lua { fragments.read_lua(section, key) } else { fragments.read(section, key) };
            problems.extend(read.err().into_iter().flat_map(|error| error.problems));
        }
    }
    problems
}

/// The keys that name fragments, and whether those are Lua.
const FRAGMENTS: [(&str, bool); 5] = [
    ("_extra_nginx_http_conf_filename", false),
    ("_extra_nginx_server_conf_filename", false),
    ("_extra_nginx_init_worker_by_lua_block_filename", true),
    ("_extra_nginx_conf_filename", false),
    ("_extra_nginx_conf_static_filename", false),
];

/// The plugins that can be served, in the order of their names, and the problems of those that cannot.
fn candidates(nginx: &Nginx, inputs: &Inputs<'_>, home: &Path) -> (Vec<Candidate>, Problems) {
    let reader = Reader {
        site: inputs.site,
        var: &home.join("var"),
        hosts: &host_names(inputs.site),
        nginx,
        settings: &inputs.settings.nginx,
    };
    let mut plugins: Vec<&(Plugin, Vec<Service>)> = inputs.plugins.iter().collect();
    plugins.sort_by(|one, other| one.0.label.name.cmp(&other.0.label.name));
    let (mut candidates, mut problems) = (Vec::new(), Vec::new());
    for (plugin, services) in plugins {
        match reader.candidate(plugin, services) {
            Ok(candidate) => candidates.extend(candidate),
            Err(error) => {
                let name = plugin.label.name.to_string();
                problems.extend(error.problems.into_iter().map(|problem| (name.clone(), problem)));
            }
        }
    }
    separate_sockets(&mut candidates);
    problems.extend(without_takers(&mut candidates, &inputs.settings.nginx));
    (candidates, problems)
}

/// Takes out the plugins whose fragments take what another plugin has.
fn without_takers(candidates: &mut Vec<Candidate>, settings: &NginxSettings) -> Problems {
    let all: Vec<&Candidate> = candidates.iter().collect();
    let found = routes::resolve(&all, &[]);
    let route = |it: &routes::Route, is_own: bool, number: usize| {
        ((it.app.0 == number) == is_own).then(|| (it.path.clone(), all[it.app.0].name.clone()))
    };
    let mut problems = Problems::new();
    for (number, candidate) in all.iter().enumerate() {
        if fragment::is_allowed(settings, &candidate.name) {
            continue;
        }
        let of = |is_own| found.paths.iter().filter_map(move |it| route(it, is_own, number));
        let own: Vec<String> = of(true).map(|(path, _)| path).collect();
        let own = Own { routes: &own, ports: &[], body_size: 0 };
        let beside = || all.iter().enumerate().filter(|(other, _)| *other != number).map(|(_, it)| *it);
        let others = Others {
            routes: of(false).collect(),
            upstreams: beside()
                .flat_map(|it| it.apps.iter().map(|app| view::upstream_name(it, app)))
                .collect(),
            sockets: beside().flat_map(|it| it.apps.iter().flat_map(|app| app.sockets.clone())).collect(),
            yielding: beside()
                .find(|it| it.server.as_ref().is_some_and(Fragment::has_pattern))
                .map(|it| it.name.clone()),
        };
        let fragments = candidate.http.iter().chain(&candidate.server);
        let taken = fragments.filter_map(|it| Some((it, reach::taking(it, own, &others)?))).next();
        if let Some((fragment, found)) = taken {
            let file = Path::new(&candidate.dir).join(&fragment.file);
            let error = fragment::beyond(&file, &candidate.name, &found);
            problems.extend(error.problems.into_iter().map(|problem| (candidate.name.clone(), problem)));
        }
    }
    candidates.retain(|it| !problems.iter().any(|(name, _)| *name == it.name));
    problems
}

/// `a_b` with an app `c` and `a` with an app `b_c` have the same sockets: the first keeps them.
fn separate_sockets(candidates: &mut [Candidate]) {
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    for candidate in candidates {
        for app in &mut candidate.apps {
            let Some(socket) = app.sockets.first() else { continue };
            if let Some(owner) = owners.get(socket) {
                let error = Error::input(format!(
                    "{}: [app_{}]: its socket {} is that of the plugin `{owner}`, which keeps it",
                    text::path(&candidate.config),
                    app.name,
                    text::path(Path::new(socket))
                ));
                candidate.problems.extend(error.hint("rename the app, or one of the plugins").problems);
                app.sockets.clear();
            } else {
                owners.insert(socket.clone(), candidate.name.clone());
            }
        }
    }
}

/// The names of this machine that virtual hosts are below: long, short, and `localhost`.
fn host_names(site: &Site) -> Vec<String> {
    let long = site.host_name();
    let short = match site.environment.text("MFHOSTNAME") {
        Some(name) => name.to_owned(),
        None => long.split('.').next().unwrap_or_default().to_owned(),
    };
    let mut names = vec![short, long, "localhost".to_owned()];
    names.retain(|name| !name.is_empty());
    names.dedup();
    names
}

fn app_routes(plugins: &[&Candidate], routes: &Routes) -> Vec<AppRoutes> {
    let mut all = Vec::new();
    for (number, plugin) in plugins.iter().enumerate() {
        for (index, app) in plugin.apps.iter().enumerate() {
            let of_app = |answer| {
                let own = routes.paths.iter().filter(|it| it.app == (number, index) && it.answer == answer);
                own.map(|it| routes::shown(&it.path)).collect::<Vec<_>>()
            };
            let (paths, files) = (of_app(Answer::Workers), of_app(Answer::Files));
            let hosts = routes.hosts.iter().find(|(app, _)| *app == (number, index));
            let hosts = hosts.map(|(_, hosts)| hosts.clone()).unwrap_or_default();
            if !(paths.is_empty() && files.is_empty() && hosts.is_empty()) {
                all.push(AppRoutes {
                    plugin: plugin.name.clone(),
                    app: app.name.clone(),
                    paths,
                    files,
                    hosts,
                });
            }
        }
    }
    all
}
