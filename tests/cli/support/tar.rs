//! Archives made by hand, block by block: what no honest writer would make.

use std::io::Write;

/// A tar stream in the making.
pub struct Tar<W: Write = Vec<u8>>(pub W);

pub const LABEL: &str = "plugin_hello@mfserv\n";
pub const METADATA: &str = r#"{"version": "1.0", "release": "1", "build_host": "box", "build_date": "2026-01-02T03:04:05Z",
    "size": "12", "summary": "s", "license": "BSD", "packager": "me", "vendor": "v", "url": "u"}"#;

/// A header block with a right checksum.
pub fn header(name: &[u8], kind: u8, size: u64, mode: u32, link: &[u8]) -> [u8; 512] {
    let mut block = [0; 512];
    let put = |block: &mut [u8; 512], at: usize, value: &[u8]| {
        block[at..at + value.len()].copy_from_slice(value);
    };
    put(&mut block, 0, &name[..name.len().min(100)]);
    put(&mut block, 100, format!("{mode:07o}").as_bytes());
    put(&mut block, 108, b"0000000");
    put(&mut block, 116, b"0000000");
    put(&mut block, 124, format!("{size:011o}").as_bytes());
    put(&mut block, 136, format!("{:011o}", 1_700_000_000).as_bytes());
    block[156] = kind;
    put(&mut block, 157, &link[..link.len().min(100)]);
    put(&mut block, 257, b"ustar  \0");
    checksum(&mut block);
    block
}

/// Makes the checksum right again after a change.
pub fn checksum(block: &mut [u8; 512]) {
    block[148..156].copy_from_slice(b"        ");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// One record of a PAX header.
pub fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length.to_string().len() + rest != length {
        length = length.to_string().len() + rest;
    }
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

impl Tar {
    /// The start of a good archive: directory, label, metadata and list of files.
    pub fn plugin() -> Tar {
        Tar::with(LABEL, METADATA, "[]")
    }

    pub fn with(label: &str, metadata: &str, files: &str) -> Tar {
        Tar(Vec::new()).describe(label, metadata, files)
    }
}

impl<W: Write> Tar<W> {
    pub fn describe(self, label: &str, metadata: &str, files: &str) -> Tar<W> {
        self.directory("metwork_plugin/")
            .file("metwork_plugin/.layerapi2_label", label)
            .file("metwork_plugin/.metadata.json", metadata)
            .file("metwork_plugin/.files.json", files)
    }

    pub fn raw(mut self, bytes: impl AsRef<[u8]>) -> Tar<W> {
        self.0.write_all(bytes.as_ref()).unwrap();
        self
    }

    pub fn member(self, name: impl AsRef<[u8]>, kind: u8, mode: u32, link: &[u8], content: &[u8]) -> Tar<W> {
        self.raw(header(name.as_ref(), kind, content.len() as u64, mode, link)).content(content)
    }

    /// Content, filled up to whole blocks.
    pub fn content(self, content: &[u8]) -> Tar<W> {
        self.raw(content).raw(vec![0; content.len().next_multiple_of(512) - content.len()])
    }

    pub fn file(self, name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Tar<W> {
        self.member(name, b'0', 0o644, b"", content.as_ref())
    }

    pub fn directory(self, name: &str) -> Tar<W> {
        self.member(name, b'5', 0o755, b"", b"")
    }

    pub fn link(self, name: &str, target: impl AsRef<[u8]>) -> Tar<W> {
        self.member(name, b'2', 0o777, target.as_ref(), b"")
    }

    pub fn hard_link(self, name: &str, target: &str) -> Tar<W> {
        self.member(name, b'1', 0o644, target.as_bytes(), b"")
    }

    /// A PAX header for the next member.
    pub fn pax(self, records: &[Vec<u8>]) -> Tar<W> {
        self.member("PaxHeaders/x", b'x', 0o644, b"", &records.concat())
    }

    /// GNU's header with the name of the next member.
    pub fn long_name(self, name: impl AsRef<[u8]>) -> Tar<W> {
        self.member("././@LongLink", b'L', 0o644, b"", &[name.as_ref(), b"\0"].concat())
    }

    pub fn end(self) -> W {
        self.raw([0; 1024]).0
    }
}
