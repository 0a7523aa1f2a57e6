//! Values are Jinja2 templates over the environment.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::Path;

use super::module_settings::{ModuleSettings, default_variables};
use super::templates::Templates;
use crate::plugin::{Label, Module};
use crate::site::Site;

/// Renders values. What is undefined renders empty.
pub(super) struct Interpolator<'a> {
    site: &'a Site,
    module: Option<&'a Module>,
    label: Option<&'a Label>,
    directory: &'a Path,
    /// Made for the first value that is a template: most plugins have none.
    templates: OnceCell<Templates>,
}

impl<'a> Interpolator<'a> {
    /// `directory` is the plugin's, absolute.
    pub(super) fn new(
        site: &'a Site,
        module: Option<&'a Module>,
        label: Option<&'a Label>,
        directory: &'a Path,
    ) -> Interpolator<'a> {
        Interpolator { site, module, label, directory, templates: OnceCell::new() }
    }

    /// The rendered value, or why the template is none.
    pub(super) fn render(&self, text: &str) -> Result<String, String> {
        if !is_template(text) {
            return Ok(text.to_owned());
        }
        self.templates().render(text).map_err(|mistake| {
            if text.contains('\n') {
                format!("{} (in its line {})", mistake.reason, mistake.line)
            } else {
                mistake.reason
            }
        })
    }

    /// The first variable that the text puts in and that is not defined.
    pub(super) fn undefined(&self, text: &str) -> Option<String> {
        if !is_template(text) {
            return None;
        }
        self.templates().undefined(text)
    }

    fn templates(&self) -> &Templates {
        self.templates.get_or_init(|| Templates::new(self.variables()).including(self.directory))
    }

    /// The process environment; what MetWork always sets and this machine does not; the current plugin.
    fn variables(&self) -> BTreeMap<String, String> {
        let machine = self.site.machine_variables().map(|(name, value)| (name.to_owned(), value));
        let mut variables = BTreeMap::from(machine);
        variables.insert("MFCONFIG".to_owned(), self.site.configuration_name.clone());
        variables.insert("MFMODULE_VERSION".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        if let Some(module) = self.module {
            let mut set = |name: &str, value: String| variables.insert(name.to_owned(), value);
            set("MFMODULE", module.upper());
            set("MFMODULE_LOWERCASE", module.as_str().to_owned());
            set("MFMODULE_RUNTIME_HOME", self.site.runtime_home(module).to_string_lossy().into_owned());
            set("MFMODULE_PLUGINS_BASE_DIR", self.site.plugins_base(module).to_string_lossy().into_owned());
        }
        let of_plugin = self.module.filter(|_| self.label.is_some());
        variables.extend(of_plugin.map(|module| default_variables(module, self.site)).unwrap_or_default());
        for (name, value) in self.site.environment.iter() {
            if let (Some(name), Some(value)) = (name.to_str(), value.to_str()) {
                variables.insert(name.to_owned(), value.to_owned());
            }
        }
        // Whatever is wrong with the module's own files, `mwp up` says.
        let settings =
            of_plugin.and_then(|module| Some(ModuleSettings::of(module, self.site).ok()?.variables(module)));
        variables.extend(settings.unwrap_or_default());
        if let Some(label) = self.label {
            let prefix = format!("{}_CURRENT_PLUGIN", label.module.upper());
            variables.insert(format!("{prefix}_NAME"), label.name.to_string());
            variables.insert(format!("{prefix}_DIR"), self.directory.to_string_lossy().into_owned());
            variables.insert(format!("{prefix}_LABEL"), label.to_string());
        }
        variables
    }
}

pub(super) fn is_template(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|start| text.contains(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::Environment;

    fn render(text: &str) -> Result<String, String> {
        let mut environment = Environment::default();
        environment.set("HOME", "/home/me");
        environment.set("MY_PORT", "18868");
        let site = Site::new(environment);
        let label: Label = "plugin_foo@mfserv".parse().unwrap();
        Interpolator::new(&site, Some(&label.module), Some(&label), Path::new("/p/foo")).render(text)
    }

    #[test]
    fn values_are_templates_over_the_environment_and_the_current_plugin() {
        for (text, rendered) in [
            ("plain {x} $y %z", "plain {x} $y %z"),
            ("a{{MY_PORT}}b", "a18868b"),
            ("[{{ NO_SUCH_VARIABLE }}]", "[]"),
            ("{{ NO_SUCH_VARIABLE|default('x') }}", "x"),
            ("{{MFSERV_CURRENT_PLUGIN_NAME}} {{MFSERV_CURRENT_PLUGIN_DIR}}", "foo /p/foo"),
            ("{{MFSERV_CURRENT_PLUGIN_LABEL}}", "plugin_foo@mfserv"),
            ("{{MFMODULE}} {{MFMODULE_LOWERCASE}}", "MFSERV mfserv"),
            ("{{ MY_PORT|int + 1 }}", "18869"),
            ("{% if MY_PORT %}yes{% endif %}", "yes"),
            ("{{ 'MY_PORT'|getenv }} {{ 'NONE'|getenv('d') }}", "18868 d"),
            ("{# gone #}kept", "kept"),
            ("{{ MFMODULE_VERSION }}", env!("CARGO_PKG_VERSION")),
            (
                "{{ (MFHARDWARE_NUMBER_OF_CPU_CORES|int) + 1 == MFHARDWARE_NUMBER_OF_CPU_CORES_PLUS_1|int }}",
                "True",
            ),
            ("{{ MFHARDWARE_NUMBER_OF_PHYSICAL_PROCESSORS|int > 0 }}", "True"),
            (
                "{{ MFHARDWARE_PHYSICAL_MEMORY|int > 0 }} {{ MFHOSTNAME_FULL.startswith(MFHOSTNAME) }}",
                "True True",
            ),
            ("{{ MFDOMAIN is defined }} {{ MFHOSTNAME|length > 0 }}", "True True"),
        ] {
            assert_eq!(render(text).as_deref(), Ok(rendered), "{text}");
        }
    }

    #[test]
    fn a_template_that_is_none_says_why() {
        assert!(
            render("{{ x").is_err() && render("{% if %}").is_err() && render("{{ x|nofilter }}").is_err()
        );
    }
}
