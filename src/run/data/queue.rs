//! What the observer knows of one list and one directory that feeds it.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::time::{Duration, Instant};

use crate::run::model::Watched;

/// How soon a directory is listed again, to find what is in no list any more …
const SOONEST: Duration = Duration::from_secs(10);
/// … and at least, where what is told of again and again stays there: somebody holds it.
const LATEST: Duration = Duration::from_secs(300);
/// Where something is known to be left over.
const AT_ONCE: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Queue {
    pub(super) watched: Watched,
    /// Files that have come in and are not told of.
    pub(super) arrivals: Vec<OsString>,
    /// There is no room in the list: what comes in waits for the next listing.
    pub(super) is_full: bool,
    pub(super) list_at: Instant,
    interval: Duration,
    pub(super) rate: Rate,
}

impl Queue {
    pub(super) fn new(watched: Watched) -> Queue {
        Queue {
            watched,
            arrivals: Vec::new(),
            is_full: false,
            list_at: Instant::now(),
            interval: SOONEST,
            rate: Rate::default(),
        }
    }

    pub(super) fn arrived(&mut self, name: OsString) {
        if !self.is_full {
            self.arrivals.push(name);
        }
    }

    pub(super) fn list_again(&mut self, at: Instant) {
        self.list_at = at;
        self.interval = SOONEST;
    }

    /// After a listing: whether it found files that were in no list, and whether it has to be repeated soon.
    pub(super) fn listed(&mut self, found: bool, is_incomplete: bool, now: Instant) {
        self.interval = if found { (self.interval * 2).min(LATEST) } else { SOONEST };
        self.list_at = now + if is_incomplete { AT_ONCE } else { self.interval };
    }
}

/// How many files were taken within the last minute, by readings of a counter.
#[derive(Debug, Default)]
pub(super) struct Rate(VecDeque<(Instant, u64)>);

impl Rate {
    pub(super) fn note(&mut self, count: u64, now: Instant) {
        // A counter that went back has begun anew.
        if self.0.back().is_some_and(|(_, last)| *last > count) {
            self.0.clear();
        }
        self.0.push_back((now, count));
        // One from before the minute is what it is measured from.
        while self.0.len() > 2 && now.duration_since(self.0[1].0) >= MINUTE {
            self.0.pop_front();
        }
    }

    pub(super) fn per_minute(&self, now: Instant) -> Option<f64> {
        let ((begun, first), (_, last)) = (self.0.front()?, self.0.back()?);
        let elapsed = now.duration_since(*begun);
        (elapsed >= Duration::from_secs(1)).then(|| (last - first) as f64 * 60.0 / elapsed.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> Queue {
        let watched =
            Watched { directory: "/in".into(), queue: "step.p.s".to_owned(), label: "p.s".to_owned() };
        Queue::new(watched)
    }

    #[test]
    fn what_somebody_holds_is_told_of_less_and_less() {
        let (mut queue, now) = (queue(), Instant::now());
        let mut wait = |found, incomplete| {
            queue.listed(found, incomplete, now);
            (queue.list_at - now).as_secs()
        };
        assert_eq!([wait(true, false), wait(true, false), wait(true, false)], [20, 40, 80]);
        assert_eq!((0..5).map(|_| wait(true, false)).last(), Some(300));
        assert_eq!(wait(false, false), 10);
        assert_eq!(wait(true, true), 1);
    }

    #[test]
    fn a_full_queue_takes_nothing_until_it_is_listed() {
        let mut queue = queue();
        queue.arrived("a".into());
        queue.is_full = true;
        queue.arrived("b".into());
        assert_eq!(queue.arrivals, ["a"]);
    }

    #[test]
    fn the_rate_is_that_of_the_last_minute_and_survives_a_counter_that_begins_anew() {
        let (mut rate, begun) = (Rate::default(), Instant::now());
        let at = |seconds| begun + Duration::from_secs(seconds);
        assert_eq!(rate.per_minute(begun), None);
        for second in (0..=120).step_by(5) {
            rate.note(second * 2, at(second));
        }
        assert_eq!(rate.per_minute(at(120)), Some(120.0));
        rate.note(3, at(125));
        rate.note(13, at(130));
        assert_eq!(rate.per_minute(at(130)), Some(120.0));
    }
}
