//! Telling a service manager how the module is: the protocol of sd_notify(3), a datagram to `NOTIFY_SOCKET`.
//!
//! The standard library has all that it takes. The variable is for us alone: a plugin's own server that knew it would
//! speak for the whole module.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use crate::site::Environment;

const VARIABLE: &str = "NOTIFY_SOCKET";

/// Whoever waits for word; nobody, outside of a service.
#[derive(Debug)]
pub(super) struct Notifier(Option<(UnixDatagram, SocketAddr)>);

impl Notifier {
    /// Takes the variable out of the environment.
    pub(super) fn take(environment: &mut Environment) -> Notifier {
        let given = environment.get(VARIABLE).map(|name| name.as_bytes().to_owned());
        environment.remove(VARIABLE);
        let address = given.and_then(|name| match name.split_first()? {
            (b'@', name) => SocketAddr::from_abstract_name(name).ok(),
            _ => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(&name)).ok(),
        });
        let socket = || {
            let socket = UnixDatagram::unbound().ok()?;
            // A manager that does not listen holds nobody up.
            socket.set_nonblocking(true).ok()?;
            Some(socket)
        };
        Notifier(address.and_then(|address| Some((socket()?, address))))
    }

    pub(super) fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={}", crate::text::visible(status)));
    }

    pub(super) fn reloading(&self) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
    }

    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    fn tell(&self, state: &str) {
        if let Some((socket, address)) = &self.0 {
            // Nobody listens: nobody wants to know.
            let _ = socket.send_to_addr(state.as_bytes(), address);
        }
    }
}
