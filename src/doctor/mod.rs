//! What this machine has, and lacks, for building, installing and running plugins.
//!
//! It only looks: nothing is started but programs that are asked for their version, and nothing is written.

mod needs;
mod places;
mod programs;
mod system;

use serde::Serialize;

use crate::site::Site;
use needs::Needs;

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ok,
    /// It is not there.
    Missing,
    /// It is there, and no good.
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `build`, `install`, `run` or `machine`.
    pub area: &'static str,
    pub what: String,
    pub state: State,
    /// What there is: a version, a place, a number.
    pub found: String,
    pub purpose: String,
    /// Whether what is installed here needs it.
    pub needed: bool,
    /// What puts it right.
    pub mend: Option<String>,
}

impl Finding {
    fn new(area: &'static str, what: impl Into<String>, purpose: impl Into<String>) -> Finding {
        Finding {
            area,
            what: what.into(),
            state: State::Ok,
            found: String::new(),
            purpose: purpose.into(),
            needed: false,
            mend: None,
        }
    }

    fn needed(self, needed: bool) -> Finding {
        Finding { needed, ..self }
    }

    fn ok(self, found: impl Into<String>) -> Finding {
        Finding { state: State::Ok, found: found.into(), ..self }
    }

    fn missing(self, mend: impl Into<String>) -> Finding {
        Finding { state: State::Missing, mend: Some(mend.into()), ..self }
    }

    fn bad(self, found: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding { state: State::Bad, found: found.into(), mend: Some(mend.into()), ..self }
    }

    /// Whether something that is installed here does not work because of it.
    pub fn is_a_lack(&self) -> bool {
        self.needed && self.state != State::Ok
    }
}

/// Looks at everything.
pub fn examine(site: &Site) -> Vec<Finding> {
    let needs = Needs::of(site);
    let mut findings = programs::examine(&needs, site);
    findings.extend(places::examine(&needs, site));
    findings.extend(system::examine(site));
    findings
}
