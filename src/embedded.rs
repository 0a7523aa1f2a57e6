//! The files of `templates/` that the binary holds as they are: `build.rs` lists them.

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

pub(crate) type File = (&'static str, &'static [u8]);

/// The files below a directory, by their paths in it, sorted.
pub(crate) fn below(dir: &str) -> impl Iterator<Item = File> {
    FILES
        .iter()
        .filter_map(move |(path, content)| Some((path.strip_prefix(dir)?.strip_prefix('/')?, *content)))
}

/// The content of a file.
pub(crate) fn read(path: &str) -> Option<&'static [u8]> {
    let at = FILES.binary_search_by_key(&path, |(path, _)| path).ok()?;
    Some(FILES[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_found_where_it_lies() {
        assert!(FILES.is_sorted());
        for (path, content) in FILES {
            assert_eq!(read(path), Some(*content));
            let (dir, name) = path.rsplit_once('/').unwrap();
            assert!(below(dir).any(|file| file == (name, *content)), "{path}");
            let on_disk = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("templates").join(path);
            assert_eq!(std::fs::read(on_disk).unwrap(), *content);
        }
        assert!(below("mfserv").all(|(path, _)| !path.starts_with("mfserv")));
        assert_eq!((below("mfse").count(), read("mfserv")), (0, None));
    }
}
