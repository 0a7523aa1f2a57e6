//! Fragments: what plugins bring along for nginx's configuration, as Jinja2 over their environment.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use minijinja::UndefinedBehavior;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;

use super::Nginx;
use super::reach::{self, Own, Place, Trespass};
use super::syntax::{self, Directive};
use crate::env;
use crate::error::{Error, Result};
use crate::fs;
use crate::jinja;
use crate::plugin::Plugin;
use crate::plugin::config::Section;
use crate::run::NginxSettings;
use crate::site::{Environment, Site};
use crate::text;

/// A fragment that is whole: it neither ends a block that it has not begun nor leaves one open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fragment {
    /// As the plugin's configuration names it.
    pub(super) file: String,
    pub(super) text: String,
    /// Empty for Lua.
    pub(super) directives: Vec<Directive>,
}

impl Fragment {
    /// The directives at its top.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.directives.iter().map(|directive| directive.name.as_str())
    }

    /// Whether a directive stands at its top.
    pub(super) fn has(&self, name: &str) -> bool {
        self.directives.iter().any(|directive| directive.name == name)
    }

    /// Whether it does nothing but set what holds for a location: what chooses an answer is not to be asked twice.
    pub(super) fn only_sets(&self) -> bool {
        const CHOOSES: [&str; 8] =
            ["location", "if", "limit_except", "rewrite", "return", "try_files", "alias", "internal"];
        let chooses = |it: &Directive| CHOOSES.contains(&it.name.as_str()) || it.name.contains("_by_lua");
        !self.directives.iter().any(chooses)
    }

    /// Whether any Lua is in it.
    pub(super) fn has_lua(&self) -> bool {
        first_lua(&self.directives).is_some()
    }

    /// Whether it gives this FastCGI parameter a value.
    pub(super) fn has_parameter(&self, name: &str) -> bool {
        let gives =
            |it: &Directive| it.name == "fastcgi_param" && it.arguments.first().is_some_and(|it| it == name);
        self.directives.iter().any(gives)
    }

    /// Whether a location at its top is the one that `matcher` makes, as `= "/a"` or `^~ "/a/"`: nginx takes no two.
    pub(super) fn has_location(&self, is_exact: bool, path: &str) -> bool {
        let is_same = |it: &Directive| match it.arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["=", found] => is_exact && found == path,
            ["^~", found] | [found] => !is_exact && found == path,
            _ => false,
        };
        self.directives.iter().any(|it| it.name == "location" && is_same(it))
    }

    /// Whether it has a location that is a regular expression.
    pub(super) fn has_pattern(&self) -> bool {
        let is_pattern = |it: &Directive| it.arguments.first().is_some_and(|first| first.starts_with('~'));
        self.directives.iter().any(|it| it.name == "location" && is_pattern(it))
    }

    /// What it defines for the whole server that nginx would let somebody else define again, without a word; each
    /// with its line.
    pub(super) fn definitions(&self) -> impl Iterator<Item = (&str, usize)> {
        definitions(&self.directives)
    }

    /// The same less its locations: there can be none in one for a single path.
    #[must_use]
    pub(super) fn without_locations(&self) -> Fragment {
        let mut text = String::new();
        let mut position = 0;
        for location in self.directives.iter().filter(|directive| directive.name == "location") {
            text.push_str(&self.text[position..location.start]);
            position = location.end;
        }
        text.push_str(&self.text[position..]);
        let directives =
            self.directives.iter().filter(|directive| directive.name != "location").cloned().collect();
        Fragment { file: self.file.clone(), text, directives }
    }
}

/// Reads the fragments of one plugin.
pub(super) struct Fragments<'a> {
    plugin: &'a Plugin,
    site: &'a Site,
    /// `None` where there is none to refuse Lua, which is no mistake then.
    nginx: Option<&'a Nginx>,
    /// Where they are known, fragments must not reach beyond the plugin unless these allow it.
    settings: Option<&'a NginxSettings>,
    /// Made for the first fragment: most plugins have none.
    variables: Option<jinja::Variables>,
}

