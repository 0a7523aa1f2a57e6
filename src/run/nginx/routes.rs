//! Who answers where: each path and each host name has one owner.
//!
//! What a plugin has by its own name (`/plugin/app`, `/plugin`) goes before what anyone asks for beside that; among
//! equals the first plugin by name, and its first app, keeps a route. Whoever comes too late has a problem that says
//! so, and its other routes. A longer path wins over a shorter one, as nginx has it.

use std::collections::BTreeMap;

use super::Problems;
use super::apps::{App, Candidate};
use crate::error::Error;
use crate::text;

/// An app: the index of its plugin, and its own there.
pub(super) type AppIndex = (usize, usize);

/// What answers at a path and below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Workers,
    Files,
}

/// A path without a `/` at its end; empty for everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) path: String,
    pub(super) answer: Answer,
    pub(super) app: AppIndex,
}

/// All routes of the apps.
#[derive(Debug, Default)]
pub(super) struct Routes {
    /// In the order of their paths.
    pub(super) paths: Vec<Route>,
    /// In the order of the apps.
    pub(super) hosts: Vec<(AppIndex, Vec<String>)>,
    pub(super) problems: Problems,
}

/// The routes of these plugins, which are in the order of their names; `reserved` are paths of our own.
pub(super) fn resolve(plugins: &[&Candidate], reserved: &[&str]) -> Routes {
    let mut resolver = Resolver { plugins, reserved, prefixes: BTreeMap::new(), routes: Routes::default() };
    resolver.paths();
    resolver.hosts();
    resolver.routes
}

struct Resolver<'a> {
    plugins: &'a [&'a Candidate],
    reserved: &'a [&'a str],
    prefixes: BTreeMap<String, AppIndex>,
    routes: Routes,
}

impl<'a> Resolver<'a> {
    fn paths(&mut self) {
        type Wanted = fn(&Candidate, &App) -> Vec<String>;
        let rounds: [(Wanted, &str); 3] = [
            (|plugin, app| vec![format!("/{}/{}", plugin.name, app.name)], "_prefix_based_routing"),
            (
                |plugin, app| app.is_main.then(|| format!("/{}", plugin.name)).into_iter().collect(),
                "_prefix_based_routing",
            ),
            (|_, app| app.extra_routes.clone(), "prefix_based_routing_extra_routes"),
        ];
        for (wanted, key) in rounds {
            for (index, plugin, app) in self.apps() {
                if app.by_path && (!app.sockets.is_empty() || app.files.is_some()) {
                    for path in wanted(plugin, app) {
                        self.claim(path.trim_end_matches('/'), index, key);
                    }
                }
            }
        }
        let mut answers: BTreeMap<String, (Answer, AppIndex)> = BTreeMap::new();
        for (path, index) in &self.prefixes {
            if !self.app(*index).sockets.is_empty() {
                answers.insert(path.clone(), (Answer::Workers, *index));
            }
        }
        for (path, index) in std::mem::take(&mut self.prefixes) {
            let app = self.app(index);
            let Some(files) = &app.files else { continue };
            let path = format!("{path}{}", files.prefix);
            match answers.get(&path) {
                Some((Answer::Workers, owner)) if *owner == index => {
                    let reason = format!(
                        "the files of the app take `{}`, so that its workers get no requests there",
                        shown(&path)
                    );
                    self.problem(
                        index,
                        "_static_url_prefix",
                        &reason,
                        "set _static_routing=false, or a prefix such as /static",
                    );
                    answers.insert(path, (Answer::Files, index));
                }
                Some((_, owner)) if *owner == index => {}
                Some((_, owner)) => {
                    let owner = self.named(*owner);
                    let reason = format!("`{}` is a route of {owner}, which keeps it", shown(&path));
                    self.problem(index, "_static_url_prefix", &reason, "choose another prefix for the files");
                }
                None => {
                    answers.insert(path, (Answer::Files, index));
                }
            }
        }
        self.routes.paths =
            answers.into_iter().map(|(path, (answer, app))| Route { path, answer, app }).collect();
    }

