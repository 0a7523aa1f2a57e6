//! Tiny wheels and source distributions, so that requirement files need no network.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::DeflateEncoder;
use rawzip::path::EntryPath;
use rawzip::{CompressionMethod, DataDescriptorOutput, ZipArchiveWriter};

/// Writes a ZIP archive of these members, with their names as they are. All are compressed: the sizes stand behind them, and
/// uv reads no others of that kind.
pub fn zip<N: AsRef<str>, C: AsRef<[u8]>>(path: &Path, members: impl IntoIterator<Item = (N, C)>) {
    let mut archive = ZipArchiveWriter::new(BufWriter::new(fs::File::create(path).unwrap()));
    for (name, content) in members {
        let content = content.as_ref();
        let file = archive.new_file(EntryPath::verbatim(name.as_ref().as_bytes()));
        let (mut entry, _) = file.compression_method(CompressionMethod::DEFLATE).start().unwrap();
        if content.is_empty() {
            // What an encoder makes of nothing: to begin one for each of very many files takes minutes.
            entry.write_all(&[3, 0]).unwrap();
        } else {
            let mut encoder = DeflateEncoder::new(&mut entry, Compression::default());
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap();
        }
        entry.finish(DataDescriptorOutput::new(rawzip::crc32(content), content.len() as u64)).unwrap();
    }
    archive.finish().unwrap();
}

/// Writes `dir/NAME-VERSION-py3-none-any.whl`, whose module NAME says `WHO = "TEXT"`. `metadata` are further lines of
/// its METADATA, such as `Requires-Dist: gamma; extra == 'x'`; `files` are further members.
pub fn wheel_with(
    dir: &Path,
    name: &str,
    version: &str,
    text: &str,
    metadata: &[&str],
    files: &[(&str, &[u8])],
) -> PathBuf {
    fs::create_dir_all(dir).unwrap();
    let path = dir.join(format!("{name}-{version}-py3-none-any.whl"));
    let info = format!("{name}-{version}.dist-info");
    let about = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{}\n", metadata.join("\n"));
    let module = format!("WHO = {text:?}\n");
    let tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
    let members = [
        (format!("{name}.py"), module.as_bytes()),
        (format!("{info}/METADATA"), about.as_bytes()),
        (format!("{info}/WHEEL"), tags.as_bytes()),
    ];
    let members = members.iter().map(|(name, content)| (name.as_str(), *content));
    zip(&path, members.chain(files.iter().copied()).chain([(format!("{info}/RECORD").as_str(), &b""[..])]));
    path
}

/// A wheel whose `extras` are lines such as `x: gamma`: the extra `x` needs `gamma`.
pub fn wheel(dir: &Path, name: &str, version: &str, text: &str, extras: &[&str]) -> PathBuf {
    let lines: Vec<String> = extras
        .iter()
        .map(|extra| {
            let (extra, needs) = extra.split_once(": ").unwrap();
            format!("Provides-Extra: {extra}\nRequires-Dist: {needs}; extra == '{extra}'")
        })
        .collect();
    wheel_with(dir, name, version, text, &lines.iter().map(String::as_str).collect::<Vec<_>>(), &[])
}

/// A build backend that needs nothing. Like others, it leaves things where it works. The module says `WHO`, which is
/// an expression of Python.
fn backend(name: &str, version: &str, who: &str) -> String {
    format!(
        "import os, zipfile\n\
         def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):\n\
         \x20   os.makedirs('build/lib', exist_ok=True)\n\
         \x20   os.makedirs('{name}.egg-info', exist_ok=True)\n\
         \x20   wheel = '{name}-{version}-py3-none-any.whl'\n\
         \x20   info = '{name}-{version}.dist-info/'\n\
         \x20   with zipfile.ZipFile(os.path.join(wheel_directory, wheel), 'w') as archive:\n\
         \x20       archive.writestr('{name}.py', 'WHO = %r' % {who})\n\
         \x20       for member in os.listdir('.'):\n\
         \x20           if member.endswith('.data.py'):\n\
         \x20               archive.write(member)\n\
         \x20       archive.writestr(info + 'METADATA', 'Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n')\n\
         \x20       archive.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n\
         \x20       archive.writestr(info + 'RECORD', '')\n\
         \x20   return wheel\n"
    )
}

const PROJECT: &str = "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n";

/// A project in `dir` whose module says what the file `who.data.py` holds. That file goes into the wheel with its time.
pub fn project(dir: &Path, name: &str, who: &str) {
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join("pyproject.toml"), PROJECT).unwrap();
    fs::write(dir.join("backend.py"), backend(name, "1.0", "open('who.data.py').read()")).unwrap();
    fs::write(dir.join("who.data.py"), who).unwrap();
}

/// Writes `dir/NAME-VERSION.tar.gz`: its wheel's module says what the variable CFLAGS was when it was built, and its
/// build needs the packages `needs`.
pub fn source(dir: &Path, name: &str, version: &str, needs: &[&str]) -> PathBuf {
    fs::create_dir_all(dir).unwrap();
    let path = dir.join(format!("{name}-{version}.tar.gz"));
    let root = format!("{name}-{version}");
    let backend = backend(name, version, "os.environ.get('CFLAGS')");
    let project = PROJECT.replace("[]", &format!("{needs:?}"));
    let about = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
    let gzip = flate2::write::GzEncoder::new(fs::File::create(&path).unwrap(), Compression::fast());
    let mut archive = tar::Builder::new(gzip);
    for (member, content) in [("backend.py", &backend), ("pyproject.toml", &project), ("PKG-INFO", &about)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append_data(&mut header, format!("{root}/{member}"), content.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap();
    path
}
