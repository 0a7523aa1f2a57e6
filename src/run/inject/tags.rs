//! The tags of a file: a hash in redis, by the md5 of the file's path.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use md5::{Digest, Md5};
use redis::{Client, Cmd, ConnectionAddr, IntoConnectionInfo, RedisResult};

use crate::run::model::RedisAddress;

/// As long as steps keep tags of a file that nothing happens to.
const LIFETIME: u64 = 86_400_000;
/// The tags of the first file are those of the second, which may have some that an earlier file left.
const COPY: &str = "local tags = redis.call('DUMP', KEYS[1]) \
                    if tags then redis.call('RESTORE', KEYS[2], ARGV[1], tags, 'REPLACE') \
                    else redis.call('DEL', KEYS[2]) end return 1";
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn copy(redis: &RedisAddress, from: &Path, to: &Path) -> RedisResult<()> {
    ask(redis, redis::cmd("EVAL").arg(COPY).arg(2).arg(key(from)).arg(key(to)).arg(LIFETIME))
}

pub(super) fn remove(redis: &RedisAddress, of: &Path) -> RedisResult<()> {
    ask(redis, redis::cmd("DEL").arg(key(of)))
}

/// Whether there has never been any.
pub(super) fn are_unknown(redis: &RedisAddress) -> bool {
    matches!(redis, RedisAddress::Unix(path) if !path.exists())
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

fn ask(redis: &RedisAddress, question: &Cmd) -> RedisResult<()> {
    let address = ConnectionAddr::from(redis.clone());
    let mut connection =
        Client::open(address.into_connection_info()?)?.get_connection_with_timeout(PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    question.exec(&mut connection)
}
