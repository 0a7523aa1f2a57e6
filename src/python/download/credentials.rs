//! Names and passwords for servers, from where pip takes them: the addresses of indexes, and the user's netrc.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use url::Url;

use crate::fs;
use crate::site::Site;

#[derive(Debug, Default)]
pub(super) struct Credentials {
    /// Addresses with a name and a password in them.
    indexes: Vec<Url>,
    machines: Vec<Machine>,
}

/// An entry of a netrc.
#[derive(Debug, Default, PartialEq)]
struct Machine {
    host: String,
    login: String,
    password: String,
}

impl Credentials {
    pub(super) fn new<'a>(site: &Site, indexes: impl Iterator<Item = &'a str>) -> Credentials {
        let indexes = indexes.filter_map(|address| Url::parse(address).ok());
        Credentials {
            indexes: indexes.filter(|address| !address.username().is_empty()).collect(),
            machines: netrc(site).map(|text| machines(&text)).unwrap_or_default(),
        }
    }

    /// The value of `Authorization` for a request to this address and no other.
    pub(super) fn for_address(&self, address: &Url) -> Option<String> {
        let of_address = Some(address).filter(|address| !address.username().is_empty());
        let of_index = || self.indexes.iter().find(|index| index.origin() == address.origin());
        if let Some(known) = of_address.or_else(of_index) {
            return Some(basic(&decoded(known.username()), &decoded(known.password().unwrap_or_default())));
        }
        let machine = self.machines.iter().find(|machine| Some(machine.host.as_str()) == address.host_str());
        machine.map(|machine| basic(&machine.login, &machine.password))
    }
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The first that is there, as requests looks for it.
fn netrc(site: &Site) -> Option<String> {
    let at_home = ["~/.netrc", "~/_netrc"].map(PathBuf::from).to_vec();
    let paths = site.environment.path("NETRC").map_or(at_home, |path| vec![path]);
    let paths =
        paths.iter().map(|path| path.strip_prefix("~").map_or(path.clone(), |path| site.home.join(path)));
    paths.filter_map(|path| fs::read_text_optional(&path).ok().flatten()).next()
}

/// The machines of a netrc. `default` is left out: an address that a lock names gets no password that is not meant for
/// its host.
fn machines(text: &str) -> Vec<Machine> {
    let mut machines: Vec<Machine> = Vec::new();
    let mut is_default = true;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let mut words = words(line).into_iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                comment if comment.starts_with('#') => break,
                "default" => is_default = true,
                "macdef" => {
                    // Ends with an empty line.
                    lines.by_ref().find(|line| line.trim().is_empty());
                    break;
                }
                key => {
                    let next = || lines.by_ref().flat_map(self::words).next();
                    let Some(value) = words.next().or_else(next) else { break };
                    if key == "machine" {
                        is_default = false;
                        machines.push(Machine { host: value.to_ascii_lowercase(), ..Machine::default() });
                    } else if let Some(machine) = machines.last_mut().filter(|_| !is_default) {
                        match key {
                            "login" | "user" => machine.login = value,
                            "password" => machine.password = value,
                            _ => {}
                        }
                    }
                }
            }
        }
    }
    machines
}

/// As Python's netrc has them: `"…"` holds blanks, and a backslash the character behind it.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut characters = line.chars().peekable();
    loop {
        while characters.next_if(|character| character.is_whitespace()).is_some() {}
        let is_quoted = characters.next_if_eq(&'"').is_some();
        if characters.peek().is_none() {
            return words;
        }
        let mut word = String::new();
        while let Some(character) = characters.next() {
            match character {
                '"' if is_quoted => break,
                ' ' | '\t' | '\r' if !is_quoted => break,
                '\\' => word.extend(characters.next()),
                other => word.push(other),
            }
        }
        words.push(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_netrc_is_read_as_python_reads_it() {
        let text = "# ours\nmachine H.org login me password \"a b\" # x\nmacdef init\nmachine no login no\n\nmachine two\n  login you\n  account x password #c\\\"d\ndefault login any password any\n";
        let machine = |host: &str, login: &str, password: &str| Machine {
            host: host.into(),
            login: login.into(),
            password: password.into(),
        };
        assert_eq!(machines(text), [machine("h.org", "me", "a b"), machine("two", "you", "#c\"d")]);
        assert_eq!(machines("machine"), []);
    }

    #[test]
    fn a_password_is_for_its_own_server_alone() {
        let index = Url::parse("https://me:p%40ss@index.org/simple").unwrap();
        let machine = Machine { host: "files.org".into(), login: "l".into(), password: "p".into() };
        let credentials = Credentials { indexes: vec![index], machines: vec![machine] };
        let of = |address: &str| credentials.for_address(&Url::parse(address).unwrap());
        assert_eq!(of("https://index.org/files/a.whl"), Some(basic("me", "p@ss")));
        assert_eq!(of("https://files.org/a.whl"), Some(basic("l", "p")));
        assert_eq!(of("https://x:y@files.org/a.whl"), Some(basic("x", "y")));
        for other in ["http://index.org/a.whl", "https://index.org:444/a.whl", "https://index.org.evil/a.whl"]
        {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
