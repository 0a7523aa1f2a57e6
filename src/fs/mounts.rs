//! File systems that are mounted below a directory: what is in them is not that directory's.

use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The mount points at `path` and below it; none where the kernel does not tell. A link is not followed.
pub fn mounts_below(path: &Path) -> Vec<PathBuf> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Vec::new() };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let Ok(real) = std::fs::canonicalize(parent).map(|parent| parent.join(name)) else { return Vec::new() };
    let table = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    let mut points: Vec<PathBuf> = table
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
        .map(|point| PathBuf::from(std::ffi::OsString::from_vec(unescape(point))))
        .filter(|point| point.starts_with(&real))
        .collect();
    points.sort();
    points.dedup();
    points
}

/// The kernel writes a space, a tab, a line break and a backslash as `\` and three octal digits.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        let escaped = (*first == b'\\')
            .then(|| std::str::from_utf8(after.get(..3)?).ok())
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        result.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &after[3..] } else { after };
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_with_what_the_kernel_escapes() {
        for (text, expected) in [
            ("/a/b", "/a/b"),
            (r"/a\040b", "/a b"),
            (r"/a\134040", r"/a\040"),
            (r"/end\", r"/end\"),
            (r"/\0a1", r"/\0a1"),
        ] {
            assert_eq!(unescape(text.as_bytes()), expected.as_bytes(), "{text}");
        }
        assert!(mounts_below(Path::new("/proc")).contains(&PathBuf::from("/proc")));
        assert_eq!(mounts_below(Path::new("/proc/self/nothing")), Vec::<PathBuf>::new());
    }
}
