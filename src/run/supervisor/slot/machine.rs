//! The life of one worker as a state machine without clock, process or socket: an event goes in, effects come out.
//!
//! ```text
//!             start                    listens: enters service
//! Stopped ─────────► Starting ───────────────────────────────► Serving ◄──► Replacing (a candidate beside it)
//!    ▲                  │ ends, or does not listen in time        │ ends
//!    │ stop             ▼                                         │
//!    └───────────── Waiting ◄─────────────────────────────────────┘
//! ```
//!
//! Beside that life there may be a *held* process: the worker of a new version, which is started, checked, and enters
//! service upon a word (`Commit`) or is ended upon another (`Abort`). Whatever happens to the life meanwhile does not
//! touch it. Where two processes must not run beside each other – a daemon, which would do the work twice – the held
//! one has the place of the other (`Displaced`) until it has been called off.
//!
//! What ends on somebody's word is *leaving*, by its own rules, until the event comes that it has ended.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;
mod words;

pub(super) use self::words::{Effect, End, Event, Phase, Terms, Ticket};
pub(crate) use self::words::{Outcome, ProcessId};

/// A process that lived as long did not fail at its start.
const STABLE: Duration = Duration::from_secs(10);
/// What is in service at once and has lived so long has started.
const TRIAL: Duration = Duration::from_secs(1);
/// The first wait after a start that failed; each further one is twice as long.
const SHORTEST_WAIT: Duration = Duration::from_millis(200);
/// A first start that has not listened for so long is said to be slow.
const SLOW: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
struct Process<J> {
    id: ProcessId,
    spec: J,
    begun: Instant,
    /// When a candidate has failed.
    give_up: Option<Instant>,
    /// When one in service is too old.
    too_old: Option<Instant>,
}

#[derive(Debug, Clone)]
enum Life<J> {
    Stopped,
    /// The next start is due then.
    Waiting(Instant),
    Starting(Process<J>),
    Serving(Process<J>),
    /// One in service, and its candidate.
    Replacing(Process<J>, Process<J>),
    /// A held process that cannot run beside another has its place; `back`: it comes back if that is called off.
    Displaced {
        back: bool,
    },
}

#[derive(Debug, Clone)]
struct Held<J> {
    spec: J,
    /// None while its predecessor is leaving.
    process: Option<Process<J>>,
    stage: Stage,
    /// Answered once it is ready.
    ticket: Option<Ticket>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Starting,
    Checking,
    Ready,
    /// For this ticket.
    Entering(Ticket),
}

#[derive(Debug)]
pub(super) struct Machine<J> {
    /// What is to run.
    spec: J,
    life: Life<J>,
    held: Option<Held<J>>,
    /// Why there is nothing held any more, though there was.
    held_failed: Option<String>,
    leaving: BTreeSet<ProcessId>,
    on_left: Vec<Ticket>,
    last_id: ProcessId,
    /// Starts in a row that failed.
    failures: u32,
    /// How often another process took a place, or tried to.
    pub(super) restarts: u64,
    /// How many of them because a process ended by itself.
    pub(super) crashes: u64,
    pub(super) last_error: Option<String>,
    /// Its successor could not take over: what runs is not what should.
    pub(super) outdated: bool,
}

impl<J: Terms> Machine<J> {
    /// Nothing runs before an order says so.
    pub(super) fn new(spec: J) -> Machine<J> {
        Machine {
            spec,
            life: Life::Stopped,
            held: None,
            held_failed: None,
            leaving: BTreeSet::new(),
            on_left: Vec::new(),
            last_id: 0,
            failures: 0,
            restarts: 0,
            crashes: 0,
            last_error: None,
            outdated: false,
        }
    }

    /// What is to run, in service or on its way.
    pub(super) fn spec(&self) -> &J {
        &self.spec
    }

    pub(super) fn phase(&self) -> Phase {
        match &self.life {
            Life::Serving(_) | Life::Replacing(..) => Phase::Running,
            Life::Starting(_) => Phase::Starting,
            _ if self.held.is_some() && matches!(self.life, Life::Displaced { .. }) => Phase::Starting,
            _ if !self.leaving.is_empty() => Phase::Stopping,
            Life::Waiting(_) | Life::Displaced { .. } if self.failures == 0 => Phase::Starting,
            Life::Waiting(_) | Life::Displaced { .. } => Phase::Waiting,
            Life::Stopped => Phase::Stopped,
        }
    }

