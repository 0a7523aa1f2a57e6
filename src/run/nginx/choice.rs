//! Which plugins are served: as many as nginx takes together.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::apps::Candidate;
use super::base::Base;
use super::fragment::{Fragment, definitions};
use super::program::Refusal;
use super::routes::{self, Routes};
use super::view;
use super::{Nginx, Problems, syntax};
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
        problems: &mut Problems,
    ) -> Result<(Vec<&'c Candidate>, Composed)> {
        let mut out: Vec<&str> = Vec::new();
        loop {
            let left = candidates.iter().filter(|it| !out.contains(&it.name.as_str()));
            let (chosen, doubles) = self.without_doubles(left)?;
            let composed = self.compose(&chosen)?;
            let Err(refusal) = self.test(&composed)? else {
                problems.extend(doubles);
                return Ok((chosen, composed));
            };
            if out.is_empty() {
                self.test_base()?;
            }
            let (before, culprit) = match self.first_refused(&chosen, &[])? {
                Some(index) => (&chosen[..index], chosen[index]),
                // It was refused a moment ago: whatever that was, it is over, or it is the machine.
                None => return Err(untaken(&refusal)),
            };
            problems.push((culprit.name.clone(), self.explain(culprit, before)?));
            out.push(&culprit.name);
        }
    }

    /// Whether nginx takes what is there without any plugin.
    fn test_base(&self) -> Result<()> {
        self.test(&self.compose(&[])?)?.map_err(|refusal| untaken(&refusal))
    }

    /// The first of the plugins with which, beside those before it and `others`, nginx refuses. Whoever is refused stays
    /// so with more plugins: that allows to halve.
    fn first_refused(&self, plugins: &[&Candidate], others: &[&Candidate]) -> Result<Option<usize>> {
        let is_refused = |count: usize| -> Result<bool> {
            let mut some: Vec<&Candidate> = plugins[..count].iter().chain(others).copied().collect();
            some.sort_by(|one, other| one.name.cmp(&other.name));
            Ok(self.test(&self.compose(&some)?)?.is_err())
        };
        if !is_refused(plugins.len())? {
            return Ok(None);
        }
        let (mut taken, mut refused) = (0, plugins.len());
        while taken + 1 < refused {
            let middle = usize::midpoint(taken, refused);
            if is_refused(middle)? {
                refused = middle;
            } else {
                taken = middle;
            }
        }
        Ok(refused.checked_sub(1))
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
        candidates: impl Iterator<Item = &'c Candidate>,
    ) -> Result<(Vec<&'c Candidate>, Problems)> {
        let ours = self.compose(&[])?.text;
        let ours = syntax::parse(&ours).map_err(|it| {
            Error::machine(format!("nginx's configuration: line {}: {}", it.line, it.reason))
        })?;
        let http = ours.iter().find(|directive| directive.name == "http").map(|http| http.block.as_slice());
        let ours = definitions(http.unwrap_or_default());
        let mut owners: BTreeMap<String, String> =
            ours.map(|(name, _)| (name.to_owned(), "the module".into())).collect();
        let (mut kept, mut problems) = (Vec::new(), Vec::new());
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
        Ok((kept, problems))
    }

    /// Why a plugin cannot join those before it: for itself, or for one of them.
    fn explain(&self, plugin: &Candidate, before: &[&Candidate]) -> Result<Problem> {
        if let Err(alone) = self.test(&self.compose(&[plugin])?)? {
            return Ok(left_out(&alone, None));
        }
        let opponent = self.first_refused(before, &[plugin])?.map(|index| before[index]);
        let both: Vec<&Candidate> = opponent.into_iter().chain([plugin]).collect();
        let refusal = self.test(&self.compose(&both)?)?.err().unwrap_or(Refusal {
            reason: "it does not go together with the plugins before it".to_owned(),
            line: None,
            place: None,
        });
        let beside = opponent.map(|other| format!("the plugin `{}`", other.name));
        Ok(left_out(&refusal, beside.as_deref()))
    }
}

fn untaken(refusal: &Refusal) -> Error {
    Error::machine(format!("nginx does not take its configuration: {refusal}"))
        .hint("see section [nginx] of the module's config/config.ini: its port, certificate and addresses")
}

/// That a plugin is left out, for itself or because of what is there already.
fn left_out(refusal: &Refusal, beside: Option<&str>) -> Problem {
    let beside = beside.map(|other| format!(" beside {other}")).unwrap_or_default();
    Problem {
        message: format!("nginx does not take the fragments of the plugin{beside}: {refusal}"),
        hint: Some("mend the fragment; until then nothing of the plugin is served".to_owned()),
    }
}
