//! Addresses of the hosts that a configuration names.

use std::net::{IpAddr, ToSocketAddrs};

/// What stands for an address that could not be found.
const FAILED: &str = "dns_error";

/// The key and value of the address that belongs to a key, where it names a host or, with `;` between them,
/// several. Only such a key costs a question to the resolver.
pub(super) fn of_key(key: &str, value: &str) -> Option<(String, String)> {
    let is_named = |name: &str| key == name || key.ends_with(&format!("_{name}"));
    if is_named("hostname") {
        Some((format!("{key}_ip"), of_host(value)))
    } else if is_named("hostnames") {
        let addresses: Vec<String> = value.split(';').map(of_host).collect();
        Some((format!("{key}_ips"), addresses.join(";")))
    } else {
        None
    }
}

/// No host, `null` and paths of sockets pass through.
fn of_host(name: &str) -> String {
    let name = name.trim();
    if name.is_empty() || name == "null" || name.starts_with('/') {
        return name.to_owned();
    }
    if let Ok(address) = name.parse::<IpAddr>() {
        return address.to_string();
    }
    let Ok(addresses) = (name, 0).to_socket_addrs() else { return FAILED.to_owned() };
    let addresses: Vec<IpAddr> = addresses.map(|address| address.ip()).collect();
    // Upstream asks for IPv4 alone.
    let first = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
    first.map_or_else(|| FAILED.to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_names_hosts_has_addresses() {
        for (key, value, expected) in [
            ("hostname", "localhost", Some(("hostname_ip", "127.0.0.1"))),
            ("db_hostname", "null", Some(("db_hostname_ip", "null"))),
            ("hostname", "/run/x.socket", Some(("hostname_ip", "/run/x.socket"))),
            ("hostname", "no such host", Some(("hostname_ip", "dns_error"))),
            ("x_hostnames", "localhost;10.1.2.3;null", Some(("x_hostnames_ips", "127.0.0.1;10.1.2.3;null"))),
            ("myhostname", "localhost", None),
            ("host", "localhost", None),
        ] {
            let expected = expected.map(|(key, value): (&str, &str)| (key.to_owned(), value.to_owned()));
            assert_eq!(of_key(key, value), expected, "{key}={value}");
        }
    }
}
