//! How files reach the steps of mfdata: an observer tells of each file that comes in, in a list in redis for each step.
//!
//! A file is told of once it is whole: when whoever wrote it has closed it, or when it was moved in. A list is only news,
//! the truth is in the directories: they are listed at the start, whenever redis or a step's process was away, and now and
//! then, and what is there and in no list is told of again. So nothing that dies – the observer, redis, a step – loses a
//! file, and nothing has to be written down. A step takes a file by a rename, so that news that come twice do no harm.
//!
//! A list does not grow beyond `MOST_QUEUED`: further files wait in their directory alone until half of it is done. Redis
//! that is away or full is waited for, and what has come meanwhile is found in the directories.

mod client;
mod directory;
mod event;
mod observer;
mod queue;
mod server;

pub use observer::{Figures, Observer, QueueReport, Task};
pub use server::{arguments, check, find};

/// How many files a list tells of at most.
const MOST_QUEUED: usize = 10_000;
