//! Variables that have another name today.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use crate::plugin::Module;

/// Where a variable stands for its value: `$X`, `${X}`, `{{ X }}`, `{X}`, `'X'`, `"X"`.
static USED: LazyLock<Regex> = LazyLock::new(|| {
    let prefix = r#"(?P<before>\$\{?|\{\{?[\s~]*|["'])"#;
    let name = r"(?P<name>MODULE(?:_(?:HOME|RUNTIME_HOME|VERSION|LOWERCASE))?|MFCOM_HOME|MFCOM_HARDWARE_[A-Z0-9_]+|(?:MFSERV|MFDATA|MFBASE)_CURRENT_PLUGIN_DEBUG)";
    Regex::new(&format!(r"{prefix}{name}\b")).expect("a pattern")
});

/// A name as it is today.
fn today(name: &str) -> String {
    if let Some(rest) = name.strip_prefix("MFCOM_HARDWARE_") {
        return format!("MFHARDWARE_{rest}");
    }
    if let Some(module) = name.strip_suffix("_CURRENT_PLUGIN_DEBUG") {
        return format!("{module}_CURRENT_APP_DEBUG");
    }
    match name {
        "MFCOM_HOME" => "MFEXT_HOME".to_owned(),
        name => format!("MF{name}"),
    }
}

/// The text with today's names.
pub(super) fn renamed(text: &str) -> Cow<'_, str> {
    USED.replace_all(text, |found: &Captures<'_>| format!("{}{}", &found["before"], today(&found["name"])))
}

/// A variable of another name in a line, and its name of today.
pub(super) fn first_old(line: &str) -> Option<(String, String)> {
    let found = USED.captures(line)?;
    let name = found["name"].to_owned();
    let today = today(&name);
    Some((name, today))
}

/// Variables that MetWork itself sets in a module.
const OF_MODULE: [&str; 9] =
    ["CURRENT", "HOME", "VERSION", "NGINX", "LOG", "PLUGINS", "DATA", "INTERNAL", "ADMIN"];

/// A key that the plugin kept in the configuration of the module, as `MFSERV_MYSECTION_MYKEY`.
pub(super) fn of_module_configuration(line: &str, module: &Module) -> Option<String> {
    static NAME: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"(?:\$\{?|\{\{?[\s~]*|["'])(MF(?:SERV|DATA|BASE))_([A-Z0-9]+)_[A-Z0-9_]+\b"#)
            .expect("a pattern")
    });
    let found = NAME.captures(line)?;
    let is_own = found[1] != module.upper() || OF_MODULE.contains(&&found[2]);
    (!is_own).then(|| found[0].trim_start_matches(|c: char| !c.is_ascii_alphabetic()).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_have_the_names_of_today_wherever_they_stand_for_a_value() {
        for (old, new) in [
            ("$MODULE_HOME/x", "$MFMODULE_HOME/x"),
            ("${MODULE}", "${MFMODULE}"),
            ("{{ MODULE_RUNTIME_HOME }}", "{{ MFMODULE_RUNTIME_HOME }}"),
            ("{{MFCOM_HOME}}/bin", "{{MFEXT_HOME}}/bin"),
            ("environ['MFCOM_HARDWARE_NUMBER_OF_CPU_CORES']", "environ['MFHARDWARE_NUMBER_OF_CPU_CORES']"),
            ("\"MFSERV_CURRENT_PLUGIN_DEBUG\"", "\"MFSERV_CURRENT_APP_DEBUG\""),
            ("$MFMODULE_HOME $MODULES the MODULE", "$MFMODULE_HOME $MODULES the MODULE"),
        ] {
            assert_eq!(renamed(old), new);
        }
    }

    #[test]
    fn keys_in_the_configuration_of_the_module_are_seen() {
        let module = Module::Mfserv;
        let found = |line| of_module_configuration(line, &module);
        assert_eq!(found("os.environ['MFSERV_WEATHER_URL']").as_deref(), Some("MFSERV_WEATHER_URL"));
        assert_eq!(found("os.environ['MFSERV_NGINX_PORT']"), None);
        assert_eq!(found("$MFDATA_X_Y"), None);
    }
}