impl<'a> Fragments<'a> {
    pub(super) fn new(
        plugin: &'a Plugin,
        site: &'a Site,
        nginx: Option<&'a Nginx>,
        settings: Option<&'a NginxSettings>,
    ) -> Fragments<'a> {
        Fragments { plugin, site, nginx, settings, variables: None }
    }

    /// As [`new`](Fragments::new), for whoever has the plugin's environment already.
    pub(super) fn over(
        plugin: &'a Plugin,
        site: &'a Site,
        nginx: Option<&'a Nginx>,
        settings: Option<&'a NginxSettings>,
        environment: &Environment,
    ) -> Fragments<'a> {
        Fragments { variables: Some(of_text(environment)), ..Fragments::new(plugin, site, nginx, settings) }
    }

    /// The fragment that a key names.
    pub(super) fn read(&mut self, section: &Section, key: &str) -> Result<Option<Fragment>> {
        let Some((file, text)) = self.rendered(section, key)? else { return Ok(None) };
        let path = self.plugin.dir.join(&file);
        let directives = syntax::parse(&text).map_err(|broken| {
            Error::input(format!(
                "{}: {}",
                text::place(&path, broken.line, None),
                text::visible(&broken.reason)
            ))
            .hint("a fragment is put among others: it has to be whole directives and whole blocks")
        })?;
        if let Some(lua) = first_lua(&directives)
            && !self.runs_lua()
        {
            return Err(needs_lua(&format!("{}: `{}`", text::place(&path, lua.line, None), lua.name)));
        }
        let fragment = Fragment { file, text, directives };
        let place = match key {
            "_extra_nginx_http_conf_filename" => Place::Http,
            "_extra_nginx_server_conf_filename" => Place::Server,
            _ => Place::App,
        };
        match self.trespass(&fragment, place) {
            Some(found) => Err(beyond(&path, self.plugin.label.name.as_str(), &found)),
            None => Ok(Some(fragment)),
        }
    }

    /// What the fragment does that is not its plugin's affair.
    fn trespass(&self, fragment: &Fragment, place: Place) -> Option<Trespass> {
        let settings = self.settings.filter(|it| !is_allowed(it, self.plugin.label.name.as_str()))?;
        let ports: Vec<u16> = std::iter::once(settings.port).chain(settings.https_port).collect();
        let routes = own_routes(self.plugin);
        let own = Own { routes: &routes, ports: &ports, body_size: settings.upload_max_body_size << 20 };
        reach::trespass(fragment, place, own)
    }

    /// The Lua code that a key names.
    pub(super) fn read_lua(&mut self, section: &Section, key: &str) -> Result<Option<Fragment>> {
        let Some((file, text)) = self.rendered(section, key)? else { return Ok(None) };
        if !self.runs_lua() {
            return Err(needs_lua(&format!("{}: [{}] {key}", self.config(), section.name)));
        }
        Ok(Some(Fragment { file, text, directives: Vec::new() }))
    }

    fn runs_lua(&self) -> bool {
        self.nginx.is_none_or(|nginx| nginx.lua(self.site).is_some())
    }

    fn rendered(&mut self, section: &Section, key: &str) -> Result<Option<(String, String)>> {
        let file = section.text(key);
        if file.is_empty() {
            return Ok(None);
        }
        let path = self.plugin.dir.join(file);
        let text = fs::read_text_optional(&path)?.ok_or_else(|| {
            Error::input(format!(
                "{}: [{}] {key}: {} is not there",
                self.config(),
                section.name,
                text::path(&path)
            ))
            .hint("write that file, or `null` for none")
        })?;
        let text = render(&self.plugin.dir, &path, &text, &self.variables()?)?;
        Ok(Some((file.to_owned(), text)))
    }

    fn config(&self) -> String {
        text::path(&self.plugin.dir.join("config.ini"))
    }

    fn variables(&mut self) -> Result<jinja::Variables> {
        if let Some(variables) = &self.variables {
            return Ok(variables.clone());
        }
        let base = self.site.plugins_base(&self.plugin.label.module);
        let environment = env::of_plugin(&self.plugin.dir, &base, self.site)?;
        let variables = of_text(&environment);
        Ok(self.variables.insert(variables).clone())
    }
}

