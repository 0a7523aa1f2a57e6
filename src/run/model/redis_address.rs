//! Where the redis of a module is.

use std::fmt;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisAddress {
    Unix(PathBuf),
    Tcp { host: String, port: u16 },
}

/// What may be written.
const ALLOWED: &str = "an absolute path of a unix socket, or HOST:PORT, is allowed";

impl RedisAddress {
    /// The socket of the redis that is run with the module.
    pub fn own(runtime_home: &Path) -> RedisAddress {
        RedisAddress::Unix(runtime_home.join("var/redis.socket"))
    }

    /// As a person writes it: `/run/redis/redis.sock`, `unix:/run/…`, `queues.example.org:6379`; nothing and `null` for none.
    pub fn parse(text: &str) -> Result<Option<RedisAddress>, &'static str> {
        let text = text.trim();
        if text.is_empty() || text == "null" {
            return Ok(None);
        }
        let path = text.strip_prefix("unix:").unwrap_or(text);
        if path.starts_with('/') {
            return Ok(Some(RedisAddress::Unix(path.into())));
        }
        let (host, port) = text.rsplit_once(':').ok_or(ALLOWED)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_host = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c == '/');
        match port.parse() {
            Ok(port) if is_host && port > 0 => Ok(Some(RedisAddress::Tcp { host: host.to_owned(), port })),
            _ => Err(ALLOWED),
        }
    }

    /// The options of a step that name it.
    pub(super) fn step_arguments(&self) -> Vec<String> {
        match self {
            RedisAddress::Unix(path) => vec![format!("--redis-unix-socket-path={}", path.display())],
            RedisAddress::Tcp { host, port } => {
                vec![format!("--redis-host={host}"), format!("--redis-port={port}")]
            }
        }
    }
}

impl From<RedisAddress> for redis::ConnectionAddr {
    fn from(address: RedisAddress) -> redis::ConnectionAddr {
        match address {
            RedisAddress::Unix(path) => redis::ConnectionAddr::Unix(path),
            RedisAddress::Tcp { host, port } => redis::ConnectionAddr::Tcp(host, port),
        }
    }
}

impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RedisAddress::Unix(path) => f.write_str(&crate::text::path(path)),
            RedisAddress::Tcp { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_socket_or_a_host_with_a_port() {
        let read = |text| RedisAddress::parse(text).map(|found| found.map(|found| found.to_string()));
        let some = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(read("/run/r.sock"), some("`/run/r.sock`"));
        assert_eq!(read("unix:/run/r.sock"), some("`/run/r.sock`"));
        assert_eq!(read("queues:6379"), some("queues:6379"));
        assert_eq!(read("[::1]:6379"), some("::1:6379"));
        assert_eq!([read(""), read(" null ")], [Ok(None), Ok(None)]);
        for wrong in
            ["queues", "r.sock", "queues:", "queues:0", "queues:99999", ":6379", "unix:r.sock", "a b:1"]
        {
            assert_eq!(read(wrong), Err(ALLOWED), "{wrong}");
        }
    }
}
