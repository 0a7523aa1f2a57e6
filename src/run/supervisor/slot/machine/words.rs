//! What the machine is told, what it has done, and what it says of itself.

use std::time::Duration;

/// Tells the processes of a worker apart.
pub(crate) type ProcessId = u64;
/// Who waits for the outcome of an order.
pub(in crate::run::supervisor::slot) type Ticket = u64;

/// What the machine has to know of a spec.
pub(in crate::run::supervisor::slot) trait Terms: Clone {
    /// Whether a process may run beside its successor.
    fn overlaps(&self) -> bool;
    /// Whether it is in service as soon as it has started, and not only once it listens.
    fn serves_at_once(&self) -> bool;
    /// A process that has not listened for so long will not.
    fn start_timeout(&self) -> Duration;
    /// Between two starts that failed, at most.
    fn longest_wait(&self) -> Duration;
}

/// How an order came out.
pub(crate) type Outcome = Result<(), String>;

#[derive(Debug, Clone)]
pub(in crate::run::supervisor::slot) enum Event<J> {
    /// Start a process of a new version; the ticket is answered when it is ready, or when it will not be.
    Prepare(J, Ticket),
    /// What is held enters service; answered at once.
    Commit(Ticket),
    /// What is held ends.
    Abort,
    /// Start, or replace what runs.
    Replace(J),
    /// Answered when everything has ended.
    Stop(Ticket),
    /// To the process in service.
    Signal(i32),
    /// The process accepts connections.
    Listens(ProcessId),
    /// How a check came out that was an effect.
    Checked(ProcessId, Outcome),
    /// It is where requests arrive, and is to be replaced after this time.
    Entered(ProcessId, Option<Duration>),
    /// It could not be put there.
    Refused(ProcessId, String),
    /// It is in service and does not do its work.
    Unwell(ProcessId, String),
    Ended(ProcessId, End),
    /// Time has gone by.
    Tick,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::run::supervisor::slot) struct End {
    pub(in crate::run::supervisor::slot) reason: String,
    /// By a signal that somebody sent: no fault of its own.
    pub(in crate::run::supervisor::slot) is_from_outside: bool,
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::run::supervisor::slot) enum Effect<J> {
    Start(ProcessId, J),
    /// Ask it whether it is well.
    Check(ProcessId),
    /// Put it where requests arrive, in place of what is there.
    Enter(ProcessId),
    /// Have it end, gracefully.
    Retire(ProcessId),
    Kill(ProcessId),
    Signal(ProcessId, i32),
    Answer(Ticket, Outcome),
}

/// What the machine says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::run::supervisor::slot) enum Phase {
    Stopped,
    Starting,
    Running,
    Waiting,
    Stopping,
}
