//! The addresses of servers, asked for once. For each of a hundred files, a dozen at a time, is more than some name servers
//! answer: each question that they drop costs five seconds.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// What is known by `scheme://host:port`, shared by its clones.
#[derive(Debug, Clone, Default)]
pub(super) struct Addresses(Arc<Mutex<HashMap<String, Known>>>);

#[derive(Debug)]
enum Known {
    Found(Vec<SocketAddr>),
    /// The last question had no answer, at that moment.
    Failed(Instant),
}

impl Addresses {
    /// For somebody who wants to know since `begun`.
    fn of(
        &self,
        uri: &Uri,
        begun: Instant,
        ask: impl FnOnce() -> Result<Vec<SocketAddr>, Error>,
    ) -> Result<Vec<SocketAddr>, Error> {
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        let server = format!("{}://{authority}", uri.scheme_str().unwrap_or_default());
        // Others wait meanwhile, most of them for the same answer.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(&server) {
            Some(Known::Found(addresses)) => return Ok(addresses.clone()),
            // Who waited for that does not wait as long once more.
            Some(Known::Failed(at)) if *at >= begun => {
                return Err(io::Error::other("the name of the server was not found").into());
            }
            _ => {}
        }
        let found = ask();
        let is_known =
            found.as_ref().map_or_else(|_| Known::Failed(Instant::now()), |it| Known::Found(it.clone()));
        known.insert(server, is_known);
        found
    }
}

impl Resolver for Addresses {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let ask = || Ok(DefaultResolver::default().resolve(uri, config, timeout)?.to_vec());
        let mut addresses = self.empty();
        self.of(uri, Instant::now(), ask)?.into_iter().for_each(|address| addresses.push(address));
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_asked_for_once_and_again_only_where_it_was_not_found() {
        let addresses = Addresses::default();
        let asked = std::cell::Cell::new(0);
        let of = |uri: &str, answer: Option<&str>| {
            addresses.clone().of(&uri.parse().unwrap(), Instant::now(), || {
                asked.set(asked.get() + 1);
                answer.map(|address| vec![address.parse().unwrap()]).ok_or(Error::HostNotFound)
            })
        };
        assert!(of("https://h/a", None).is_err());
        for file in ["a", "b"] {
            assert_eq!(of(&format!("https://h/{file}"), Some("10.0.0.1:443")).unwrap().len(), 1);
        }
        assert_eq!(asked.get(), 2);
        assert!(
            of("http://h/a", Some("10.0.0.1:80")).is_ok()
                && of("https://h:444/", Some("10.0.0.1:444")).is_ok()
        );
        assert_eq!(asked.get(), 4);
    }
    #[test]
    fn who_waited_for_a_question_without_an_answer_does_not_ask_it_again() {
        let addresses = Addresses::default();
        let uri: Uri = "https://h/a".parse().unwrap();
        let begun = Instant::now();
        assert!(addresses.of(&uri, begun, || Err(Error::HostNotFound)).is_err());
        assert!(addresses.of(&uri, begun, || panic!("asked again")).is_err());
        let found = || Ok(vec!["10.0.0.1:443".parse().unwrap()]);
        assert!(addresses.of(&uri, Instant::now() + std::time::Duration::from_secs(1), found).is_ok());
    }
}
