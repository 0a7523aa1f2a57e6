//! mfdata under `mwp up`: files are dropped into directories, and processed by steps as their authors wrote them.

mod bad_days;
mod flow;
mod observing;
mod retrying;
mod sharing;
