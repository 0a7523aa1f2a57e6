//! How far a fragment reaches: one in the server or the `http` block that all plugins share must not answer, guard or
//! rewrite what is another plugin's.
//!
//! What only sets something stays, and so does a location that is nobody else's. The operator can allow a plugin more,
//! by `[nginx] fragments_allowed` in the module's configuration.

use std::path::Path;

use super::fragment::Fragment;
use super::syntax::{self, Directive};
use crate::fs;

/// What a fragment does that is not its plugin's affair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trespass {
    pub(super) line: usize,
    pub(super) reason: String,
}

/// Where a fragment is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Http,
    Server,
    /// Into a location and, if the app has host names, into a server of its own.
    App,
}

/// Whose fragment it is, and what the module has for itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Own<'a> {
    /// The routes of the plugin, without a `/` at their ends.
    pub(super) routes: &'a [String],
    pub(super) ports: &'a [u16],
    /// Bytes that a body may have.
    pub(super) body_size: u64,
}

/// What answers, or decides who is answered, whatever is asked for.
const ANSWERS: [&str; 17] = [
    "allow",
    "auth_basic",
    "auth_basic_user_file",
    "auth_jwt",
    "auth_jwt_key_file",
    "auth_jwt_key_request",
    "auth_request",
    "deny",
    "if",
    "limit_conn",
    "limit_req",
    "mirror",
    "post_action",
    "return",
    "satisfy",
    "stub_status",
    "try_files",
];
/// What changes what others get, or what the operator relies on.
const CHANGES: [&str; 29] = [
    "access_log",
    "add_after_body",
    "add_before_body",
    "autoindex",
    "dav_methods",
    "disable_symlinks",
    "error_log",
    "fastcgi_cache",
    "fastcgi_pass_request_body",
    "fastcgi_pass_request_headers",
    "fastcgi_store",
    "http2",
    "limit_rate",
    "listen",
    "proxy_cache",
    "proxy_method",
    "proxy_pass_request_body",
    "proxy_pass_request_headers",
    "proxy_set_body",
    "proxy_store",
    "real_ip_header",
    "real_ip_recursive",
    "root",
    "server_name",
    "set_real_ip_from",
    "ssi",
    "sub_filter",
    "worker_shutdown_timeout",
    "xslt_stylesheet",
];

/// The first directive that reaches beyond the plugin, whoever else is there.
pub(super) fn trespass(fragment: &Fragment, place: Place, own: Own<'_>) -> Option<Trespass> {
    fragment.directives.iter().find_map(|it| of_directive(it, place, own))
}

fn of_directive(directive: &Directive, place: Place, own: Own<'_>) -> Option<Trespass> {
    let name = directive.name.as_str();
    let first = directive.arguments.first().map_or("", String::as_str);
    let refuse = |why: &str| Some(Trespass { line: directive.line, reason: format!("`{name}` {why}") });
    if place == Place::App {
        return match name {
            "listen" | "server_name" => refuse("is the module's affair"),
            _ => None,
        };
    }
    match name {
        "location" => {
            let all = match (first, directive.arguments.get(1).map(String::as_str)) {
                ("~" | "~*", Some(pattern)) => matches_all(pattern) && !begins_with(pattern, own.routes),
                ("^~", Some(path)) => path == "/",
                (path, None) => path == "/",
                _ => false,
            };
            if all { refuse("takes every path that nobody has") } else { None }
        }
        "rewrite" if begins_with(first, own.routes) => None,
        "rewrite" => refuse("is for every request there, those for other plugins too"),
        "client_max_body_size" if size(first).is_some_and(|size| size == 0 || size >= own.body_size) => None,
        "client_max_body_size" => refuse("is less than the module's, for all plugins"),
        "server" => of_server(directive, own),
        "include" => of_included(directive, place, own),
        "set_by_lua" | "set_by_lua_block" | "set_by_lua_file" => None,
        _ if ANSWERS.contains(&name) => refuse("is for every request there, those for other plugins too"),
        _ if CHANGES.contains(&name) => refuse("changes what the module and other plugins have"),
        _ if name.starts_with("ssl_") && !name.starts_with("ssl_session_") => {
            refuse("changes what the module and other plugins have")
        }
        _ if runs_on_requests(name) => refuse("is for every request there, those for other plugins too"),
        _ => None,
    }
}

