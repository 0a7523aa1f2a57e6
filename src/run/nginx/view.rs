//! From plugins and settings to the text of the configuration: what `templates/nginx/nginx.conf` is rendered with.

use std::collections::BTreeSet;

use minijinja::syntax::SyntaxConfig;
use serde::Serialize;

use super::apps::{App, Candidate};
use super::base::Base;
use super::fragment::Fragment;
use super::locations::{Location, of_host, of_paths};
use super::routes::Routes;
use super::syntax::{value, word};
use crate::error::{Error, Result};
use crate::text;

const TEMPLATE: &str = include_str!("../../../templates/nginx/nginx.conf");
const TYPES: &str = include_str!("../../../templates/nginx/mime.types");

/// The configuration with these plugins.
pub(super) fn render(base: &Base, plugins: &[&Candidate], routes: &Routes) -> Result<String> {
    let view = View::new(base, plugins, routes);
    let failed = |error: minijinja::Error| Error::machine(format!("nginx's configuration: {error:#}"));
    let mut engine = minijinja::Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    engine.set_syntax(syntax.map_err(failed)?);
    engine.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    engine.add_template("mime.types", TYPES).map_err(failed)?;
    engine.add_template("nginx.conf", TEMPLATE).map_err(failed)?;
    let template = engine.get_template("nginx.conf").map_err(failed)?;
    let text = template.render(minijinja::value::Serde(&view)).map_err(failed)?;
    Ok(format!("{text}\n"))
}

#[derive(Serialize)]
struct View<'a> {
    #[serde(flatten)]
    base: &'a Base,
    log_extra: bool,
    lua: Option<Lua>,
    upstreams: Vec<Upstream>,
    http_fragments: Vec<Insertion>,
    /// What these set: nginx takes nothing twice.
    http_own: BTreeSet<&'a str>,
    server_fragments: Vec<Insertion>,
    not_found: bool,
    locations: Vec<Location>,
    hosts: Vec<Host>,
}

#[derive(Serialize)]
struct Lua {
    package_path: String,
    init_worker: Vec<Insertion>,
}

#[derive(Serialize)]
struct Upstream {
    name: String,
    /// Kilobytes of memory that nginx's workers share, so that all know how busy each worker is.
    zone: usize,
    sockets: Vec<String>,
}

#[derive(Serialize)]
struct Host {
    plugin: String,
    names: Vec<String>,
    fragment: Option<Insertion>,
    locations: Vec<Location>,
}

/// A fragment with whose it is.
#[derive(Debug, Serialize)]
pub(super) struct Insertion {
    kind: &'static str,
    pub(super) plugin: String,
    file: String,
    text: String,
    /// As a string of Lua.
    quoted: String,
}

impl Insertion {
    pub(super) fn new(kind: &'static str, plugin: &Candidate, fragment: &Fragment) -> Insertion {
        Insertion {
            kind,
            plugin: plugin.name.clone(),
            file: text::visible(&fragment.file),
            text: fragment.text.trim_end_matches('\n').to_owned(),
            quoted: long_bracket(&fragment.text),
        }
    }
}

impl<'a> View<'a> {
    fn new(base: &'a Base, plugins: &[&'a Candidate], routes: &Routes) -> View<'a> {
        let fragments = |kind, pick: fn(&Candidate) -> Option<&Fragment>| -> Vec<Insertion> {
            let one = |plugin: &&Candidate| Some(Insertion::new(kind, plugin, pick(plugin)?));
            plugins.iter().filter_map(one).collect()
        };
        let on_server: Vec<&Fragment> = plugins.iter().filter_map(|plugin| plugin.server.as_ref()).collect();
        let catches_all =
            |it: &&Fragment| it.has("root") || it.has("try_files") || it.has_location(false, "/");
        let host = |(app, names): &((usize, usize), Vec<String>)| {
            let plugin = plugins[app.0];
            let fragment = plugin.apps[app.1].fragment.as_ref();
            Host {
                plugin: plugin.name.clone(),
                names: names.iter().map(|name| word(name)).collect(),
                fragment: fragment.map(|it| Insertion::new("SERVER CONF OF AN APP", plugin, it)),
                locations: of_host(plugins, *app, base.tells_reached()),
            }
        };
        let lua = base.has_lua().then(|| Lua {
            package_path: value(&lua_path(&base.plugins_base, plugins)),
            init_worker: fragments("init_worker_by_lua_block", |it| it.init_worker.as_ref()),
        });
        View {
            base,
            log_extra: plugins
                .iter()
                .flat_map(|plugin| plugin.fragments())
                .any(|it| it.text.contains("$extra_log_format")),
            lua,
            upstreams: upstreams(plugins),
            http_own: plugins.iter().filter_map(|it| it.http.as_ref()).flat_map(Fragment::names).collect(),
            http_fragments: fragments("HTTP CONF", |it| it.http.as_ref()),
            server_fragments: fragments("SERVER CONF", |it| it.server.as_ref()),
            not_found: !routes.paths.iter().any(|route| route.path.is_empty())
                && !on_server.iter().any(catches_all),
            locations: of_paths(plugins, &routes.paths, base.tells_reached()),
            hosts: routes.hosts.iter().map(host).collect(),
        }
    }
}

fn upstreams(plugins: &[&Candidate]) -> Vec<Upstream> {
    let apps = plugins.iter().flat_map(|plugin| plugin.apps.iter().map(move |app| (plugin, app)));
    apps.filter(|(_, app)| !app.sockets.is_empty())
        .map(|(plugin, app)| Upstream {
            name: upstream_name(plugin, app),
            zone: 512 + 4 * app.sockets.len(),
            sockets: app.sockets.iter().map(|socket| word(&format!("unix:{socket}"))).collect(),
        })
        .collect()
}

/// nginx does not tell capitals from small letters there: each capital gets a mark.
pub(super) fn upstream_name(plugin: &Candidate, app: &App) -> String {
    let marked = |name: &str| {
        let mut marked = String::new();
        for character in name.chars() {
            if character.is_ascii_uppercase() {
                marked.push('~');
            }
            marked.push(character);
        }
        marked
    };
    format!("{}.{}", marked(&plugin.name), marked(&app.name))
}

/// Modules are found as `plugin.module`, and by themselves where the plugin wants that.
fn lua_path(base: &str, plugins: &[&Candidate]) -> String {
    let own = plugins.iter().filter(|plugin| plugin.is_on_lua_path).map(|plugin| plugin.dir.as_str());
    let dirs = std::iter::once(base).chain(own).filter(|dir| !dir.contains([';', '?']));
    dirs.map(|dir| format!("{dir}/?.lua;")).collect::<String>() + ";"
}

/// A string of Lua that holds anything.
fn long_bracket(text: &str) -> String {
    let level = (0..).map(|count| "=".repeat(count)).find(|level| !text.contains(&format!("]{level}]")));
    let level = level.unwrap_or_default();
    format!("[{level}[\n{text}\n]{level}]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_of_lua_holds_anything() {
        assert_eq!(long_bracket("a"), "[[\na\n]]");
        assert_eq!(long_bracket("a[[b]] ]=]"), "[==[\na[[b]] ]=]\n]==]");
    }
}
