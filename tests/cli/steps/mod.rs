//! Steps of mfdata, run with python3 and a redis of their own. Events come into the queues as the observer puts them there.

mod crashes;
mod interface;
mod one_file;
mod routing;
mod several;
pub mod world;
