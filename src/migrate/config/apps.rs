//! `[app_*]`: the types of apps are commands today.

use super::Leftovers;
use crate::migrate::ini::{Item, Key, Section};
use crate::migrate::{Facts, Findings};

/// Whether the section stays.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Yes,
    No,
}

/// Keys with a `_` in front today.
const PRIVATE: [&str; 5] = [
    "prefix_based_routing",
    "virtualdomain_based_routing",
    "static_routing",
    "extra_nginx_conf_filename",
    "extra_nginx_conf_static_filename",
];
/// What `type` may say.
const TYPES: [&str; 6] = ["python3_sync", "gunicorn3_sync", "gunicorn3_asyncio", "aiohttp", "node", "static"];
/// Keys that have no effect any more.
const DROPPED: [&str; 3] = ["add_plugin_dir_to_node_path", "rlimit_core", "rlimit_nproc"];

pub(super) fn migrate(
    section: &mut Section,
    facts: &Facts<'_>,
    left: &mut Leftovers,
    report: &mut Findings,
) -> Kept {
    let is_of_old = section.keys().all(|key| !key.name.starts_with('_'));
    if let Some(kind) = section.take("type").first() {
        let name = kind.value();
        let argument = argument(section);
        let command = match name.as_str() {
            "" => return Kept::No,
            "python3_sync" | "gunicorn3_sync" => sync(section, &argument),
            "python2_sync" | "gunicorn2_sync" if facts.from_python2 => sync(section, &argument),
            "gunicorn3_asyncio" => {
                left.requirements.push("gunicorn".to_owned());
                format!(
                    "gunicorn --worker-class=aiohttp.GunicornWebWorker --bind=unix:{{unix_socket_path}} {argument}"
                )
            }
            "aiohttp" => format!("python {{plugin_dir}}/{argument} \"{{unix_socket_path}}\" {{timeout}}"),
            "node" => node(section),
            "static" => {
                section.set("_static_url_prefix", "");
                section.set("_static_directory", "");
                "null".to_owned()
            }
            other => {
                let reason = match other.contains('2') {
                    true => "there is no Python 2 any more".to_owned(),
                    false => format!("{} are known", TYPES.join(", ")),
                };
                report.problem(
                    "config.ini",
                    kind.line,
                    &format!("[{}] type: found `{other}`; {reason}", section.name),
                );
                return Kept::Yes;
            }
        };
        let at = section.items.iter().position(|item| matches!(item, Item::Key(_)));
        let key = Key::new("_cmd_and_args", &command);
        section.items.insert(at.unwrap_or(0), Item::Key(key));
    } else if is_of_old {
        let text =
            format!("[{}] has no `type`: nothing runs; write its command as `_cmd_and_args`", section.name);
        report.note("config.ini", section.line, text);
    }
    section.rename("workers", "numprocesses");
    section.rename("proxy_timeout", "timeout");
    for key in PRIVATE {
        section.rename(key, &format!("_{key}"));
    }
    if is_of_old && section.get("_virtualdomain_based_routing").is_none() {
        section.set("_virtualdomain_based_routing", "true");
    }
    for key in DROPPED {
        section.take(key);
    }
    for key in section.take("add_plugin_dir_to_python_path") {
        left.general.push(("_add_plugin_dir_to_python_path".to_owned(), key.value()));
    }
    let paths: Vec<String> = section.keys().map(|key| key.name.clone()).collect();
    for name in paths.iter().filter(|name| name.starts_with("add_app_dir_to_")) {
        for key in section.take(name) {
            if is_true(&key.value()) {
                report.note(
                    "config.ini",
                    key.line,
                    format!(
                        "[{}] `{name}` is no longer there: import from the plugin's directory, as `{}.module`",
                        section.name,
                        super::instance(&section.name)
                    ),
                );
            }
        }
    }
    Kept::Yes
}

fn is_true(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "1" | "true" | "yes")
}

/// What the app was called with.
fn argument(section: &mut Section) -> String {
    let main = section.take("main_arg");
    let gunicorn = section.take("gunicorn_arg");
    main.iter().chain(&gunicorn).map(Key::value).find(|value| !value.is_empty()).unwrap_or_default()
}

fn sync(section: &mut Section, argument: &str) -> String {
    section.set("_debug_extra_options", "--debug --debug-evalex");
    format!(
        "bjoern_wrapper.py {{debug_extra_options}} --timeout={{timeout}} {argument} \"{{unix_socket_path}}\""
    )
}

fn node(section: &mut Section) -> String {
    let value = |section: &mut Section, key| section.take(key).first().map(Key::value);
    let script = value(section, "node_arg").unwrap_or_default();
    let options = value(section, "node_extra_opts").filter(|options| !options.is_empty());
    let options = options.map(|options| format!("{options} ")).unwrap_or_default();
    format!("node {options}{{plugin_dir}}/{{app_name}}/{script} \"{{unix_socket_path}}\" {{timeout}}")
}
