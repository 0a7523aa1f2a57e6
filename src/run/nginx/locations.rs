//! nginx's locations: what is done with a request for a path.
//!
//! A path is matched at its segments: `/hello/main` has one location for itself and one for what is below it, so that
//! `/hello/mainx` is none of it. Regular expressions among a plugin's own fragments go before its routes, as they do
//! in MetWork; those of another plugin do not.

use std::collections::BTreeSet;

use serde::Serialize;

use super::apps::{App, Candidate};
use super::fragment::Fragment;
use super::routes::{Answer, AppIndex, Route};
use super::syntax::{pattern, value, word};
use super::view::{Insertion, upstream_name};

/// One location of the template.
#[derive(Debug, Serialize)]
pub(super) struct Location {
    #[serde(rename = "match")]
    matcher: String,
    plugin: String,
    resets_error_pages: bool,
    /// The location of what no worker has answered.
    unanswered: Option<String>,
    /// At most so many workers are tried, those that are not there among them.
    tries: Option<usize>,
    /// Whether this is the location of what reached none of the workers that were tried.
    is_second: bool,
    /// Where to, for the path of a directory without its `/`.
    redirect: Option<String>,
    /// The directory of the files.
    files: Option<String>,
    /// Links below it lead to files of the same owner alone.
    links_from: Option<String>,
    /// Whether what nginx refuses is answered for as if it were not there.
    refused_is_missing: bool,
    /// A pattern for the files that nobody gets.
    hidden: Option<String>,
    /// Where requests go otherwise.
    upstream: String,
    timeout: i64,
    fastcgi: Option<FastCgi>,
    repeats_headers: bool,
    /// The directives that the app's fragment sets itself.
    own: Vec<String>,
    fragment: Option<Insertion>,
}

#[derive(Debug, Serialize)]
struct FastCgi {
    /// The directory of the app.
    root: String,
    /// Tells the script from what follows it in the path.
    split: String,
    index: Option<&'static str>,
    parameters: Vec<Parameter>,
}

#[derive(Debug, Serialize)]
struct Parameter {
    name: &'static str,
    value: String,
}

/// Which of the two locations of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Itself,
    Below,
}

/// The locations of the server that all plugins share.
pub(super) fn of_paths(plugins: &[&Candidate], routes: &[Route], tells_reached: bool) -> Vec<Location> {
    let on_server = |name: &str| plugins.iter().filter_map(|it| it.server.as_ref()).any(|it| it.has(name));
    let maker = |app: AppIndex| {
        let plugin = plugins[app.0];
        Maker {
            tells_reached,
            plugin,
            app: &plugin.apps[app.1],
            on_server: plugin.server.as_ref(),
            is_host: false,
            resets_error_pages: on_server("error_page") || in_http(plugins, "error_page"),
            repeats_headers: on_server("proxy_set_header") || in_http(plugins, "proxy_set_header"),
        }
    };
    let mut locations: Vec<Location> =
        routes.iter().flat_map(|route| maker(route.app).locations(&route.path, route.answer)).collect();
    let apps: BTreeSet<AppIndex> =
        routes.iter().filter(|it| it.answer == Answer::Workers).map(|it| it.app).collect();
    locations.extend(apps.into_iter().filter_map(|app| maker(app).second()));
    locations
}

/// The locations of the server that one app has for itself. Its fragment stands beside them.
pub(super) fn of_host(plugins: &[&Candidate], app: AppIndex, tells_reached: bool) -> Vec<Location> {
    let plugin = plugins[app.0];
    let app = &plugin.apps[app.1];
    let maker = Maker {
        tells_reached,
        plugin,
        app,
        on_server: app.fragment.as_ref(),
        is_host: true,
        resets_error_pages: in_http(plugins, "error_page")
            && !app.fragment.as_ref().is_some_and(|it| it.has("error_page")),
        repeats_headers: in_http(plugins, "proxy_set_header"),
    };
    let files = app.files.as_ref().map(|files| files.prefix.as_str());
    let mut locations = Vec::new();
    if !app.sockets.is_empty() && files != Some("") {
        locations.extend(maker.locations("", Answer::Workers));
        locations.extend(maker.second());
    }
    if let Some(prefix) = files {
        locations.extend(maker.locations(prefix, Answer::Files));
    }
    locations
}

