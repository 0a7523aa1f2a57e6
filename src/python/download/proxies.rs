//! Which proxy leads to a server, as pip decides it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use url::{Host, Url};

use crate::site::Environment;

#[derive(Debug, Default)]
pub(super) struct Proxies {
    /// pip's own setting: for every server, whatever the variables say.
    of_pip: Option<String>,
    http: Option<String>,
    https: Option<String>,
    all: Option<String>,
    /// Hosts that are asked without one.
    except: Vec<String>,
}

impl Proxies {
    pub(super) fn new(options: &BTreeMap<String, String>, environment: &Environment) -> Proxies {
        // Small letters count, even where they say that there is none.
        let variable = |name: &str| match environment.get(name) {
            Some(value) => value.to_str().filter(|value| !value.is_empty()).map(str::to_owned),
            None => environment.text(&name.to_ascii_uppercase()).map(str::to_owned),
        };
        let except = variable("no_proxy").unwrap_or_default();
        Proxies {
            of_pip: options.get("proxy").cloned(),
            http: variable("http_proxy"),
            https: variable("https_proxy"),
            all: variable("all_proxy"),
            except: except.split(',').map(|name| name.trim().to_ascii_lowercase()).collect(),
        }
    }

    pub(super) fn for_address(&self, address: &Url) -> Option<&str> {
        if let Some(proxy) = &self.of_pip {
            return Some(proxy);
        }
        let of_scheme = if address.scheme() == "https" { &self.https } else { &self.http };
        let proxy = of_scheme.as_ref().or(self.all.as_ref())?;
        let is_excepted = self.except.iter().any(|name| is_named(name, address));
        if is_excepted { None } else { Some(proxy) }
    }
}

/// Whether an entry of `NO_PROXY` is about this server: `*`, a domain, `host:port`, an address or a network.
fn is_named(entry: &str, address: &Url) -> bool {
    let (Some(host), Some(name)) = (address.host(), address.host_str()) else { return false };
    let with_port = address.port_or_known_default().map(|port| format!("{name}:{port}"));
    if let (Host::Ipv4(ip), Some((network, length))) = (host, entry.split_once('/')) {
        return is_in_network(ip, network, length);
    }
    let domain = entry.trim_start_matches('.');
    let is_below = |host: &str| host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    entry == "*"
        || (!domain.is_empty() && (name == domain || is_below(name) || with_port.as_deref() == Some(domain)))
}

fn is_in_network(ip: Ipv4Addr, network: &str, length: &str) -> bool {
    let (Ok(network), Ok(length @ 0..=32)) = (network.parse::<Ipv4Addr>(), length.parse::<u32>()) else {
        return false;
    };
    let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
    ip.to_bits() & mask == network.to_bits() & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(options: &[(&str, &str)], variables: &[(&str, &str)]) -> Proxies {
        let mut environment = Environment::default();
        for (name, value) in variables {
            environment.set(*name, *value);
        }
        let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Proxies::new(&options.collect(), &environment)
    }

    #[test]
    fn the_proxy_is_that_of_the_scheme_and_the_setting_of_pip_wins() {
        let http = Url::parse("http://h/a").unwrap();
        let https = Url::parse("https://h/a").unwrap();
        let of = |variables: &[(&str, &str)], address: &Url| {
            proxies(&[], variables).for_address(address).map(str::to_owned)
        };
        assert_eq!(of(&[], &http), None);
        assert_eq!(of(&[("HTTP_PROXY", "a")], &http).as_deref(), Some("a"));
        assert_eq!(of(&[("HTTP_PROXY", "a")], &https), None);
        assert_eq!(of(&[("HTTPS_PROXY", "a"), ("https_proxy", "b")], &https).as_deref(), Some("b"));
        assert_eq!(of(&[("HTTPS_PROXY", "a"), ("https_proxy", "")], &https), None);
        assert_eq!(of(&[("all_proxy", "a")], &https).as_deref(), Some("a"));
        let both = proxies(&[("proxy", "c")], &[("HTTP_PROXY", "a"), ("NO_PROXY", "*")]);
        assert_eq!(both.for_address(&http), Some("c"));
    }

    #[test]
    fn hosts_domains_ports_and_networks_can_be_excepted() {
        for (except, address, is_excepted) in [
            ("h", "http://h/", true),
            ("other, .corp.org", "http://a.CORP.org/", true),
            ("corp.org", "http://a.corp.org/", true),
            ("corp.org", "http://notcorp.org/", false),
            ("h:8080", "http://h:8080/", true),
            ("h:8080", "http://h/", false),
            ("10.0.0.0/8", "http://10.1.2.3/", true),
            ("10.0.0.0/8", "http://11.1.2.3/", false),
            ("0.0.0.0/0", "http://11.1.2.3/", true),
            ("*", "http://h/", true),
            ("", "http://h/", false),
        ] {
            let proxies = proxies(&[], &[("http_proxy", "p"), ("no_proxy", except)]);
            let found = proxies.for_address(&Url::parse(address).unwrap());
            assert_eq!(found.is_none(), is_excepted, "{except} {address}");
        }
    }
}