    fn claim(&mut self, path: &str, index: AppIndex, key: &str) {
        if self.reserved.contains(&path) {
            let reason = format!("the route `{}` is one of the module's own", shown(path));
            self.problem(index, key, &reason, "choose another route");
            return;
        }
        match self.prefixes.get(path) {
            None => {
                self.prefixes.insert(path.to_owned(), index);
            }
            Some(owner) if *owner == index => {}
            Some(owner) => {
                let owner = self.named(*owner);
                let reason = format!("the route `{}` is that of {owner}, which keeps it", shown(path));
                self.problem(index, key, &reason, "choose another route for one of them");
            }
        }
    }

    fn hosts(&mut self) {
        let mut owners: BTreeMap<String, AppIndex> = BTreeMap::new();
        for (index, _, app) in self.apps() {
            let mut kept = Vec::new();
            for host in &app.hosts {
                let key = "virtualdomain_based_routing_extra_vhosts";
                if !is_host(host) {
                    let reason = format!("found `{}`; a host name is allowed", text::visible(host));
                    self.problem(
                        index,
                        key,
                        &reason,
                        "one `*` may stand for the first or for the last part of it",
                    );
                    continue;
                }
                match owners.get(host) {
                    None => {
                        owners.insert(host.clone(), index);
                        kept.push(host.clone());
                    }
                    Some(owner) if *owner == index => {}
                    Some(owner) => {
                        let owner = self.named(*owner);
                        let reason = format!("the host `{host}` is that of {owner}, which keeps it");
                        self.problem(index, key, &reason, "choose another host for one of them");
                    }
                }
            }
            if !kept.is_empty() {
                self.routes.hosts.push((index, kept));
            }
        }
    }

    fn apps(&self) -> impl Iterator<Item = (AppIndex, &'a Candidate, &'a App)> + use<'a> {
        let plugins: &'a [&'a Candidate] = self.plugins;
        plugins.iter().enumerate().flat_map(|(number, plugin)| {
            plugin.apps.iter().enumerate().map(move |(app, it)| ((number, app), *plugin, it))
        })
    }

    fn app(&self, (plugin, app): AppIndex) -> &'a App {
        &self.plugins[plugin].apps[app]
    }

    fn named(&self, (plugin, app): AppIndex) -> String {
        let plugin = &self.plugins[plugin];
        format!("the app `{}` of the plugin `{}`", plugin.apps[app].name, plugin.name)
    }

    fn problem(&mut self, index: AppIndex, key: &str, reason: &str, hint: &str) {
        let plugin = &self.plugins[index.0];
        let place = text::path(&plugin.config);
        let error =
            Error::input(format!("{place}: [app_{}] {key}: {reason}", self.app(index).name)).hint(hint);
        let name = plugin.name.clone();
        self.routes.problems.extend(error.problems.into_iter().map(|problem| (name.clone(), problem)));
    }
}

/// As people write a path.
pub(super) fn shown(path: &str) -> String {
    if path.is_empty() { "/".to_owned() } else { text::visible(path) }
}

