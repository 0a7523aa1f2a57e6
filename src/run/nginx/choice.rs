//! Which plugins are served: as many as nginx takes together.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::apps::Candidate;
use super::base::Base;
use super::fragment::{Fragment, definitions};
use super::program::Refusal;
use super::routes::{self, Routes};
use super::view;
use super::{Nginx, syntax};
use crate::error::{Error, Problem, Result};
use crate::fs;
use crate::site::Site;
use crate::text;

/// A configuration that has yet to be tested.
pub(super) struct Composed {
    pub(super) text: String,
    pub(super) routes: Routes,
}

/// Chooses the plugins that are served.
pub(super) struct Choice<'a> {
    pub(super) nginx: &'a Nginx,
    pub(super) site: &'a Site,
    pub(super) home: PathBuf,
    pub(super) base: Base,
}

impl Choice<'_> {
    /// As many of the plugins as nginx takes, first come first served.
    pub(super) fn choose<'c>(
        &self,
        candidates: &'c [Candidate],
        problems: &mut Vec<(String, Problem)>,
    ) -> Result<(Vec<&'c Candidate>, Composed)> {
        let all = self.without_doubles(candidates, problems)?;
        let composed = self.compose(&all)?;
        if self.test(&composed)?.is_ok() {
            return Ok((all, composed));
        }
        if let Err(refusal) = self.test(&self.compose(&[])?)? {
            return Err(Error::machine(format!("nginx does not take its configuration: {refusal}")).hint(
                "see section [nginx] of the module's config/config.ini: its port, certificate and addresses",
            ));
        }
        let mut chosen: Vec<&Candidate> = Vec::new();
        for candidate in &all {
            let with: Vec<&Candidate> = chosen.iter().chain([candidate]).copied().collect();
            let Err(refusal) = self.test(&self.compose(&with)?)? else {
                chosen = with;
                continue;
            };
            problems.push((candidate.name.clone(), self.explain(candidate, &chosen, &refusal)?));
        }
        let composed = self.compose(&chosen)?;
        Ok((chosen, composed))
    }

    fn compose(&self, plugins: &[&Candidate]) -> Result<Composed> {
        let routes = routes::resolve(plugins, &self.base.reserved());
        Ok(Composed { text: view::render(&self.base, plugins, &routes)?, routes })
    }

    fn test(&self, composed: &Composed) -> Result<Result<(), Refusal>> {
        let staging = fs::Staging::new_in(&self.home.join("var/nginx"))?;
        let conf = staging.join("nginx.conf");
        fs::write_atomic(&conf, composed.text.as_bytes())?;
        let tested = self.nginx.run_test(&conf, &self.home, &self.site.environment);
        if crate::process::is_interrupted() {
            return Err(Error::interrupted());
        }
        Ok(tested.map_err(|refusal| refusal.placed(&composed.text)))
    }

    /// Leaves out plugins that define what we or plugins before them define: the last would count, for all.
    fn without_doubles<'c>(
        &self,
        candidates: &'c [Candidate],
        problems: &mut Vec<(String, Problem)>,
    ) -> Result<Vec<&'c Candidate>> {
        let ours = self.compose(&[])?.text;
        let ours = syntax::parse(&ours).map_err(|it| {
            Error::machine(format!("nginx's configuration: line {}: {}", it.line, it.reason))
        })?;
        let http = ours.iter().find(|directive| directive.name == "http").map(|http| http.block.as_slice());
        let ours = definitions(http.unwrap_or_default());
        let mut owners: BTreeMap<String, String> =
            ours.map(|(name, _)| (name.to_owned(), "the module".into())).collect();
        let mut kept = Vec::new();
        for candidate in candidates {
            let fragments: Vec<&'c Fragment> = candidate.http.iter().chain(&candidate.server).collect();
            let of = |it: &&'c Fragment| {
                it.definitions().map(|(name, line)| (name, line, *it)).collect::<Vec<_>>()
            };
            let all: Vec<_> = fragments.iter().flat_map(of).collect();
            if let Some((name, line, fragment)) = all.iter().find(|(name, ..)| owners.contains_key(*name)) {
                let beside = &owners[*name];
                let refusal = Refusal {
                    reason: format!("it defines `{}`, which {beside} defines already", text::visible(name)),
                    line: None,
                    place: Some((fragment.file.clone(), *line)),
                };
                let beside = if beside == "the module" { None } else { Some(beside.as_str()) };
                problems.push((candidate.name.clone(), left_out(&refusal, beside)));
                continue;
            }
            let owner = format!("the plugin `{}`", candidate.name);
            owners.extend(all.iter().map(|(name, ..)| ((*name).to_owned(), owner.clone())));
            kept.push(candidate);
        }
        Ok(kept)
    }

    /// Why a plugin cannot join those that are chosen: for itself, or for one of them.
    fn explain(&self, candidate: &Candidate, chosen: &[&Candidate], together: &Refusal) -> Result<Problem> {
        let (refusal, beside) = match self.test(&self.compose(&[candidate])?)? {
            Err(alone) => (alone, None),
            Ok(()) => (together.clone(), self.opponent(candidate, chosen)?),
        };
        let beside = beside.map(|other| format!("the plugin `{}`", other.name));
        Ok(left_out(&refusal, beside.as_deref()))
    }

    fn opponent<'c>(&self, candidate: &Candidate, chosen: &[&'c Candidate]) -> Result<Option<&'c Candidate>> {
        for other in chosen {
            let mut pair = [*other, candidate];
            pair.sort_by(|one, other| one.name.cmp(&other.name));
            if self.test(&self.compose(&pair)?)?.is_err() {
                return Ok(Some(other));
            }
        }
        Ok(None)
    }
}

/// That a plugin is left out, for itself or because of what is there already.
fn left_out(refusal: &Refusal, beside: Option<&str>) -> Problem {
    let beside = beside.map(|other| format!(" beside {other}")).unwrap_or_default();
    Problem {
        message: format!("nginx does not take the fragments of the plugin{beside}: {refusal}"),
        hint: Some("mend the fragment; until then nothing of the plugin is served".to_owned()),
    }
}