/// What may refuse a request, or answers for what is refused.
const REFUSING: [&str; 9] = [
    "allow",
    "deny",
    "error_page",
    "if",
    "internal",
    "limit_except",
    "return",
    "satisfy",
    "disable_symlinks",
];
/// Where requests go that no worker has answered, and that are not to be tried again.
const UNANSWERED: &str = "@unanswered";
/// One request takes no more workers with it than this.
const TRIES: usize = 2;

fn in_http(plugins: &[&Candidate], name: &str) -> bool {
    plugins.iter().filter_map(|it| it.http.as_ref()).any(|it| it.has(name))
}

struct Maker<'a> {
    tells_reached: bool,
    plugin: &'a Candidate,
    app: &'a App,
    /// What of the plugin's own stands in the same server: where it has the same location, ours is left out.
    on_server: Option<&'a Fragment>,
    is_host: bool,
    resets_error_pages: bool,
    repeats_headers: bool,
}

impl Maker<'_> {
    fn locations(&self, path: &str, answer: Answer) -> Vec<Location> {
        let parts = if path.is_empty() { &[Part::Below][..] } else { &[Part::Itself, Part::Below] };
        let parts = parts.iter().filter(|part| {
            let (is_exact, path) = (**part == Part::Itself, at(path, **part));
            !self.on_server.is_some_and(|fragment| fragment.has_location(is_exact, &path))
        });
        parts.map(|part| self.location(path, *part, answer)).collect()
    }

    fn location(&self, path: &str, part: Part, answer: Answer) -> Location {
        let app = self.app;
        let redirect = (answer == Answer::Files && part == Part::Itself)
            .then(|| format!("\"{}/$is_args$args\"", encoded(path)));
        let fragment = match answer {
            Answer::Files => app.files_fragment.as_ref(),
            Answer::Workers if self.is_host => None,
            Answer::Workers => app.fragment.as_ref(),
        };
        // A location for one path has none below it.
        let fragment = fragment.filter(|_| redirect.is_none());
        let fragment =
            fragment.map(|it| if part == Part::Itself { it.without_locations() } else { it.clone() });
        let beside = self.on_server.filter(|_| self.is_host);
        let mut own: Vec<String> = Vec::new();
        for fragment in fragment.iter().chain(beside) {
            own.extend(fragment.directives.iter().map(|it| it.name.clone()));
        }
        let sets_headers = own.iter().any(|name| name == "proxy_set_header");
        let files = app.files.as_ref().filter(|_| answer == Answer::Files);
        let is_second = self.has_second();
        Location {
            matcher: self.matcher(path, part),
            plugin: self.plugin.name.clone(),
            resets_error_pages: self.resets_error_pages,
            unanswered: self.unanswered().filter(|_| answer == Answer::Workers),
            tries: is_second.then_some(TRIES),
            is_second: false,
            redirect,
            files: files.map(|files| value(&format!("{}/", files.dir))),
            links_from: files.map(|files| value(&format!("from={}/", files.dir))),
            refused_is_missing: files.is_some() && self.refuses_nothing(&own),
            hidden: files.map(|_| word(&format!("(?s)^{}/(?:.*/)?\\.(?!well-known(?:/|$))", pattern(path)))),
            upstream: upstream_name(self.plugin, app),
            timeout: app.timeout,
            fastcgi: app.is_fastcgi.then(|| self.fastcgi(path, part, fragment.as_ref().or(beside))),
            repeats_headers: self.repeats_headers && !sets_headers,
            own,
            fragment: fragment.as_ref().map(|it| Insertion::new("LOCATION CONF", self.plugin, it)),
        }
    }

    /// Whether the only files that nginx refuses are links to what is another owner's: nothing of the plugin's own says
    /// who may read what, or how a refusal looks.
    fn refuses_nothing(&self, own: &[String]) -> bool {
        let refuses =
            |name: &str| REFUSING.contains(&name) || name.starts_with("auth_") || name.contains("_by_lua");
        !own.iter().any(|name| refuses(name))
            && !self.on_server.is_some_and(|it| it.directives.iter().any(|it| refuses(&it.name)))
    }

    /// Where requests go that no worker has answered; the plugin's own pages for that go before.
    fn unanswered(&self) -> Option<String> {
        let has_pages = |it: &Fragment| it.has("error_page");
        let has_own =
            self.app.fragment.as_ref().is_some_and(has_pages) || self.on_server.is_some_and(has_pages);
        (self.tells_reached && !has_own).then(|| match self.has_second() {
            true => format!("\"@{}\"", upstream_name(self.plugin, self.app)),
            false => UNANSWERED.to_owned(),
        })
    }

    /// nginx limits how many workers are tried, those that are not there among them. Where that may leave one out that
    /// is there, what has reached none is tried again.
    fn has_second(&self) -> bool {
        let only_sets = |it: &Fragment| it.only_sets() && !it.has("error_page");
        let own = self.app.fragment.as_ref().is_none_or(only_sets);
        let beside = !self.on_server.is_some_and(|it| it.has("error_page"));
        self.tells_reached && self.app.sockets.len() > TRIES && own && beside
    }

    fn second(&self) -> Option<Location> {
        let matcher = self.unanswered().filter(|_| self.has_second())?;
        let location = self.location("", Part::Below, Answer::Workers);
        Some(Location {
            matcher,
            unanswered: Some(UNANSWERED.to_owned()),
            tries: None,
            is_second: true,
            ..location
        })
    }

    fn matcher(&self, path: &str, part: Part) -> String {
        let whole = word(&at(path, part));
        // Beside its own regular expressions ours has to step back; everybody else's do not concern it.
        let yields = path.is_empty() || self.on_server.is_some_and(Fragment::has_pattern);
        match part {
            Part::Itself => format!("= {whole}"),
            Part::Below if yields => whole,
            Part::Below => format!("^~ {whole}"),
        }
    }

    /// For scripts: which file, and what stands behind it in the path. Others look at REQUEST_URI.
    fn fastcgi(&self, path: &str, part: Part, fragment: Option<&Fragment>) -> FastCgi {
        let dir = &self.app.dir;
        let script = |base: &str| {
            let base = value(base);
            format!("{}$fastcgi_script_name\"", base.strip_suffix('"').unwrap_or(&base))
        };
        let all = [
            ("SCRIPT_FILENAME", script(dir)),
            ("SCRIPT_NAME", script(path)),
            ("PATH_INFO", "$fastcgi_path_info".to_owned()),
            ("DOCUMENT_ROOT", value(dir)),
            ("DOCUMENT_URI", "$document_uri".to_owned()),
            ("REQUEST_URI", "$request_uri".to_owned()),
            ("REQUEST_METHOD", "$request_method".to_owned()),
            ("REQUEST_SCHEME", "$scheme".to_owned()),
            ("QUERY_STRING", "$query_string".to_owned()),
            ("CONTENT_TYPE", "$content_type".to_owned()),
            ("CONTENT_LENGTH", "$content_length".to_owned()),
            ("HTTPS", "$https if_not_empty".to_owned()),
            ("GATEWAY_INTERFACE", "CGI/1.1".to_owned()),
            ("SERVER_PROTOCOL", "$server_protocol".to_owned()),
            ("SERVER_SOFTWARE", "nginx".to_owned()),
            ("SERVER_ADDR", "$server_addr".to_owned()),
            ("SERVER_PORT", "$server_port".to_owned()),
            ("SERVER_NAME", "$host".to_owned()),
            ("REMOTE_ADDR", "$remote_addr".to_owned()),
            ("REMOTE_PORT", "$remote_port".to_owned()),
            ("REMOTE_USER", "$remote_user".to_owned()),
            // PHP answers nobody without it.
            ("REDIRECT_STATUS", "200".to_owned()),
            // A request header must not set a proxy for the script's own requests.
            ("HTTP_PROXY", "\"\"".to_owned()),
        ];
        let parameters = all
            .into_iter()
            .filter(|(name, _)| !fragment.is_some_and(|it| it.has_parameter(name)))
            .map(|(name, value)| Parameter { name, value });
        let slash = if part == Part::Below { "/" } else { "" };
        let has_index = std::path::Path::new(dir).join("index.php").is_file();
        FastCgi {
            root: value(&format!("{dir}{slash}")),
            split: word(&format!("(?s)^{}((?:/.*?\\.php(?=/|$))|(?:/.*)?)(/.*)?$", pattern(path))),
            index: has_index.then_some("index.php"),
            parameters: parameters.collect(),
        }
    }
}

fn at(path: &str, part: Part) -> String {
    match part {
        Part::Itself => path.to_owned(),
        Part::Below => format!("{path}/"),
    }
}

/// A path for a `Location` header.
fn encoded(path: &str) -> String {
    let mut encoded = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_a_header_is_encoded() {
        assert_eq!(encoded("/a-b/c d$é\n"), "/a-b/c%20d%24%C3%A9%0A");
    }
}
