//! Asks servers for files, with the settings that pip has: proxies, certificates, passwords, time-outs. What it cannot
//! do as pip does it, it says, and pip is asked.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flate2::read::GzDecoder;
use ureq::http::header::HeaderName;
use ureq::http::{Response, StatusCode, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Body, BodyReader, Proxy, Timeout};
use url::Url;

use super::super::sources::{Sources, machine_options};
use super::addresses::Addresses;
use super::credentials::Credentials;
use super::proxies::Proxies;
use crate::fs;
use crate::site::{Environment, Site};
use crate::text;

/// As many as pip follows.
const REDIRECTS: usize = 30;

pub(in crate::python) struct Client {
    roots: RootCerts,
    timeout: Duration,
    /// How often what may pass is tried again.
    pub(super) retries: u32,
    proxies: Proxies,
    credentials: Credentials,
    /// `host` or `host:port` of servers whose certificates are not looked at.
    trusted_hosts: Vec<String>,
    /// One for each proxy, with and without a look at certificates: connections are kept and used again.
    agents: Mutex<BTreeMap<(Option<String>, bool), Agent>>,
    addresses: Addresses,
}

/// What was asked for by its media type.
pub(in crate::python) enum Document {
    Found {
        /// Where it was in the end, without a password.
        address: Url,
        content: Vec<u8>,
    },
    /// There is no such thing.
    Absent,
}

/// Why a file could not be had.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) reason: String,
    /// It may be gone at the next try.
    pub(super) is_passing: bool,
    /// Nothing else can be had from that server either.
    pub(super) is_of_server: bool,
}

impl Client {
    /// An error says what this cannot do.
    pub(in crate::python) fn new(site: &Site, sources: &Sources) -> Result<Client, String> {
        let options = machine_options(site);
        if options.contains_key("client-cert") {
            return Err("a client certificate is set".to_owned());
        }
        let number = |key: &str| options.get(key).and_then(|value| value.parse().ok());
        Ok(Client {
            roots: roots(&options, &site.environment)?,
            timeout: Duration::from_secs(
                number("timeout").or(number("default-timeout")).unwrap_or(15).max(1),
            ),
            retries: number("retries").map_or(2, |retries| retries.min(10) as u32),
            proxies: Proxies::new(&options, &site.environment),
            credentials: Credentials::new(site, sources.addresses()),
            trusted_hosts: sources.trusted_hosts().map(str::to_ascii_lowercase).collect(),
            agents: Mutex::default(),
            addresses: Addresses::default(),
        })
    }

