//! Files that come in over HTTP: what becomes of the body of a request.
//!
//! nginx takes the body, as [`configure`](crate::run::nginx::configure) says: it waits for slow clients, refuses what is too
//! large, and writes it below `IN/tmp/nginx`, where it takes it away again when the client breaks off. Then it asks here, with
//! the name of that file; all that is left to do is to rename it into a directory that a step watches. So nobody sees half a
//! file, and nothing is written twice.
//!
//! nginx's own `PUT` (dav) does not do: it answers 204 where it replaces a file, which senders take for a failure and send
//! again; it has no `POST`; and it follows links. Lua is not a part of every nginx.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::{Method, Request, Response, StatusCode};

use super::Supervisor;
use super::http;
use crate::error::Result;
use crate::fs;
use crate::run::model::{DataHome, is_unfinished};
use crate::run::nginx::{BODY_FILE, bodies_dir, upload_socket};
use crate::threads;

/// As other files that are made in a runtime home.
const MODE: u32 = 0o640;
/// Names that say that somebody still writes the file: no step is told of them.
/// Where files come in that nobody has named another directory for.
const WATCHED: &str = "MFDATA_INTERNAL_PLUGINS_WATCHED_DIRECTORIES";
const INCOMING: &str = "incoming";

/// Begins to answer nginx, where the module has uploads at all.
pub(super) fn start(supervisor: &Rc<Supervisor>) {
    if !supervisor.options.module.takes_uploads() {
        return;
    }
    match http::listen(&upload_socket(&supervisor.around.var), 0o600) {
        Ok(listener) => {
            let supervisor = Rc::clone(supervisor);
            let answer = async move |request| answer(&request, &supervisor).await;
            tokio::task::spawn_local(http::serve(listener, answer));
        }
        Err(error) => supervisor.note(&format!("no uploads: {error}")),
    }
}

/// Why there is no file.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    Method,
    /// What is wrong with the address.
    Address(&'static str),
    /// Nobody watches this directory.
    Directory(String),
    Failed,
}

async fn answer(request: &Request<Incoming>, supervisor: &Rc<Supervisor>) -> http::Answer {
    let (status, text) = match receive(request, supervisor).await {
        Ok(()) => (StatusCode::CREATED, "Created".to_owned()),
        Err(Refusal::Method) => (StatusCode::METHOD_NOT_ALLOWED, "POST and PUT are allowed".to_owned()),
        Err(Refusal::Address(why)) => (StatusCode::BAD_REQUEST, why.to_owned()),
        Err(Refusal::Directory(name)) => {
            (StatusCode::NOT_FOUND, format!("there is no directory `{name}` that a step watches"))
        }
        Err(Refusal::Failed) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "the file cannot be stored; the module's log says why".to_owned(),
        ),
    };
    let mut response = Response::builder().status(status).header(CONTENT_TYPE, "text/plain");
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response = response.header(ALLOW, "POST, PUT");
    }
    response.body(text + "\n")
}

async fn receive(request: &Request<Incoming>, supervisor: &Rc<Supervisor>) -> Result<(), Refusal> {
    let place = Place::read(request.method(), request.uri().path())?;
    let settings = supervisor.settings.borrow().clone();
    let site = settings.applied_to(&supervisor.site, &supervisor.options.module);
    let input = DataHome::of(&site).input;
    let name = place.directory.map_or_else(|| first_watched(site.environment.text(WATCHED)), str::to_owned);
    let directory = input.join(&name);
    if !supervisor.is_watched(&directory) || !is_directory(&directory) {
        return Err(Refusal::Directory(name));
    }
    let target = directory.join(place.name.map_or_else(random_name, |name| Ok(name.to_owned()))?);
    if is_directory(&target) {
        return Err(Refusal::Address("there is a directory of that name"));
    }
    let body = body(request, &bodies_dir(&input));
    let stored = threads::apart("an upload", move || store(body.as_deref(), &target)).await;
    stored.map_err(|error| {
        supervisor.note(&format!("an upload failed: {error}"));
        Refusal::Failed
    })
}

/// The file that nginx has written; none for a request that has no body.
fn body(request: &Request<Incoming>, bodies: &Path) -> Option<PathBuf> {
    let path = request.headers().get(BODY_FILE)?.as_bytes();
    Path::new(OsStr::from_bytes(path)).file_name().map(|name| bodies.join(name))
}

fn store(body: Option<&Path>, target: &Path) -> Result<()> {
    match body {
        Some(body) => {
            fs::set_mode(body, MODE)?;
            fs::rename(body, target)
        }
        None => fs::write_atomic_with_mode(target, b"", MODE),
    }
}