/// Whether Lua or JavaScript runs that can answer.
fn runs_on_requests(name: &str) -> bool {
    let phase = name.split("_by_lua").next().unwrap_or(name);
    (name.contains("_by_lua") && !matches!(phase, "init" | "init_worker" | "exit_worker" | "log"))
        || matches!(name, "js_header_filter" | "js_body_filter" | "js_access")
}

/// A server of the plugin's own has ports of its own.
fn of_server(server: &Directive, own: Own<'_>) -> Option<Trespass> {
    let listens = server.block.iter().filter(|it| it.name == "listen");
    let taken = listens.into_iter().find(|it| {
        let address = it.arguments.first().map_or("", String::as_str);
        let port = address.rsplit(':').next().unwrap_or_default();
        // Without a port it is 80.
        let port = port.parse().unwrap_or(80);
        !address.starts_with("unix:") && own.ports.contains(&port)
    });
    taken.map(|it| Trespass {
        line: it.line,
        reason: format!("`listen {}` is at a port of the module", it.arguments.join(" ")),
    })
}

/// What is included counts as if it stood there.
fn of_included(include: &Directive, place: Place, own: Own<'_>) -> Option<Trespass> {
    let refuse = |why: String| Some(Trespass { line: include.line, reason: format!("`include` {why}") });
    let file = include.arguments.first().map_or("", String::as_str);
    let path = Path::new(file);
    if !path.is_absolute() || file.contains(['*', '?', '[', '$']) {
        return refuse("names no single file by its whole path, and cannot be looked into".to_owned());
    }
    // nginx says what is wrong with a file that is not there.
    let text = fs::read_text_optional(path).ok().flatten()?;
    let Ok(directives) = syntax::parse(&text) else {
        return refuse("of a file that is not whole directives and whole blocks".to_owned());
    };
    let nested = directives.iter().find(|it| it.name == "include");
    if nested.is_some() {
        return refuse("of a file that includes others".to_owned());
    }
    let found = directives.iter().find_map(|it| of_directive(it, place, own))?;
    refuse(format!("of a file where, in line {}, {}", found.line, found.reason))
}

/// What other plugins have.
#[derive(Debug, Default)]
pub(super) struct Others {
    /// Their routes, without a `/` at the ends, and whose they are.
    pub(super) routes: Vec<(String, String)>,
    /// The names of their upstreams.
    pub(super) upstreams: Vec<String>,
    pub(super) sockets: Vec<String>,
    /// One whose locations step back for regular expressions, as they have to for its own.
    pub(super) yielding: Option<String>,
}

/// The first directive that takes what another plugin has.
pub(super) fn taking(fragment: &Fragment, own: Own<'_>, others: &Others) -> Option<Trespass> {
    fragment.directives.iter().find_map(|it| {
        let reason = match it.name.as_str() {
            "location" => taken_by_location(it, own, others),
            "server" => it.block.iter().find_map(|it| taken_by_listen(it, others)),
            "upstream" => taken_name(it.arguments.first()?, others),
            _ => it.arguments.iter().find_map(|argument| {
                let (key, value) = argument.split_once('=')?;
                matches!(key, "zone" | "keys_zone").then_some(())?;
                taken_name(value.split(':').next()?, others)
            }),
        }?;
        Some(Trespass { line: it.line, reason: format!("`{}` {reason}", it.name) })
    })
}

fn taken_by_location(location: &Directive, own: Own<'_>, others: &Others) -> Option<String> {
    let (matcher, path) = match &location.arguments[..] {
        [path] => ("", path.as_str()),
        [matcher, path] => (matcher.as_str(), path.as_str()),
        _ => return None,
    };
    if matcher.starts_with('~') {
        let plugin = others.yielding.as_ref().filter(|_| !begins_with(path, own.routes))?;
        return Some(format!(
            "takes paths of the plugin `{plugin}`, too: its pattern does not begin with a route of its own"
        ));
    }
    if let Some(name) = path.strip_prefix('@') {
        return (["unanswered", "not_found"].contains(&name) || others.upstreams.iter().any(|it| it == name))
            .then(|| format!("`{path}` is the name of one that the module has"));
    }
    let is_below = |route: &str| {
        !route.is_empty()
            && (path == route || path.strip_prefix(route).is_some_and(|rest| rest.starts_with('/')))
    };
    let (route, owner) =
        others.routes.iter().filter(|(route, _)| is_below(route)).max_by_key(|(route, _)| route.len())?;
    let is_own = own.routes.iter().any(|it| it.len() > route.len() && is_below(it));
    (!is_own).then(|| format!("`{path}` takes what is a route of the plugin `{owner}`"))
}