    /// The content of a file, as it comes.
    pub(super) fn get(&self, address: &Url) -> Result<BodyReader<'static>, Trouble> {
        match self.ask(address, &[])? {
            (_, answer) if answer.status() == StatusCode::OK => Ok(answer.into_body().into_reader()),
            (_, answer) => Err(Trouble::answered(answer.status())),
        }
    }

    /// What is at an address, of this media type and not longer than `most` bytes; an error says why it could not be had.
    pub(in crate::python) fn document(
        &self,
        address: &Url,
        media_type: &str,
        most: u64,
    ) -> Result<Document, String> {
        let headers = [(header::ACCEPT, media_type), (header::ACCEPT_ENCODING, "gzip")];
        let (address, answer) = self.ask(address, &headers).map_err(|trouble| trouble.reason)?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(Document::Absent),
            status => return Err(Trouble::answered(status).reason),
        }
        let value = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let found = value(header::CONTENT_TYPE).unwrap_or_default();
        if found.split(';').next().map(str::trim) != Some(media_type) {
            return Err(format!("the server answered with `{}`", text::visible(found)));
        }
        let encoding = value(header::CONTENT_ENCODING).unwrap_or("identity").to_owned();
        let body = answer.into_body().into_reader();
        let mut unpacked: Box<dyn Read> = match encoding.as_str() {
            "identity" => Box::new(body),
            "gzip" => Box::new(GzDecoder::new(body)),
            other => return Err(format!("the answer is encoded with `{}`", text::visible(other))),
        };
        let mut content = Vec::new();
        let read = unpacked.by_ref().take(most.saturating_add(1)).read_to_end(&mut content);
        read.map_err(|error| Trouble::broken(&error).reason)?;
        if content.len() as u64 > most {
            return Err(format!("it is longer than {most} bytes"));
        }
        Ok(Document::Found { address: without_password(&address), content })
    }

    /// Asks, follows redirections, and tells where it was answered.
    fn ask(&self, address: &Url, headers: &[(HeaderName, &str)]) -> Result<(Url, Response<Body>), Trouble> {
        let mut address = address.clone();
        for _ in 0..=REDIRECTS {
            let mut request = self.agent(&address)?.get(without_password(&address).as_str());
            for (name, value) in headers {
                request = request.header(name, *value);
            }
            // Passwords are chosen for each address anew: none follows to another server.
            if let Some(value) = self.credentials.for_address(&address) {
                request = request.header(header::AUTHORIZATION, value);
            }
            let answer = request.call().map_err(|error| Trouble::of(&error))?;
            if !answer.status().is_redirection() {
                return Ok((address, answer));
            }
            let location = answer.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
            address = location
                .and_then(|location| address.join(location).ok())
                .filter(|next| {
                    next.scheme() == "https" || (next.scheme() == "http" && address.scheme() == "http")
                })
                .ok_or_else(|| Trouble::lasting("it was redirected to where no file is taken from"))?;
        }
        Err(Trouble::lasting("it was redirected too often"))
    }

    fn agent(&self, address: &Url) -> Result<Agent, Trouble> {
        let proxy = self.proxies.for_address(address);
        let key = (proxy.map(str::to_owned), self.is_trusted(address));
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = agents.get(&key) {
            return Ok(agent.clone());
        }
        let proxy = proxy.map(Proxy::new).transpose().map_err(|error| Trouble::of(&error))?;
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .root_certs(self.roots.clone())
            .disable_verification(key.1);
        let config = Agent::config_builder()
            .tls_config(tls.build())
            .proxy(proxy)
            .timeout_connect(Some(self.timeout))
            .timeout_per_read(Some(self.timeout))
            .timeout_per_write(Some(self.timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_idle_connections(super::CONNECTIONS)
            .max_idle_connections_per_host(super::CONNECTIONS)
            .user_agent(concat!("mwp/", env!("CARGO_PKG_VERSION")))
            // The file itself: what is compressed on the way has another hash.
            .accept_encoding("identity");
        let agent = Agent::with_parts(config.build(), DefaultConnector::default(), self.addresses.clone());
        agents.insert(key, agent.clone());
        Ok(agent)
    }

    fn is_trusted(&self, address: &Url) -> bool {
        let host = address.host_str().unwrap_or_default();
        let with_port = format!("{host}:{}", address.port_or_known_default().unwrap_or_default());
        self.trusted_hosts.iter().any(|trusted| trusted == host || *trusted == with_port)
    }
}

/// For the request line and messages.
pub(super) fn without_password(address: &Url) -> Url {
    let mut address = address.clone();
    // These fail for addresses that have no host, which nothing is asked of.
    let _ = address.set_username("");
    let _ = address.set_password(None);
    address
}

impl Trouble {
    fn lasting(reason: &str) -> Trouble {
        Trouble { reason: reason.to_owned(), is_passing: false, is_of_server: false }
    }

    /// The connection ended before the file did.
    pub(super) fn broken(error: &io::Error) -> Trouble {
        Trouble { reason: text::io_reason(error), is_passing: true, is_of_server: false }
    }

    fn answered(status: StatusCode) -> Trouble {
        let is_passing = status.is_server_error()
            || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status);
        Trouble { reason: format!("the server answered {status}"), is_passing, is_of_server: false }
    }

    fn of(error: &ureq::Error) -> Trouble {
        let is_passing = match error {
            // What TLS does not like comes as data that is not valid.
            ureq::Error::Io(error) => error.kind() != io::ErrorKind::InvalidData,
            ureq::Error::Timeout(timeout) => *timeout != Timeout::Connect,
            ureq::Error::ConnectionFailed | ureq::Error::Protocol(_) => true,
            _ => false,
        };
        Trouble { reason: text::visible(&error.to_string()), is_passing, is_of_server: true }
    }
}

/// The certificates to which all others are held: pip's setting, the variables that it heeds, or the system's.
fn roots(options: &BTreeMap<String, String>, environment: &Environment) -> Result<RootCerts, String> {
    let variables = ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"];
    let variable = || variables.iter().find_map(|name| environment.path(name));
    let file = options.get("cert").map(PathBuf::from).or_else(variable);
    let Some(file) = file.or_else(|| openssl_probe::probe().cert_file) else {
        return Err("the system has no certificates".to_owned());
    };
    let certificates = certificates(&file);
    if certificates.is_empty() {
        return Err(format!("{} has no certificates", text::path(&file)));
    }
    Ok(RootCerts::Specific(Arc::new(certificates)))
}

fn certificates(file: &Path) -> Vec<Certificate<'static>> {
    let content = fs::read(file).unwrap_or_default();
    let items = ureq::tls::parse_pem(&content).filter_map(Result::ok);
    let certificates = items.filter_map(|item| match item {
        PemItem::Certificate(certificate) => Some(certificate),
        _ => None,
    });
    certificates.collect()
}
