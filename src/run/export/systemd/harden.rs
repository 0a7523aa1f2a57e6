//! What a service may not do: everything that serving plugins does not need.
//!
//! `[systemd] hardening=0` in the module's `config.ini` leaves this out, `[systemd] writable_paths` names directories
//! beside the runtime home and the plugins that are written to. Left alone is what interpreters and plugins live by:
//! memory that is written and then run (Node.js), and reading the homes. A plugin that needs hardware gets it by
//! `DeviceAllow=` in `systemctl edit`.
//!
//! A user's systemd has no privileges to give away a view of the file system or capabilities; its units get what the
//! process itself can renounce.

use std::path::{Path, PathBuf};

use super::unit::Unit;
use super::{Manager, quote};
use crate::error::Result;

/// Of whom a service is, as far as that matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rights {
    /// Those of an ordinary user.
    None,
    /// To listen on ports below 1024, besides.
    LowPorts,
    /// Those of root that reach no further than files, users and ports: nginx's workers are another user.
    Root,
}

/// The lines for all services of a module.
#[derive(Debug)]
pub(super) struct Hardening {
    pub(super) manager: Manager,
    /// What is written to; directories that are not there are none.
    pub(super) writable: Vec<PathBuf>,
    /// Whatever the services have to find as it is.
    pub(super) needed: Vec<PathBuf>,
}

/// Whether processes make groups of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Groups {
    Own,
    Given,
}

impl Hardening {
    pub(super) fn apply(
        &self,
        unit: &mut Unit,
        rights: Rights,
        groups: Groups,
        more: &[&Path],
    ) -> Result<()> {
        unit.set("NoNewPrivileges", "yes")
            .set("LockPersonality", "yes")
            .set("RestrictRealtime", "yes")
            .set("RestrictSUIDSGID", "yes")
            .set("RestrictNamespaces", "yes")
            .set("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6 AF_NETLINK")
            .set("SystemCallArchitectures", "native")
            .set("SystemCallFilter", "@system-service")
            .set("SystemCallErrorNumber", "EPERM")
            .set("UMask", "0027");
        if self.manager == Manager::User {
            return Ok(());
        }
        let mut writable: Vec<&Path> =
            self.writable.iter().map(PathBuf::as_path).chain(more.iter().copied()).collect();
        writable.sort_unstable();
        writable.dedup();
        unit.set("ProtectSystem", "strict")
            .set("ReadWritePaths", quote::optional_paths(&writable)?)
            .set("ProtectHome", "read-only");
        // What is below /tmp would not be found in another one.
        let is_temporary = |path: &&Path| path.starts_with("/tmp") || path.starts_with("/var/tmp");
        let mut paths = self.needed.iter().map(PathBuf::as_path).chain(writable.iter().copied());
        if !paths.any(|path| is_temporary(&path)) {
            unit.set("PrivateTmp", "yes");
        }
        unit.set("ProtectClock", "yes")
            .set("ProtectHostname", "yes")
            .set("ProtectKernelLogs", "yes")
            .set("ProtectKernelModules", "yes")
            .set("ProtectKernelTunables", "yes")
            .set("KeyringMode", "private");
        if groups == Groups::Given {
            unit.set("ProtectControlGroups", "yes");
        }
        match rights {
            Rights::None => unit.set("CapabilityBoundingSet", "").set("AmbientCapabilities", ""),
            Rights::LowPorts => unit
                .set("CapabilityBoundingSet", "CAP_NET_BIND_SERVICE")
                .set("AmbientCapabilities", "CAP_NET_BIND_SERVICE"),
            Rights::Root => unit.set(
                "CapabilityBoundingSet",
                "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_KILL CAP_NET_BIND_SERVICE CAP_SETGID CAP_SETUID",
            ),
        };
        Ok(())
    }
}