/// Whether the operator lets the fragments of this plugin do anything.
pub(super) fn is_allowed(settings: &NginxSettings, plugin: &str) -> bool {
    settings.fragments_allowed.iter().any(|name| name == plugin)
}

/// The routes that a plugin has by its name and its configuration, without a `/` at their ends.
pub(super) fn own_routes(plugin: &Plugin) -> Vec<String> {
    let extra = plugin.config.apps().flat_map(|app| app.text("prefix_based_routing_extra_routes").split(';'));
    let extra = extra.map(|route| route.trim().trim_end_matches('/').to_owned());
    std::iter::once(format!("/{}", plugin.label.name)).chain(extra).collect()
}

/// That a fragment reaches beyond its plugin.
pub(super) fn beyond(file: &Path, plugin: &str, found: &Trespass) -> Error {
    Error::input(format!("{}: {}", text::place(file, found.line, None), text::visible(&found.reason))).hint(format!(
        "put it into a location of the plugin's own; or have the operator set fragments_allowed={plugin} in section \
         [nginx] of the module's config/config.ini"
    ))
}

/// The variables that are text.
fn of_text(environment: &Environment) -> jinja::Variables {
    let text =
        |(name, value): (&OsString, &OsString)| Some((name.to_str()?.to_owned(), value.to_str()?.to_owned()));
    Arc::new(environment.iter().filter_map(text).collect())
}

/// The text of the fragment at `path` with its variables filled in; `include` and `extends` find files of the plugin,
/// by their path in it or beside the fragment, and none outside.
fn render(plugin: &Path, path: &Path, text: &str, variables: &jinja::Variables) -> Result<String> {
    let failed = |error: &minijinja::Error| {
        let file = error.name().filter(|name| *name != FRAGMENT).map(|name| plugin.join(name));
        let file = file.as_deref().unwrap_or(path);
        let place = error.line().map_or_else(|| text::path(file), |line| text::place(file, line, None));
        Error::input(format!("{place}: {}", text::visible(&jinja::reason(error)))).hint(
            "this file is Jinja2 over the plugin's environment, such as `{{ MFSERV_CURRENT_PLUGIN_DIR }}`; \
             `{% raw %}…{% endraw %}` keeps a part as it is",
        )
    };
    let mut engine = jinja::engine_over(variables);
    // As MetWork has it: a gap in nginx's configuration would mean something else.
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
    engine.set_syntax(syntax.map_err(|error| failed(&error))?);
    jinja::include_from(&mut engine, plugin, path.parent().unwrap_or(plugin));
    jinja::render(&engine, FRAGMENT, text, Value::from_dyn_object(Arc::clone(variables)))
        .map_err(|error| failed(&error))
}

/// What errors in the fragment itself have for a name; no file of a plugin does.
const FRAGMENT: &str = "\0";

/// Variables and named locations.
pub(super) fn definitions(directives: &[Directive]) -> impl Iterator<Item = (&str, usize)> {
    directives.iter().filter_map(|it| {
        let name = match it.name.as_str() {
            "map" | "split_clients" => it.arguments.get(1),
            "geo" => it.arguments.last(),
            "perl_set" | "js_set" | "js_var" => it.arguments.first(),
            "location" => it.arguments.first().filter(|name| name.starts_with('@')),
            _ => None,
        };
        name.map(|name| (name.as_str(), it.line))
    })
}

