//! In which order the tasks of one build get their turn: the life of each task, without threads.

use super::plan::Plan;

/// The life of one task within one build. Each state says what must hold for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// Some task that goes first is not done.
    Waiting,
    /// All that go first are done, and nothing has failed.
    Ready,
    /// It was given out by [`Agenda::start`].
    Running,
    /// It was running and is up to date now.
    Done,
    /// It was running.
    Failed,
}

/// Which tasks may run now.
pub(super) struct Agenda<'a> {
    plan: &'a Plan,
    lives: Vec<Life>,
}

impl<'a> Agenda<'a> {
    pub(super) fn new(plan: &'a Plan) -> Agenda<'a> {
        let mut agenda = Agenda { plan, lives: vec![Life::Waiting; plan.tasks.len()] };
        agenda.wake();
        agenda
    }

    /// The next task to run, if there is one now. After a failure nothing new starts.
    pub(super) fn start(&mut self) -> Option<usize> {
        if self.lives.contains(&Life::Failed) {
            return None;
        }
        let next = self.lives.iter().position(|life| *life == Life::Ready)?;
        self.lives[next] = Life::Running;
        Some(next)
    }

    pub(super) fn end(&mut self, task: usize, succeeded: bool) {
        debug_assert_eq!(self.lives[task], Life::Running);
        self.lives[task] = if succeeded { Life::Done } else { Life::Failed };
        self.wake();
    }

    pub(super) fn is_idle(&self) -> bool {
        !self.lives.contains(&Life::Running)
    }

    /// Whether nothing else can start before the task that was started last ends: nothing is left, or all that is left
    /// waits for it.
    pub(super) fn waits_for_last(&self) -> bool {
        let count = |life| self.lives.iter().filter(|other| **other == life).count();
        count(Life::Ready) == 0 && (count(Life::Waiting) == 0 || count(Life::Running) == 1)
    }

    fn wake(&mut self) {
        for task in 0..self.lives.len() {
            let first = &self.plan.first[task];
            if self.lives[task] == Life::Waiting && first.iter().all(|other| self.lives[*other] == Life::Done)
            {
                self.lives[task] = Life::Ready;
            }
        }
    }
}
