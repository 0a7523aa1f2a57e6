//! When each task of a build began and ended, and which of them it waited for: the critical path.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::observer::{Event, Observer};
use super::plan::Plan;

/// Takes the time of what it is told, and passes it on.
pub struct Timings<'a> {
    began: Instant,
    next: &'a dyn Observer,
    projects: Mutex<Vec<ProjectTiming>>,
}

/// How one directory was built.
#[derive(Debug, Clone, Serialize)]
pub struct ProjectTiming {
    #[serde(skip)]
    dir: PathBuf,
    pub directory: String,
    pub plugin: String,
    /// From the start of the build to the end of its last task.
    pub end_ms: u64,
    /// What the tasks on the critical path took together: more processors make it no faster.
    pub critical_ms: u64,
    pub tasks: Vec<TaskTiming>,
}

#[derive(Debug, Clone, Serialize)]
pub struct TaskTiming {
    pub task: String,
    pub summary: String,
    pub outcome: Outcome,
    /// Since the start of the build.
    pub start_ms: u64,
    pub took_ms: u64,
    pub is_critical: bool,
    /// Why it was not up to date.
    pub reasons: Vec<String>,
    /// Those that went first.
    pub after: Vec<String>,
    #[serde(skip)]
    first: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Something before it failed.
    NotStarted,
    Fresh,
    Ran,
    Restored,
    Failed,
}

impl<'a> Timings<'a> {
    pub fn new(next: &'a dyn Observer) -> Timings<'a> {
        Timings { began: Instant::now(), next, projects: Mutex::default() }
    }

    /// A project that is going to be built.
    pub fn expect(&self, dir: &Path, plugin: &str, plan: &Plan) {
        let names = |first: &[usize]| first.iter().map(|other| plan.tasks[*other].name.clone()).collect();
        let task = |(task, first): (&super::Task, &Vec<usize>)| TaskTiming {
            task: task.name.clone(),
            summary: task.summary.clone(),
            outcome: Outcome::NotStarted,
            start_ms: 0,
            took_ms: 0,
            is_critical: false,
            reasons: Vec::new(),
            after: names(first),
            first: first.clone(),
        };
        self.projects().push(ProjectTiming {
            dir: dir.to_owned(),
            directory: crate::text::visible_bytes(dir.as_os_str().as_encoded_bytes()),
            plugin: plugin.to_owned(),
            end_ms: 0,
            critical_ms: 0,
            tasks: plan.tasks.iter().zip(&plan.first).map(task).collect(),
        });
    }

    /// All projects, by directory.
    pub fn finish(self) -> Vec<ProjectTiming> {
        let mut projects = self.projects.into_inner().unwrap_or_else(PoisonError::into_inner);
        projects.sort_by(|one, other| one.dir.cmp(&other.dir));
        projects.iter_mut().for_each(ProjectTiming::mark_critical_path);
        projects
    }

    fn projects(&self) -> MutexGuard<'_, Vec<ProjectTiming>> {
        self.projects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, project: &Path, task: &str, change: impl FnOnce(&mut TaskTiming, u64)) {
        let now = milliseconds(self.began.elapsed());
        let mut projects = self.projects();
        let Some(project) = projects.iter_mut().find(|known| known.dir == project) else { return };
        if let Some(task) = project.tasks.iter_mut().find(|known| known.task == task) {
            change(task, now);
            project.end_ms = project.end_ms.max(now);
        }
    }

    fn end(&self, project: &Path, task: &str, outcome: Outcome) {
        self.change(project, task, |task, now| {
            task.outcome = outcome;
            task.took_ms = now.saturating_sub(task.start_ms);
        });
    }
}

impl Observer for Timings<'_> {
    fn event(&self, project: &Path, event: Event<'_>) {
        match &event {
            Event::Fresh { task } => self.change(project, task, |task, now| {
                task.outcome = Outcome::Fresh;
                task.start_ms = now;
            }),
            Event::Started { task, reasons, .. } => self.change(project, task, |task, now| {
                task.start_ms = now;
                task.reasons = reasons.iter().map(ToString::to_string).collect();
            }),
            Event::Done { task, .. } => self.end(project, task, Outcome::Ran),
            Event::Restored { task, .. } => self.end(project, task, Outcome::Restored),
            Event::Failed { task, .. } => self.end(project, task, Outcome::Failed),
            _ => {}
        }
        self.next.event(project, event);
    }
}

impl ProjectTiming {
    /// The chain of tasks, each waiting for the one before, that took longest.
    fn mark_critical_path(&mut self) {
        // The length of the longest chain up to and with each task, and which task goes before in it.
        let mut longest: Vec<(u64, Option<usize>)> = Vec::new();
        for task in &self.tasks {
            let before = task.first.iter().copied().max_by_key(|other| longest[*other].0);
            let length = before.map_or(0, |other| longest[other].0);
            longest.push((length + task.took_ms, before));
        }
        let last = (0..longest.len()).max_by_key(|index| longest[*index].0);
        self.critical_ms = last.map_or(0, |index| longest[index].0);
        let mut next = last;
        while let Some(index) = next {
            let task = &mut self.tasks[index];
            task.is_critical = task.took_ms > 0;
            next = longest[index].1;
        }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_critical_path_is_the_longest_chain_of_tasks_that_wait_for_each_other() {
        let task = |name: &str, took_ms, first: &[usize]| TaskTiming {
            task: name.to_owned(),
            summary: String::new(),
            outcome: Outcome::Ran,
            start_ms: 0,
            took_ms,
            is_critical: false,
            reasons: Vec::new(),
            after: Vec::new(),
            first: first.to_vec(),
        };
        let mut project = ProjectTiming {
            dir: PathBuf::new(),
            directory: String::new(),
            plugin: String::new(),
            end_ms: 0,
            critical_ms: 0,
            tasks: vec![
                task("a", 5, &[]),
                task("b", 20, &[]),
                task("c", 10, &[0]),
                task("fresh", 0, &[0, 1]),
                task("d", 7, &[2, 3]),
            ],
        };
        project.mark_critical_path();
        let critical: Vec<&str> =
            project.tasks.iter().filter(|task| task.is_critical).map(|task| task.task.as_str()).collect();
        assert_eq!((critical, project.critical_ms), (vec!["b", "d"], 27));
    }
}
