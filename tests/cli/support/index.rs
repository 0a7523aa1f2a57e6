//! A package index on the loopback, which ends with the test.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

pub struct Index {
    child: Child,
    directory: PathBuf,
    pub port: u16,
}

impl Index {
    /// Offers the files of a directory. What it does with requests after [`begin`](Index::begin), and with what
    /// certificate, is told in `index.py`.
    pub fn start(directory: &Path, behaviour: &str, certificate: Option<&Path>) -> Index {
        let mut command = Command::new("python3");
        command.args(["-c", include_str!("index.py")]).arg(directory).arg(behaviour).args(certificate);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Index { child, directory: directory.to_owned(), port: line.trim().parse().unwrap() }
    }

    /// The option line for a requirement file.
    pub fn option(&self) -> String {
        format!("--index-url http://127.0.0.1:{}/simple\n", self.port)
    }

    /// `PATH CLIENT AUTHORIZATION` of each request for a file.
    pub fn requests(&self) -> Vec<String> {
        let log = fs::read_to_string(self.directory.join("requests")).unwrap_or_default();
        log.lines().filter(|line| line.starts_with("/files/")).map(str::to_owned).collect()
    }

    /// Forgets the requests so far, and behaves from now on.
    pub fn begin(&self) {
        let _ = fs::remove_file(self.directory.join("requests"));
        fs::write(self.directory.join("begun"), "").unwrap();
    }

    /// Every request, of whatever kind.
    pub fn all_requests(&self) -> String {
        fs::read_to_string(self.directory.join("requests")).unwrap_or_default()
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
