//! The tags of a file: a hash in redis, by the md5 of the file's path.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use md5::{Digest, Md5};

/// As long as steps keep tags of a file that nothing happens to.
const LIFETIME: &str = "86400000";
/// The tags of the first file are those of the second, which may have some that an earlier file left.
const COPY: &str = "local tags = redis.call('DUMP', KEYS[1]) \
                    if tags then redis.call('RESTORE', KEYS[2], ARGV[1], tags, 'REPLACE') \
                    else redis.call('DEL', KEYS[2]) end return 1";
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn copy(redis: &Path, from: &Path, to: &Path) -> io::Result<()> {
    let (from, to) = (key(from), key(to));
    command(redis, &["EVAL", COPY, "2", &from, &to, LIFETIME])
}

pub(super) fn remove(redis: &Path, of: &Path) -> io::Result<()> {
    command(redis, &["DEL", &key(of)])
}

/// As Python has it, by which tags are filed: links stay, and `..` takes off what stands before it.
pub(super) fn absolute(path: &Path) -> io::Result<PathBuf> {
    let mut found = PathBuf::new();
    for part in std::path::absolute(path)?.components() {
        match part {
            Component::ParentDir => drop(found.pop()),
            part => found.push(part),
        }
    }
    Ok(found)
}

fn key(path: &Path) -> String {
    let digest = Md5::digest(path.as_os_str().as_bytes());
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("xattr_{digits}")
}

/// A command whose reply is a number.
fn command(redis: &Path, words: &[&str]) -> io::Result<()> {
    let mut stream = UnixStream::connect(redis)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    stream.write_all(request.as_bytes())?;
    let mut reply = String::new();
    BufReader::new(stream).read_line(&mut reply)?;
    match reply.strip_prefix(':') {
        Some(_) => Ok(()),
        None => Err(io::Error::other(format!("redis says `{}`", reply.trim_end().trim_start_matches('-')))),
    }
}