    /// The process in service, else the one that is to be.
    pub(super) fn shown(&self) -> Option<ProcessId> {
        match &self.life {
            Life::Serving(process) | Life::Replacing(process, _) | Life::Starting(process) => {
                Some(process.id)
            }
            Life::Displaced { .. } => self.held.as_ref()?.process.as_ref().map(|process| process.id),
            Life::Stopped | Life::Waiting(_) => None,
        }
    }

    /// The process in service and its spec.
    pub(super) fn serving(&self) -> Option<(ProcessId, &J)> {
        match &self.life {
            Life::Serving(process) | Life::Replacing(process, _) => Some((process.id, &process.spec)),
            _ => None,
        }
    }

    /// Whether what is held may enter service.
    pub(super) fn is_ready(&self) -> Outcome {
        match &self.held {
            Some(held) if held.stage == Stage::Ready => Ok(()),
            Some(_) => Err("it is not ready yet".to_owned()),
            None => Err(self.held_failed.clone().unwrap_or_else(|| "it was called off".to_owned())),
        }
    }

    pub(super) fn is_displaced(&self) -> bool {
        matches!(self.life, Life::Displaced { .. })
    }

    /// When time alone is an event.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let of_life = match &self.life {
            Life::Waiting(at) => Some(*at).filter(|_| self.may_start(&self.spec)),
            Life::Starting(process) => {
                let slow = (self.last_error.is_none()).then(|| process.begun + SLOW);
                [process.give_up, slow].into_iter().flatten().min()
            }
            Life::Serving(process) => process.too_old.filter(|_| self.held.is_none()),
            Life::Replacing(_, candidate) => candidate.give_up,
            Life::Stopped | Life::Displaced { .. } => None,
        };
        let of_held = self.held.as_ref().and_then(|held| held.process.as_ref()?.give_up);
        [of_life, of_held].into_iter().flatten().min()
    }

    /// What follows from an event.
    pub(super) fn step(&mut self, event: Event<J>, now: Instant) -> Vec<Effect<J>> {
        let mut effects = Vec::new();
        match event {
            Event::Prepare(spec, ticket) => self.prepare(spec, ticket, &mut effects),
            Event::Commit(ticket) => self.commit(ticket, &mut effects),
            Event::Abort => {
                self.abort("it was called off", &mut effects);
                self.bring_back(now);
            }
            Event::Replace(spec) => {
                self.abort("another one is to start", &mut effects);
                self.bring_back(now);
                self.replace(spec, now, &mut effects);
            }
            Event::Stop(ticket) => self.stop(ticket, &mut effects),
            Event::Signal(signal) => {
                if let Some((id, _)) = self.serving() {
                    effects.push(Effect::Signal(id, signal));
                }
            }
            Event::Listens(id) => self.on_listening(id, &mut effects),
            Event::Checked(id, outcome) => self.on_checked(id, outcome, &mut effects),
            Event::Entered(id, lifetime) => self.on_entered(id, lifetime, now, &mut effects),
            Event::Refused(id, reason) => self.fail(id, &reason, now, &mut effects),
            Event::Unwell(id, reason) => self.on_unwell(id, reason, now, &mut effects),
            Event::Ended(id, end) => self.on_end(id, &end, now, &mut effects),
            Event::Tick => self.on_tick(now, &mut effects),
        }
        self.start_what_is_due(now, &mut effects);
        effects
    }

    fn prepare(&mut self, spec: J, ticket: Ticket, effects: &mut Vec<Effect<J>>) {
        self.abort("another one is to start", effects);
        self.held_failed = None;
        if !spec.overlaps() || !self.spec.overlaps() {
            let back = !matches!(self.life, Life::Stopped | Life::Displaced { back: false });
            let life = std::mem::replace(&mut self.life, Life::Displaced { back });
            self.dismiss(life, effects);
        }
        self.held = Some(Held { spec, process: None, stage: Stage::Starting, ticket: Some(ticket) });
    }

    fn commit(&mut self, ticket: Ticket, effects: &mut Vec<Effect<J>>) {
        match (self.is_ready(), &mut self.held) {
            (Ok(()), Some(Held { process: Some(process), stage, .. })) => {
                *stage = Stage::Entering(ticket);
                effects.push(Effect::Enter(process.id));
            }
            (outcome, _) => effects.push(Effect::Answer(ticket, outcome)),
        }
    }

    /// Ends what is held. What it had displaced comes back upon a word: the home that it is to start in may not be its
    /// own yet.
    fn abort(&mut self, why: &str, effects: &mut Vec<Effect<J>>) {
        if let Some(process) = self.drop_held(why, effects) {
            effects.push(Effect::Kill(process));
            self.leaving.insert(process);
        }
    }

    /// There is nothing held from now on; whoever waits is told why. The process is returned, still at work.
    fn drop_held(&mut self, why: &str, effects: &mut Vec<Effect<J>>) -> Option<ProcessId> {
        let held = self.held.take()?;
        self.held_failed = Some(why.to_owned());
        let entering = if let Stage::Entering(ticket) = held.stage { Some(ticket) } else { None };
        effects.extend(
            [held.ticket, entering]
                .into_iter()
                .flatten()
                .map(|ticket| Effect::Answer(ticket, Err(why.to_owned()))),
        );
        held.process.map(|process| process.id)
    }

    fn bring_back(&mut self, now: Instant) {
        if let Life::Displaced { back } = self.life {
            self.life = if back { Life::Waiting(now) } else { Life::Stopped };
        }
    }

    fn replace(&mut self, spec: J, now: Instant, effects: &mut Vec<Effect<J>>) {
        self.failures = 0;
        let overlaps = spec.overlaps() && self.spec.overlaps();
        let life = std::mem::replace(&mut self.life, Life::Stopped);
        self.life = match life {
            Life::Serving(old) if overlaps => {
                let candidate = self.start(spec.clone(), now, effects);
                Life::Replacing(old, candidate)
            }
            Life::Replacing(old, candidate) if overlaps => {
                self.kill(candidate.id, effects);
                let candidate = self.start(spec.clone(), now, effects);
                Life::Replacing(old, candidate)
            }
            other => {
                if matches!(other, Life::Serving(_) | Life::Replacing(..)) {
                    self.restarts += 1;
                }
                self.dismiss(other, effects);
                Life::Waiting(now)
            }
        };
        self.spec = spec;
    }

    fn stop(&mut self, ticket: Ticket, effects: &mut Vec<Effect<J>>) {
        self.abort("it was stopped", effects);
        // What went wrong with what ran says nothing about what does not run.
        self.last_error = None;
        self.outdated = false;
        let life = std::mem::replace(&mut self.life, Life::Stopped);
        self.dismiss(life, effects);
        self.failures = 0;
        self.on_left.push(ticket);
        self.answer_who_waits(effects);
    }

    fn on_listening(&mut self, id: ProcessId, effects: &mut Vec<Effect<J>>) {
        match (&mut self.life, &mut self.held) {
            (Life::Starting(process) | Life::Replacing(_, process), _) if process.id == id => {
                effects.push(Effect::Enter(id));
            }
            (_, Some(held)) if held.is(id) && held.stage == Stage::Starting => {
                held.stage = Stage::Checking;
                effects.push(Effect::Check(id));
            }
            _ => {}
        }
    }

    fn on_checked(&mut self, id: ProcessId, outcome: Outcome, effects: &mut Vec<Effect<J>>) {
        let Some(held) = self.held.as_mut().filter(|held| held.is(id) && held.stage == Stage::Checking)
        else {
            return;
        };
        match outcome {
            Ok(()) => held.become_ready(effects),
            Err(reason) => self.abort(&reason, effects),
        }
    }

    /// The process is in service, and what was there leaves.
    fn on_entered(
        &mut self,
        id: ProcessId,
        lifetime: Option<Duration>,
        now: Instant,
        effects: &mut Vec<Effect<J>>,
    ) {
        let in_service = |process: Process<J>| Process {
            give_up: None,
            too_old: lifetime.map(|lifetime| now + lifetime),
            ..process
        };
        if self.held.as_ref().is_some_and(|held| held.is(id)) {
            let Some(Held { spec, process: Some(process), stage, .. }) = self.held.take() else { return };
            let old = std::mem::replace(&mut self.life, Life::Serving(in_service(process)));
            self.dismiss(old, effects);
            self.spec = spec;
            self.failures = 0;
            self.took_over();
            if let Stage::Entering(ticket) = stage {
                effects.push(Effect::Answer(ticket, Ok(())));
            }
            return;
        }
        self.life = match std::mem::replace(&mut self.life, Life::Stopped) {
            Life::Starting(process) if process.id == id => {
                self.outdated = false;
                Life::Serving(in_service(process))
            }
            Life::Replacing(old, process) if process.id == id => {
                self.retire(old.id, effects);
                self.took_over();
                Life::Serving(in_service(process))
            }
            other => other,
        };
    }

    fn took_over(&mut self) {
        self.restarts += 1;
        self.last_error = None;
        self.outdated = false;
    }

    fn on_unwell(&mut self, id: ProcessId, reason: String, now: Instant, effects: &mut Vec<Effect<J>>) {
        if matches!(&self.life, Life::Serving(process) if process.id == id) {
            self.replace(self.spec.clone(), now, effects);
            self.last_error = Some(reason);
        }
    }

    /// A process that is not in service yet will not be; it is ended.
    fn fail(&mut self, id: ProcessId, reason: &str, now: Instant, effects: &mut Vec<Effect<J>>) {
        if self.leaving.contains(&id) {
            return;
        }
        if self.held.as_ref().is_some_and(|held| held.is(id)) {
            return self.abort(reason, effects);
        }
        let is_candidate = matches!(&self.life,
            Life::Starting(process) | Life::Replacing(_, process) if process.id == id);
        if is_candidate {
            self.kill(id, effects);
            self.life_lost(id, &End { reason: reason.to_owned(), is_from_outside: false }, now);
        }
    }

    fn on_end(&mut self, id: ProcessId, end: &End, now: Instant, effects: &mut Vec<Effect<J>>) {
        if self.leaving.remove(&id) {
            return self.answer_who_waits(effects);
        }
        if self.held.as_ref().is_some_and(|held| held.is(id)) {
            self.drop_held(&end.reason, effects);
            return;
        }
        self.life_lost(id, end, now);
    }

    fn crashed(&mut self) {
        self.restarts += 1;
        self.crashes += 1;
    }

    /// A process of the life is gone.
    fn life_lost(&mut self, id: ProcessId, end: &End, now: Instant) {
        let reason = end.reason.clone();
        self.life = match std::mem::replace(&mut self.life, Life::Stopped) {
            Life::Serving(process) if process.id == id => {
                self.crashed();
                self.last_error = Some(reason);
                self.wait_after(&process, end, now)
            }
            Life::Replacing(process, candidate) if process.id == id => {
                self.crashed();
                self.last_error = Some(reason);
                Life::Starting(candidate)
            }
            Life::Replacing(process, candidate) if candidate.id == id => {
                self.outdated = true;
                self.last_error =
                    Some(format!("a new process could not take over, and the old one goes on: {reason}"));
                Life::Serving(process)
            }
            Life::Starting(process) if process.id == id => {
                self.crashed();
                self.last_error = Some(reason);
                self.wait_after(&process, end, now)
            }
            other => other,
        };
    }

    /// The next start: at once after a long life or where somebody else ended it, later and later after short ones.
    fn wait_after(&mut self, process: &Process<J>, end: &End, now: Instant) -> Life<J> {
        let age = now.saturating_duration_since(process.begun);
        let has_started = !process.spec.serves_at_once() || age >= TRIAL;
        if age >= STABLE || (end.is_from_outside && has_started) {
            self.failures = 0;
            return Life::Waiting(now);
        }
        let wait = SHORTEST_WAIT.saturating_mul(2u32.saturating_pow(self.failures.min(16)));
        self.failures += 1;
        Life::Waiting(now + wait.min(process.spec.longest_wait()))
    }

    fn on_tick(&mut self, now: Instant, effects: &mut Vec<Effect<J>>) {
        if let Some(held) = &mut self.held
            && let Some(process) = &held.process
            && process.give_up.is_some_and(|at| at <= now)
        {
            if held.spec.serves_at_once() {
                held.become_ready(effects);
            } else if held.stage == Stage::Starting {
                let reason = not_listening(process, now);
                self.abort(&reason, effects);
            }
        }
        match &mut self.life {
            Life::Starting(process) | Life::Replacing(_, process)
                if process.give_up.is_some_and(|at| at <= now) =>
            {
                let (id, reason) = (process.id, not_listening(process, now));
                self.fail(id, &reason, now, effects);
            }
            Life::Starting(process) if now >= process.begun + SLOW && self.last_error.is_none() => {
                let waited = crate::text::duration(now - process.begun);
                self.last_error = Some(format!("it has not listened on its socket for {waited}"));
            }
            Life::Serving(process) if self.held.is_none() && process.too_old.is_some_and(|at| at <= now) => {
                process.too_old = None;
                self.replace(self.spec.clone(), now, effects);
            }
            _ => {}
        }
    }

    fn may_start(&self, spec: &J) -> bool {
        spec.overlaps() || self.leaving.is_empty()
    }

    fn start_what_is_due(&mut self, now: Instant, effects: &mut Vec<Effect<J>>) {
        if let Some(Held { process: None, spec, .. }) = &self.held
            && self.may_start(spec)
        {
            let spec = spec.clone();
            let mut process = self.start(spec, now, effects);
            if process.spec.serves_at_once() {
                process.give_up = Some(now + TRIAL);
            }
            if let Some(held) = &mut self.held {
                held.process = Some(process);
            }
        }
        if matches!(self.life, Life::Waiting(at) if at <= now) && self.may_start(&self.spec) {
            let mut process = self.start(self.spec.clone(), now, effects);
            // Nobody waits for it, and nothing is lost while it takes its time.
            process.give_up = None;
            if process.spec.serves_at_once() {
                effects.push(Effect::Enter(process.id));
            }
            self.life = Life::Starting(process);
        }
    }

    fn start(&mut self, spec: J, now: Instant, effects: &mut Vec<Effect<J>>) -> Process<J> {
        self.last_id += 1;
        let id = self.last_id;
        effects.push(Effect::Start(id, spec.clone()));
        let give_up = Some(now + spec.start_timeout());
        Process { id, spec, begun: now, give_up, too_old: None }
    }

    /// Has everything of a life leave.
    fn dismiss(&mut self, life: Life<J>, effects: &mut Vec<Effect<J>>) {
        match life {
            Life::Starting(process) => self.kill(process.id, effects),
            Life::Serving(process) => self.retire(process.id, effects),
            Life::Replacing(process, candidate) => {
                self.retire(process.id, effects);
                self.kill(candidate.id, effects);
            }
            Life::Stopped | Life::Waiting(_) | Life::Displaced { .. } => {}
        }
    }

    fn retire(&mut self, id: ProcessId, effects: &mut Vec<Effect<J>>) {
        self.leaving.insert(id);
        effects.push(Effect::Retire(id));
    }

    fn kill(&mut self, id: ProcessId, effects: &mut Vec<Effect<J>>) {
        self.leaving.insert(id);
        effects.push(Effect::Kill(id));
    }

    fn answer_who_waits(&mut self, effects: &mut Vec<Effect<J>>) {
        if self.leaving.is_empty() {
            effects.extend(self.on_left.drain(..).map(|ticket| Effect::Answer(ticket, Ok(()))));
        }
    }
}

impl<J> Held<J> {
    fn is(&self, id: ProcessId) -> bool {
        self.process.as_ref().is_some_and(|process| process.id == id)
    }

    fn become_ready(&mut self, effects: &mut Vec<Effect<J>>) {
        if let Some(process) = &mut self.process {
            process.give_up = None;
        }
        self.stage = Stage::Ready;
        effects.extend(self.ticket.take().map(|ticket| Effect::Answer(ticket, Ok(()))));
    }
}

fn not_listening<J>(process: &Process<J>, now: Instant) -> String {
    let waited = crate::text::duration(now.saturating_duration_since(process.begun));
    format!("it did not listen on its socket within {waited}")
}
