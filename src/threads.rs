//! Starting threads, which fails where a machine or a container allows for no more: that is an error, or the work goes
//! on with fewer, and never a panic.
#![allow(clippy::disallowed_methods)]

use std::io;
use std::panic::resume_unwind;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Builder, JoinHandle, Scope, ScopedJoinHandle};
use std::time::Duration;

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::{Error, Result};
use crate::text;

/// Starts a thread that works for `what`.
pub(crate) fn start<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>> {
    Builder::new().name(what.to_owned()).spawn(work).map_err(|error| cannot_start(what, &error))
}

/// Does the work on a thread of its own, for whoever must not be held up. (A runtime's own threads for this panic where
/// there may be no more.)
pub(crate) async fn apart<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let (sender, outcome) = tokio::sync::oneshot::channel();
    // Who asked may have gone.
    start(what, move || drop(sender.send(work())))?;
    outcome.await.unwrap_or_else(|_| Err(Error::machine(format!("a thread for {what} has failed"))))
}

/// As [`start`], of a scope.
pub(crate) fn start_in<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    what: &str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>> {
    let builder = Builder::new().name(what.to_owned());
    builder.spawn_scoped(scope, work).map_err(|error| cannot_start(what, &error))
}

/// Does the work on a thread of its own; where none can be started on this one, before returning.
pub(crate) fn start_or_do<'scope>(
    scope: &'scope Scope<'scope, '_>,
    what: &str,
    work: impl FnOnce() + Clone + Send + 'scope,
) {
    if start_in(scope, what, work.clone()).is_err() {
        work();
    }
}

fn cannot_start(what: &str, error: &io::Error) -> Error {
    Error::machine(format!("cannot start a thread for {what}: {}", text::io_reason(error)))
        .hint("raise the limit of processes (`ulimit -u`, `pids.max` of the container), or end some of them")
}

/// Does the same work on this thread and on up to `most - 1` others at the same time.
pub(crate) fn together<T: Send>(most: usize, what: &str, work: impl Fn() -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..most).map_while(|_| start_in(scope, what, &work).ok()).collect();
        let mut all = vec![work()];
        for other in others {
            all.push(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        all
    })
}

/// `work` of each item, by up to `most` threads each of which takes the next as soon as it is done with one: for items of
/// which some take long, those first. In no order; after a failure no further item is begun.
pub(crate) fn try_each<T: Sync, R: Send>(
    items: &[T],
    most: usize,
    what: &str,
    work: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let work_on = || {
        let mut done = Vec::new();
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            match work(item) {
                Ok(result) => done.push(result),
                Err(error) => {
                    next.store(items.len(), Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        Ok(done)
    };
    let parts: Result<Vec<Vec<R>>> = together(most.min(items.len()), what, work_on).into_iter().collect();
    Ok(parts?.into_iter().flatten().collect())
}

/// `work` of each item, in the order of the items, at least `at_once` of them on one thread.
pub(crate) fn map<T: Send, R: Send>(
    items: Vec<T>,
    at_once: usize,
    work: impl Fn(T) -> R + Send + Sync,
) -> Vec<R> {
    match pool().filter(|_| items.len() > at_once) {
        Some(pool) => pool.install(|| items.into_par_iter().with_min_len(at_once).map(work).collect()),
        None => items.into_iter().map(work).collect(),
    }
}

/// As [`map`] with work that may fail: one of the failures.
pub(crate) fn try_map<T: Send, R: Send>(
    items: Vec<T>,
    at_once: usize,
    work: impl Fn(T) -> Result<R> + Send + Sync,
) -> Result<Vec<R>> {
    match pool().filter(|_| items.len() > at_once) {
        Some(pool) => pool.install(|| items.into_par_iter().with_min_len(at_once).map(work).collect()),
        None => items.into_iter().map(work).collect(),
    }
}

/// Does both at the same time, where there is a thread for it.
pub(crate) fn both<A: Send, B: Send>(
    one: impl FnOnce() -> A + Send,
    other: impl FnOnce() -> B + Send,
) -> (A, B) {
    match pool() {
        Some(pool) => pool.join(one, other),
        None => (one(), other()),
    }
}

/// How many threads have a processor each.
pub(crate) fn processors() -> usize {
    // To ask takes a dozen system calls.
    static PROCESSORS: OnceLock<usize> = OnceLock::new();
    *PROCESSORS.get_or_init(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
}

/// The threads of this process for work that is cut into pieces: one per processor, or as many as there may be; `None`
/// where there may not be a single one.
fn pool() -> Option<&'static ThreadPool> {
    static POOL: OnceLock<Option<ThreadPool>> = OnceLock::new();
    POOL.get_or_init(|| {
        (1..=processors()).rev().find_map(|threads| {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build();
            if pool.is_err() {
                // The threads that could be started are about to end, and count until then.
                std::thread::sleep(Duration::from_millis(10));
            }
            pool.ok()
        })
    })
    .as_ref()
}