/// Where a file is to go.
#[derive(Debug, PartialEq, Eq)]
struct Place<'a> {
    /// Below that of incoming files; `None` for the first that is watched.
    directory: Option<&'a str>,
    /// `None` for a random one.
    name: Option<&'a str>,
}

impl<'a> Place<'a> {
    /// `POST /`, `POST /DIRECTORY/`, `PUT /NAME` or `PUT /DIRECTORY/NAME`, as it is written: an address with `%` is none.
    fn read(method: &Method, path: &'a str) -> Result<Place<'a>, Refusal> {
        let takes_name = match *method {
            Method::POST => false,
            Method::PUT => true,
            _ => return Err(Refusal::Method),
        };
        let path = path.strip_prefix('/').ok_or(Refusal::Address("the address begins with no `/`"))?;
        let (directory, name) = match path.split_once('/') {
            Some((directory, name)) => (Some(directory), name),
            None => (None, path),
        };
        let expected = match takes_name {
            true => "`PUT /NAME` or `PUT /DIRECTORY/NAME` is allowed",
            false => "`POST /` or `POST /DIRECTORY/` is allowed",
        };
        if takes_name == name.is_empty() {
            return Err(Refusal::Address(expected));
        }
        let name = Some(name).filter(|_| takes_name);
        if !directory.iter().chain(&name).all(|component| is_component(component)) {
            return Err(Refusal::Address("letters of ASCII, digits and `,;:_-.` are allowed in names"));
        }
        if name.is_some_and(|name| is_unfinished(name.as_ref())) {
            return Err(Refusal::Address(
                "a name that ends in `.t`, `.tmp` or `.working` is of a file in the making",
            ));
        }
        Ok(Place { directory, name })
    }
}

fn is_component(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b",;:_-.".contains(&byte);
    !matches!(text, "" | "." | "..") && text.bytes().all(is_allowed)
}

/// The first of them that is below the directory of incoming files.
fn first_watched(configured: Option<&str>) -> String {
    let names = configured.unwrap_or_default().split(',').map(str::trim);
    names.into_iter().find(|name| is_component(name)).unwrap_or(INCOMING).to_owned()
}

/// Links are none.
fn is_directory(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.is_dir())
}

fn random_name() -> Result<String, Refusal> {
    let mut bytes = [0; 16];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(16) => Ok(format!("{:032x}", u128::from_ne_bytes(bytes))),
        _ => Err(Refusal::Failed),
    }
}

impl Supervisor {
    /// Whether a step gets the files that come into this directory.
    fn is_watched(&self, directory: &Path) -> bool {
        let active = self.active.borrow();
        active.values().flat_map(|active| &active.plan.watched).any(|watched| watched.directory == directory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_directory_a_name_both_or_none() {
        let read = |method: Method, path| Place::read(&method, path).ok().map(|it| (it.directory, it.name));
        assert_eq!(read(Method::POST, "/"), Some((None, None)));
        assert_eq!(read(Method::POST, "/step.p.main/"), Some((Some("step.p.main"), None)));
        assert_eq!(read(Method::PUT, "/a"), Some((None, Some("a"))));
        assert_eq!(read(Method::PUT, "/d/a,;:_-.Z9"), Some((Some("d"), Some("a,;:_-.Z9"))));
        for (method, path) in [
            (Method::POST, "/a"),
            (Method::POST, "//"),
            (Method::POST, "/a/b"),
            (Method::POST, "/../"),
            (Method::PUT, "/"),
            (Method::PUT, "/d/"),
            (Method::PUT, "/."),
            (Method::PUT, "/../a"),
            (Method::PUT, "/%2e%2e/a"),
            (Method::PUT, "/d/.."),
            (Method::PUT, "/d/e/f"),
            (Method::PUT, "/d//f"),
            (Method::PUT, "/a%20b"),
            (Method::PUT, "/a.t"),
            (Method::PUT, "/d/a.tmp"),
            (Method::PUT, "*"),
        ] {
            assert!(matches!(Place::read(&method, path), Err(Refusal::Address(_))), "{method} {path}");
        }
        for method in [Method::GET, Method::HEAD, Method::DELETE, Method::OPTIONS] {
            assert_eq!(Place::read(&method, "/a"), Err(Refusal::Method));
        }
    }

    #[test]
    fn the_first_directory_is_one_below_that_of_incoming_files() {
        for (configured, expected) in
            [(None, "incoming"), (Some(""), "incoming"), (Some("/abs,a, b"), "a"), (Some("../x"), "incoming")]
        {
            assert_eq!(first_watched(configured), expected);
        }
    }
}
