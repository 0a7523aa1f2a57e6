//! A wheel as the ZIP archive that it is: the list of its members, and what each of them holds.

use std::io::{self, Read};

use flate2::read::DeflateDecoder;
use rawzip::{
    CompressionMethod, FileReader, MAX_CENTRAL_DIRECTORY_RECORD_SIZE, ZipArchive, ZipArchiveEntryWayfinder,
};

use super::wheel::Wheel;
use crate::artifact::Limits;
use crate::error::Result;
use crate::fs;

pub(super) struct Archive {
    zip: ZipArchive<FileReader>,
    /// As they stand in the list; of two with one name the later counts.
    pub(super) members: Vec<Member>,
}

/// What the list says of a member.
pub(super) struct Member {
    pub(super) name: String,
    /// Unpacked.
    pub(super) size: u64,
    pub(super) crc32: u32,
    pub(super) is_directory: bool,
    pub(super) is_executable: bool,
    method: CompressionMethod,
    place: ZipArchiveEntryWayfinder,
}

impl Wheel {
    /// Its list of members is kept in memory: no more of it is read than the limits allow.
    pub(super) fn open(&self, limits: &Limits) -> Result<Archive> {
        let damaged = |error: rawzip::Error| self.damaged(&error.to_string());
        let too_many = || self.refused(&format!("it has more than {} files", limits.wheels));
        let mut buffer = vec![0; MAX_CENTRAL_DIRECTORY_RECORD_SIZE];
        let zip = ZipArchive::from_file(fs::open(&self.path)?, &mut buffer).map_err(damaged)?;
        if zip.entries_hint() > limits.wheels as u64 {
            return Err(too_many());
        }
        let mut members = Vec::new();
        let mut names = 0;
        let mut entries = zip.entries(&mut buffer);
        while let Some(entry) = entries.next_entry().map_err(damaged)? {
            if members.len() == limits.wheels {
                return Err(too_many());
            }
            // PEP 427 has them in UTF-8.
            let Ok(name) = str::from_utf8(entry.file_path().as_bytes()) else {
                return Err(self.damaged("the name of a member is not in UTF-8"));
            };
            names += name.len();
            if names > limits.names {
                return Err(self.refused(&format!("its names have more than {} bytes", limits.names)));
            }
            members.push(Member {
                name: name.to_owned(),
                size: entry.uncompressed_size_hint(),
                crc32: entry.crc32(),
                is_directory: entry.is_dir(),
                // As pip looks at it, on whatever system the wheel was made.
                is_executable: (entry.external_attributes() >> 16) & 0o111 != 0,
                method: entry.compression_method(),
                place: entry.wayfinder(),
            });
        }
        if members.len() as u64 != zip.entries_hint() {
            return Err(self.damaged("it has another number of members than it says"));
        }
        Ok(Archive { zip, members })
    }
}

impl Archive {
    /// What a member holds, unpacked. Where that has another size or checksum than the list says, its end is an error.
    pub(super) fn read(&self, member: &Member) -> io::Result<impl Read> {
        let entry = self.zip.get_entry(member.place).map_err(io::Error::other)?;
        let unpacked: Box<dyn Read> = match member.method {
            CompressionMethod::STORE => Box::new(entry.reader()),
            CompressionMethod::DEFLATE => Box::new(DeflateDecoder::new(entry.reader())),
            other => {
                return Err(io::Error::other(format!("a member is packed by {other}, which wheels are not")));
            }
        };
        Ok(entry.verifying_reader(unpacked))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::DeflateEncoder;
    use rawzip::path::EntryPath;
    use rawzip::{DataDescriptorOutput, ZipArchiveWriter};

    use super::*;

    /// A ZIP archive of these members, with their names as they are.
    pub(in super::super) fn packed<N: AsRef<str>, C: AsRef<[u8]>>(
        members: impl IntoIterator<Item = (N, C)>,
        method: CompressionMethod,
    ) -> Vec<u8> {
        let mut archive = ZipArchiveWriter::new(Vec::new());
        for (name, content) in members {
            let content = content.as_ref();
            let file = archive.new_file(EntryPath::verbatim(name.as_ref().as_bytes()));
            let (mut entry, _) = file.compression_method(method).start().unwrap();
            if method == CompressionMethod::DEFLATE {
                let mut encoder = DeflateEncoder::new(&mut entry, Compression::default());
                encoder.write_all(content).unwrap();
                encoder.finish().unwrap();
            } else {
                entry.write_all(content).unwrap();
            }
            entry.finish(DataDescriptorOutput::new(rawzip::crc32(content), content.len() as u64)).unwrap();
        }
        archive.finish().unwrap()
    }

    #[test]
    fn a_list_of_members_is_read_no_further_than_the_limits_allow() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("foo-1.0-py3-none-any.whl");
        let members = (0..5000).map(|number| (format!("{}{number:04}", "x".repeat(246)), ""));
        fs::write_atomic(&path, &packed(members, CompressionMethod::STORE)).unwrap();
        let wheel = Wheel::of(&path).unwrap();
        let with = |wheels, names| wheel.open(&Limits { wheels, names, ..Limits::default() });
        let refused = |wheels, names| with(wheels, names).map(|_| ()).unwrap_err().to_string();
        for wheels in [10, 4999] {
            let error = refused(wheels, 1 << 30);
            assert!(error.contains(&format!("has more than {wheels} files")), "{error}");
        }
        assert!(refused(5000, 1_249_999).contains("its names have more than 1249999 bytes"));
        assert_eq!(with(5000, 1_250_000).unwrap().members.len(), 5000);
    }

    #[test]
    fn a_list_is_as_long_as_it_says() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("foo-1.0-py3-none-any.whl");
        let whole = packed([("a", ""), ("b", "")], CompressionMethod::STORE);
        for claimed in [1, 2, 3] {
            let mut archive = whole.clone();
            // The numbers of members on this disk and on all, before the size of the list.
            let end = archive.len() - 22;
            (archive[end + 8], archive[end + 10]) = (claimed, claimed);
            fs::write_atomic(&path, &archive).unwrap();
            assert_eq!(Wheel::of(&path).unwrap().open(&Limits::default()).is_ok(), claimed == 2);
        }
    }
}