/// The first directive, at any depth, that only an nginx with Lua knows.
fn first_lua(directives: &[Directive]) -> Option<&Directive> {
    directives.iter().find_map(|directive| {
        let is_lua = directive.name.starts_with("lua_") || directive.name.contains("_by_lua");
        if is_lua { Some(directive) } else { first_lua(&directive.block) }
    })
}

fn needs_lua(place: &str) -> Error {
    Error::input(format!(
        "{place} needs openresty, or nginx with its Lua module; the nginx of this machine runs no Lua"
    ))
    .hint("install the module (Debian: `apt install libnginx-mod-http-lua`) or put `openresty` on PATH")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn fragment(text: &str) -> Fragment {
        Fragment { file: "x.conf".into(), text: text.into(), directives: syntax::parse(text).unwrap() }
    }

    #[test]
    fn what_stands_at_the_top_is_known() {
        let fragment = fragment(
            "root /x; fastcgi_param A b;\nlocation = /a { deny all; }\nlocation /b/ { } location ~ /c { }",
        );
        assert!(fragment.has("root") && !fragment.has("deny"));
        assert!(fragment.has_parameter("A") && !fragment.has_parameter("b"));
        assert!(fragment.has_location(true, "/a") && !fragment.has_location(false, "/a"));
        assert!(fragment.has_pattern());
        assert!(fragment.has_location(false, "/b/") && !fragment.has_location(false, "/c"));
        assert_eq!(fragment.without_locations().text, "root /x; fastcgi_param A b;\n\n ");
    }

    #[test]
    fn a_template_is_strict_about_what_it_names() {
        let variables = Arc::new(BTreeMap::from([("A".to_owned(), "b".to_owned())]));
        let (plugin, path) = (Path::new("/p"), Path::new("/p/x.conf"));
        assert_eq!(render(plugin, path, "x {{ A.upper() }};\n", &variables).unwrap(), "x B;\n");
        for (text, expected) in
            [("\n{{ NONE }}", "/p/x.conf:2: `NONE` is undefined"), ("{% if %}", "/p/x.conf:1: ")]
        {
            let error = render(plugin, path, text, &variables).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn files_of_the_plugin_can_be_included_and_none_outside() {
        let root = tempfile::tempdir().unwrap();
        let plugin = root.path().join("p");
        for (name, content) in [
            ("p/conf/common.conf", "root {{ A }};"),
            ("p/top.conf", "gzip on;"),
            ("p/bad.conf", "\n{{ NONE }}"),
            ("secret.conf", "x"),
        ] {
            let file = root.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write_atomic(&file, content.as_bytes()).unwrap();
        }
        fs::symlink(Path::new("../secret.conf"), &plugin.join("out.conf")).unwrap();
        let variables = Arc::new(BTreeMap::from([("A".to_owned(), "/b".to_owned())]));
        let path = plugin.join("conf/x.conf");
        let render = |text: &str| render(&plugin, &path, text, &variables);
        let both = "{% include \"common.conf\" %} {% include 'top.conf' %} {% include 'conf/common.conf' %}";
        assert_eq!(render(both).unwrap(), "root /b; gzip on; root /b;");
        for outside in ["../secret.conf", "../../secret.conf", "/etc/hostname", "out.conf"] {
            let error = render(&format!("{{% include '{outside}' %}}")).unwrap_err().to_string();
            assert!(!error.contains("secret;") && error.contains("x.conf:1: "), "{outside}: {error}");
        }
        let error = render("{% include 'none.conf' %}").unwrap_err().to_string();
        assert!(error.contains("none.conf"), "{error}");
        let error = render("{% include 'bad.conf' %}").unwrap_err().to_string();
        assert!(error.contains("bad.conf"), "{error}");
        assert_eq!(render("{% include 'none.conf' ignore missing %}x;").unwrap(), "x;");
    }

    #[test]
    fn lua_is_found_at_any_depth() {
        let fragment = fragment("location / {\n content_by_lua_block { return 1 }\n}");
        assert_eq!(first_lua(&fragment.directives).unwrap().line, 2);
    }
}