/// What nginx takes as a name of a server.
fn is_host(host: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let plain = host.strip_prefix("*.").or_else(|| host.strip_suffix(".*")).unwrap_or(host);
    !plain.is_empty() && plain != "." && !host.contains("..") && plain.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::apps::Files;
    use super::*;

    fn app(name: &str, extra_routes: &[&str]) -> App {
        App {
            name: name.into(),
            dir: format!("/p/{name}"),
            sockets: vec![format!("/var/{name}.socket")],
            timeout: 60,
            is_fastcgi: false,
            is_main: name == "main",
            by_path: true,
            extra_routes: extra_routes.iter().map(ToString::to_string).collect(),
            files: Some(Files { prefix: "/static".into(), dir: format!("/p/{name}/static") }),
            hosts: Vec::new(),
            fragment: None,
            files_fragment: None,
        }
    }

    fn plugin(name: &str, apps: Vec<App>) -> Candidate {
        Candidate {
            name: name.into(),
            dir: format!("/p/{name}"),
            config: PathBuf::from(format!("/p/{name}/config.ini")),
            apps,
            http: None,
            server: None,
            init_worker: None,
            is_on_lua_path: false,
            problems: Vec::new(),
        }
    }

    fn paths(routes: &Routes) -> Vec<String> {
        let line = |it: &Route| format!("{} {:?} {}.{}", shown(&it.path), it.answer, it.app.0, it.app.1);
        routes.paths.iter().map(line).collect()
    }

    #[test]
    fn an_app_has_its_own_routes_those_of_its_plugin_and_extra_ones() {
        let one = plugin("one", vec![app("main", &["/x", "/"]), app("api", &[])]);
        let routes = resolve(&[&one], &["/status"]);
        let expected = [
            "/ Workers 0.0",
            "/one Workers 0.0",
            "/one/api Workers 0.1",
            "/one/api/static Files 0.1",
            "/one/main Workers 0.0",
            "/one/main/static Files 0.0",
            "/one/static Files 0.0",
            "/static Files 0.0",
            "/x Workers 0.0",
            "/x/static Files 0.0",
        ];
        assert_eq!(paths(&routes), expected);
        assert_eq!(routes.problems, []);
    }

    #[test]
    fn the_first_keeps_a_route_and_the_other_is_told() {
        let (a, b) = (plugin("a", vec![app("main", &["/x"])]), plugin("b", vec![app("main", &["/x", "/y"])]));
        let routes = resolve(&[&a, &b], &[]);
        let x: Vec<_> = routes.paths.iter().filter(|it| it.path.starts_with("/x")).map(|it| it.app).collect();
        assert_eq!(x, [(0, 0), (0, 0)]);
        assert!(routes.paths.iter().any(|it| it.path == "/y" && it.app == (1, 0)));
        let [(name, problem)] = &routes.problems[..] else { panic!("{:?}", routes.problems) };
        assert_eq!(name, "b");
        assert_eq!(
            problem.message,
            "`/p/b/config.ini`: [app_main] prefix_based_routing_extra_routes: the route `/x` is that of the app `main` of \
             the plugin `a`, which keeps it"
        );
    }

    #[test]
    fn a_plugin_keeps_its_own_name() {
        let (a, b) =
            (plugin("a", vec![app("main", &["/b", "/b/main"])]), plugin("b", vec![app("main", &[])]));
        let routes = resolve(&[&a, &b], &[]);
        assert!(routes.paths.iter().filter(|it| it.path.starts_with("/b")).all(|it| it.app == (1, 0)));
        assert!(routes.problems.iter().all(|(name, _)| name == "a"));
    }

    #[test]
    fn our_own_paths_are_not_given_away() {
        let status = plugin("status", vec![app("main", &["/__health"])]);
        let routes = resolve(&[&status], &["/status", "/__health"]);
        assert_eq!(paths(&routes), ["/status/main Workers 0.0", "/status/main/static Files 0.0"]);
        assert_eq!(routes.problems.len(), 2);
    }

    #[test]
    fn an_app_named_as_the_files_of_another_has_the_route() {
        let one = plugin("one", vec![app("main", &[]), app("static", &[])]);
        let routes = resolve(&[&one], &[]);
        assert!(routes.paths.iter().any(|it| it.path == "/one/static" && it.app == (0, 1)));
        assert!(routes.problems[0].1.message.contains("`/one/static` is a route of the app `static`"));
    }

    #[test]
    fn files_without_a_prefix_take_all_of_the_app() {
        let mut main = app("main", &[]);
        main.files = Some(Files { prefix: String::new(), dir: "/p/main".into() });
        let one = plugin("one", vec![main]);
        let routes = resolve(&[&one], &[]);
        assert_eq!(paths(&routes), ["/one Files 0.0", "/one/main Files 0.0"]);
        assert_eq!(routes.problems.len(), 2);
    }

    #[test]
    fn a_host_has_one_owner_and_is_one() {
        let mut first = app("main", &[]);
        first.hosts = ["a.localhost", "*.x", "a..b", "*", "x.*.y", "a.localhost"].map(String::from).to_vec();
        let mut second = app("api", &[]);
        second.hosts = ["a.localhost", "b.localhost"].map(String::from).to_vec();
        let one = plugin("one", vec![first, second]);
        let routes = resolve(&[&one], &[]);
        let expected = [
            ((0, 0), vec!["a.localhost".to_owned(), "*.x".to_owned()]),
            ((0, 1), vec!["b.localhost".to_owned()]),
        ];
        assert_eq!(routes.hosts, expected);
        assert_eq!(routes.problems.len(), 4);
    }
}
