//! The text of requirement files, decoded as pip does: by byte order mark, by a coding line, else as UTF-8.

use encoding_rs::Encoding;

/// The text, or which encoding the bytes are not in.
pub(super) fn decode(content: &[u8]) -> Result<String, String> {
    // encoding_rs knows no UTF-32, which nobody writes and pip reads.
    if let Some(rest) = content.strip_prefix(&[0xff, 0xfe, 0, 0]) {
        return utf32(rest, u32::from_le_bytes);
    }
    if let Some(rest) = content.strip_prefix(&[0, 0, 0xfe, 0xff]) {
        return utf32(rest, u32::from_be_bytes);
    }
    if let Some((encoding, length)) = Encoding::for_bom(content) {
        return strictly(encoding, encoding.name(), &content[length..]);
    }
    let Some(name) = coding_line(content) else { return strictly(encoding_rs::UTF_8, "UTF-8", content) };
    match encoding(&name) {
        Some(encoding) => strictly(encoding, &name, content),
        None => Err(name),
    }
}

fn strictly(encoding: &'static Encoding, name: &str, content: &[u8]) -> Result<String, String> {
    encoding
        .decode_without_bom_handling_and_without_replacement(content)
        .map(std::borrow::Cow::into_owned)
        .ok_or_else(|| name.to_owned())
}

fn utf32(content: &[u8], number: fn([u8; 4]) -> u32) -> Result<String, String> {
    let (chunks, []) = content.as_chunks::<4>() else { return Err("UTF-32".to_owned()) };
    let characters = chunks.iter().map(|bytes| char::from_u32(number(*bytes)));
    characters.collect::<Option<String>>().ok_or_else(|| "UTF-32".to_owned())
}

/// `# -*- coding: NAME -*-` in one of the first two lines (PEP 263).
fn coding_line(content: &[u8]) -> Option<String> {
    content
        .split(|byte| *byte == b'\n')
        .take(2)
        .find_map(|line| line.starts_with(b"#").then(|| coding(line))?)
}

/// The name behind `coding:` or `coding=`.
pub(super) fn coding(line: &[u8]) -> Option<String> {
    let start = memchr::memmem::find_iter(line, b"coding")
        .map(|start| &line[start + b"coding".len()..])
        .find(|rest| rest.starts_with(b":") || rest.starts_with(b"="))?;
    let name: Vec<u8> = start[1..]
        .trim_ascii_start()
        .iter()
        .copied()
        .take_while(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
        .collect();
    String::from_utf8(name).ok().filter(|name| !name.is_empty())
}

/// Python's names are those of the web but for their spelling: `latin-1`, `utf_8`, `cp1252`.
fn encoding(name: &str) -> Option<&'static Encoding> {
    let plain = name.to_ascii_lowercase().replace('_', "-");
    let squeezed =
        plain.replace("latin-", "latin").replace("iso8859", "iso-8859").replace("utf-8-sig", "utf-8");
    Encoding::for_label(plain.as_bytes()).or_else(|| Encoding::for_label(squeezed.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_as_pip_reads_them() {
        let utf16 = |text: &str, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(bytes).collect()
        };
        let utf32: Vec<u8> = "\u{feff}six".chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
        for (content, text) in [
            (b"six # caf\xc3\xa9".to_vec(), "six # caf\u{e9}"),
            (b"\xef\xbb\xbfsix".to_vec(), "six"),
            (utf16("six\n", u16::to_le_bytes), "six\n"),
            (utf16("six\n", u16::to_be_bytes), "six\n"),
            (utf32, "six"),
            (b"# -*- coding: latin-1 -*-\n# \xe9".to_vec(), "# -*- coding: latin-1 -*-\n# \u{e9}"),
            (
                b"# x\n# vim: set fileencoding=cp1252 :\n# \x80".to_vec(),
                "# x\n# vim: set fileencoding=cp1252 :\n# \u{20ac}",
            ),
        ] {
            assert_eq!(decode(&content).as_deref(), Ok(text));
        }
        assert_eq!(decode(b"caf\xe9"), Err("UTF-8".into()));
        assert_eq!(decode(b"# coding: no-such\nsix"), Err("no-such".into()));
        // Only a comment in the first two lines says how the file is coded.
        assert_eq!(decode(b"a\nb\n# coding: latin-1\n\xe9"), Err("UTF-8".into()));
        assert_eq!(decode(b"x coding: latin-1\n\xe9"), Err("UTF-8".into()));
    }
}
