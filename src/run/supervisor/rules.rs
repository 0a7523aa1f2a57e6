//! The rules of mfdata's switches follow what is installed.

use std::collections::{BTreeMap, BTreeSet};

use super::Supervisor;
use crate::plugin::{Module, Plugin};
use crate::run::Plans;
use crate::run::switch::Compiled;
use crate::{text, threads};

impl Supervisor {
    /// Writes the rules of all plugins for the switches, before any step starts by them. A plugin that is left alone, or
    /// cannot be read, keeps those that it runs with.
    pub(super) async fn write_rules(&self, plans: &Plans, is_left_alone: impl Fn(&String) -> bool) {
        if self.options.module != Module::Mfdata {
            return;
        }
        let compiled = {
            let active = self.active.borrow();
            let mut plugins: BTreeMap<&str, &Plugin> = BTreeMap::new();
            let mut unknown = BTreeSet::new();
            for (name, plan) in plans {
                let running = active.get(name).map(|active| &active.plan);
                match plan.as_ref().ok().filter(|_| !is_left_alone(name)).or(running) {
                    Some(plan) => drop(plugins.insert(name, &plan.plugin)),
                    None => drop(unknown.insert(name.as_str())),
                }
            }
            Compiled::of(&plugins, &unknown)
        };
        self.tell_of_rules(&compiled);
        *self.rules.borrow_mut() = compiled.clone();
        let dir = self.runtime_home().join("tmp/config_auto");
        if let Err(error) = threads::apart("the rules of switches", move || compiled.write(&dir)).await {
            self.note(&format!("cannot write the rules of switches: {error}"));
            self.problems.borrow_mut().push(error.to_string());
        }
    }

    /// Tells of plugins that the settings ask for, and nobody has brought.
    pub(super) fn look_for_internal_plugins(&self, plans: &Plans) {
        let settings = self.settings.borrow();
        let names = settings.data.internal_plugins.names.iter();
        let absent = names.filter(|name| !plans.contains_key(*name)).map(|name| {
            let name = text::visible(name);
            format!(
                "the plugin `{name}` is not installed, and [internal_plugins] install_{name} asks for it: \
                 `mwp provision --module mfdata` tries to bring it, `install_{name}=0` does without"
            )
        });
        self.problems.borrow_mut().extend(absent);
    }

    /// Each finding once, as long as it stays.
    fn tell_of_rules(&self, compiled: &Compiled) {
        let known = self.rules.borrow();
        for (name, problems) in &compiled.problems {
            let told = known.problems.get(name);
            for problem in problems.iter().filter(|problem| !told.is_some_and(|told| told.contains(problem)))
            {
                self.note(&format!("{}: {problem}", text::visible(name)));
            }
        }
        for warning in compiled.warnings.iter().filter(|warning| !known.warnings.contains(warning)) {
            self.note(warning);
        }
    }
}
