//! Who wants everything to be looked at asks here, and the next look is for all who asked before it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::sync::{Notify, watch};

use super::idle::{Busy, Idle};

/// Requests that coalesce, numbered.
#[derive(Debug)]
pub(super) struct Queue {
    asked: Cell<u64>,
    wake: Notify,
    done: watch::Sender<u64>,
    idle: Rc<Idle>,
    /// While somebody waits.
    busy: RefCell<Option<Busy>>,
}

impl Queue {
    pub(super) fn new(idle: &Rc<Idle>) -> Queue {
        Queue {
            asked: Cell::new(0),
            wake: Notify::new(),
            done: watch::Sender::new(0),
            idle: Rc::clone(idle),
            busy: RefCell::default(),
        }
    }

    /// Asks for a look that begins after this.
    pub(super) fn ask(&self) -> u64 {
        let number = self.asked.get() + 1;
        self.asked.set(number);
        self.busy.borrow_mut().get_or_insert_with(|| self.idle.busy());
        self.wake.notify_one();
        number
    }

    /// Returns when the look that was asked for is over.
    pub(super) async fn answered(&self, number: u64) {
        // The sender is this very queue, so it is there.
        let _ = self.done.subscribe().wait_for(|done| *done >= number).await;
    }

    /// Waits until somebody asks, and says up to which request the next look counts.
    pub(super) async fn next(&self) -> u64 {
        self.wake.notified().await;
        self.asked.get()
    }

    pub(super) fn finish(&self, number: u64) {
        self.done.send_replace(number);
        if number == self.asked.get() {
            self.busy.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_coalesce_and_each_is_answered_by_a_look_that_began_after_it() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let var = tempfile::tempdir().unwrap();
            let queue = Queue::new(&Idle::new(var.path()));
            let (first, second) = (queue.ask(), queue.ask());
            let looked = queue.next().await;
            let third = queue.ask();
            queue.finish(looked);
            queue.answered(first).await;
            queue.answered(second).await;
            assert!(tokio::time::timeout(std::time::Duration::ZERO, queue.answered(third)).await.is_err());
            let looked = queue.next().await;
            queue.finish(looked);
            queue.answered(third).await;
        });
    }
}
