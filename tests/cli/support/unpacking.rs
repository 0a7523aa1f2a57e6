//! Archives from anywhere, unpacked as an installation would.

use std::fs;
use std::io::Write;

use mwp::artifact::{Limits, Unpacked, unpack};
use mwp::error::Error;

use super::{Sandbox, tree};

/// Unpacks `archive` in the sandbox, as an installation would.
pub fn try_unpack(sandbox: &Sandbox, archive: &[u8]) -> Result<Unpacked, Error> {
    let file = sandbox.write("x.plugin", archive);
    unpack(&file, &sandbox.work().join("staging/hello"), &Limits::default())
}

/// Asserts that every archive is refused for its reason, before much of it is written, and leaves no trace.
pub fn all_refused(cases: Vec<(&str, Vec<u8>, &str)>) {
    let names = cases.len();
    let mut wrong = Vec::new();
    for (name, archive, reason) in cases {
        let sandbox = Sandbox::new();
        fs::create_dir(sandbox.work().join("staging")).unwrap();
        fs::write(sandbox.work().join("victim"), "untouched").unwrap();
        let before = tree(&sandbox.path("."));
        let already = written();
        let result = within_memory(|| try_unpack(&sandbox, &archive));
        let bytes = written().saturating_sub(already);
        fs::remove_file(sandbox.work().join("x.plugin")).unwrap();
        match result {
            Ok(_) => wrong.push(format!("{name}: was unpacked")),
            Err(error) if !error.to_string().contains(reason) => wrong.push(format!("{name}: {error}")),
            Err(error) if error.to_string().chars().any(char::is_control) => {
                wrong.push(format!("{name}: steers the terminal"));
            }
            Err(error) if error.problems[0].hint.is_none() => wrong.push(format!("{name}: no hint")),
            Err(_) => {}
        }
        if tree(&sandbox.path(".")) != before {
            wrong.push(format!("{name}: left something: {:?}", tree(&sandbox.path("."))));
        }
        if fs::read_to_string(sandbox.work().join("victim")).unwrap() != "untouched" {
            wrong.push(format!("{name}: wrote outside"));
        }
        if bytes > MOST_WRITTEN && std::env::var_os("NEXTEST").is_some() {
            wrong.push(format!("{name}: wrote {bytes} bytes"));
        }
    }
    assert!(wrong.is_empty(), "{} of {names}:\n{}", wrong.len(), wrong.join("\n"));
}

/// More than comes out of any file before its proportions count, and far less than what the bombs announce.
const MOST_WRITTEN: u64 = 300_000_000;

/// How many bytes this process has written so far, other tests in it included.
fn written() -> u64 {
    let told = fs::read_to_string("/proc/self/io").unwrap_or_default();
    let bytes = told.lines().find_map(|line| line.strip_prefix("wchar: "));
    bytes.and_then(|bytes| bytes.trim().parse().ok()).unwrap_or(0)
}

/// Runs `work` and asserts that it took less than 200 MB at its peak. Other tests in the same process count too,
/// so this holds only with a process per test, as `cargo nextest` has it.
pub fn within_memory<T>(work: impl FnOnce() -> T) -> T {
    // Resets the peak to what is resident now.
    let can_reset = fs::write("/proc/self/clear_refs", "5").is_ok() && std::env::var_os("NEXTEST").is_some();
    let before = resident("VmRSS:");
    let result = work();
    let taken = resident("VmHWM:").saturating_sub(before);
    assert!(!can_reset || taken < 200_000, "{taken} kB");
    result
}

fn resident(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let value = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    value.split_whitespace().next().unwrap().parse().unwrap()
}

pub fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(content: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}