fn taken_by_listen(directive: &Directive, others: &Others) -> Option<String> {
    let socket = directive.arguments.first()?.strip_prefix("unix:")?;
    (directive.name == "listen" && others.sockets.iter().any(|it| it == socket))
        .then(|| format!("listens at `{socket}`, the socket of another plugin's worker"))
}

fn taken_name(name: &str, others: &Others) -> Option<String> {
    others
        .upstreams
        .iter()
        .any(|it| it.eq_ignore_ascii_case(name))
        .then(|| format!("`{name}` is the name of another plugin's app"))
}

/// Whether a pattern names nothing that a path has to have.
fn matches_all(pattern: &str) -> bool {
    if pattern.contains("(?!") || pattern.contains("(?<!") {
        return true;
    }
    pattern.split('|').any(|alternative| {
        let mut characters = alternative.chars();
        while let Some(character) = characters.next() {
            match character {
                '\\' if characters.next().is_some_and(|it| !it.is_ascii_alphanumeric()) => return false,
                '[' => while characters.next().is_some_and(|it| it != ']') {},
                '{' => while characters.next().is_some_and(|it| it != '}') {},
                it if it.is_alphanumeric() || matches!(it, '-' | '_' | '~' | '@' | '=' | ',') => {
                    return false;
                }
                _ => {}
            }
        }
        true
    })
}

/// Whether a pattern matches nothing but one of the routes and what is below.
fn begins_with(pattern: &str, routes: &[String]) -> bool {
    let mut depth = 0_i32;
    let has_alternatives = pattern.chars().any(|character| {
        depth += i32::from(character == '(') - i32::from(character == ')');
        character == '|' && depth == 0
    });
    let plain = pattern.replace("\\-", "-").replace("\\.", ".").replace("\\/", "/");
    let Some(plain) = plain.strip_prefix('^').filter(|_| !has_alternatives) else { return false };
    routes.iter().filter(|route| !route.is_empty()).any(|route| {
        let rest = plain.strip_prefix(route.as_str());
        rest.is_some_and(|rest| {
            rest == "$"
                || ["/", "(/", "(?:/", "[/]"].iter().any(|start| rest.starts_with(start))
                    && !rest.starts_with("/?")
                    && !rest.starts_with("/*")
        })
    })
}

/// As nginx has it: `10m`.
fn size(text: &str) -> Option<u64> {
    let unit = |letter: char| match letter.to_ascii_lowercase() {
        'k' => Some(1 << 10),
        'm' => Some(1 << 20),
        'g' => Some(1 << 30),
        _ => None,
    };
    let last = text.chars().last()?;
    match unit(last) {
        Some(unit) => text[..text.len() - 1].parse::<u64>().ok()?.checked_mul(unit),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_names_nothing_matches_all() {
        for pattern in
            ["", "/", "^", "^/", ".*", "^/(.*)$", "^(?!/x)", "\\w", "[a-z]+", "x|.", ".{2}", "^/.+/?$"]
        {
            assert!(matches_all(pattern), "{pattern}");
        }
        for pattern in ["\\.php$", "^/hello", "x", "/\\-", "a|b"] {
            assert!(!matches_all(pattern), "{pattern}");
        }
    }

    #[test]
    fn a_pattern_is_below_a_route_at_a_boundary_alone() {
        let routes = ["/hello".to_owned(), "/a-b".to_owned()];
        for pattern in
            ["^/hello/", "^/hello$", "^/hello(/.*)?$".trim_end_matches("?$"), "^/a\\-b/x", "^/hello/(a|b)"]
        {
            assert!(begins_with(pattern, &routes), "{pattern}");
        }
        for pattern in
            ["/hello/", "^/hellox", "^/hello", "^/hello(.*)", "^/hello/x|.*", "^/hello/?", "^/other/", "^/"]
        {
            assert!(!begins_with(pattern, &routes), "{pattern}");
        }
    }

    #[test]
    fn sizes_are_read_as_nginx_reads_them() {
        assert_eq!(
            ["0", "5", "2k", "3M", "1g", "x", ""].map(size),
            [Some(0), Some(5), Some(2048), Some(3 << 20), Some(1 << 30), None, None]
        );
    }
}
