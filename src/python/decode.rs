//! The text of requirement files, decoded as pip does: by byte order mark, by a coding line, else as UTF-8.

/// The text, or which encoding the bytes are not in.
pub(super) fn decode(content: &[u8]) -> Result<String, String> {
    // Before UTF-16, whose mark is the start of this one.
    if let Some(rest) = content.strip_prefix(&[0xff, 0xfe, 0, 0]) {
        return utf32(rest, u32::from_le_bytes);
    }
    if let Some(rest) = content.strip_prefix(&[0, 0, 0xfe, 0xff]) {
        return utf32(rest, u32::from_be_bytes);
    }
    if let Some(rest) = content.strip_prefix(&[0xff, 0xfe]) {
        return utf16(rest, u16::from_le_bytes);
    }
    if let Some(rest) = content.strip_prefix(&[0xfe, 0xff]) {
        return utf16(rest, u16::from_be_bytes);
    }
    if let Some(rest) = content.strip_prefix(b"\xef\xbb\xbf") {
        return utf8(rest).ok_or_else(|| "UTF-8".to_owned());
    }
    let name = coding_line(content).unwrap_or_else(|| "UTF-8".to_owned());
    named(&name, content).ok_or(name)
}

/// Decoded by an encoding that Python has under this name; of those that are older than UTF-8 the Western European ones.
fn named(name: &str, content: &[u8]) -> Option<String> {
    match name.to_ascii_lowercase().replace('_', "-").as_str() {
        "utf-8" | "utf8" | "utf-8-sig" => utf8(content),
        "ascii" | "us-ascii" => utf8(content).filter(|text| text.is_ascii()),
        "latin-1" | "latin1" | "iso-8859-1" | "iso8859-1" => Some(bytes(content, char::from)),
        "latin-9" | "latin9" | "iso-8859-15" | "iso8859-15" => Some(bytes(content, latin_9)),
        "cp1252" | "windows-1252" => Some(bytes(content, cp1252)),
        _ => None,
    }
}

fn utf8(content: &[u8]) -> Option<String> {
    str::from_utf8(content).ok().map(str::to_owned)
}

fn bytes(content: &[u8], character: fn(u8) -> char) -> String {
    content.iter().map(|byte| character(*byte)).collect()
}

fn latin_9(byte: u8) -> char {
    match byte {
        0xa4 => '€',
        0xa6 => 'Š',
        0xa8 => 'š',
        0xb4 => 'Ž',
        0xb8 => 'ž',
        0xbc => 'Œ',
        0xbd => 'œ',
        0xbe => 'Ÿ',
        other => other.into(),
    }
}

fn cp1252(byte: u8) -> char {
    const FROM_80: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
        '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    match byte {
        0x80..0xa0 => FROM_80[usize::from(byte - 0x80)],
        other => other.into(),
    }
}

fn utf16(content: &[u8], number: fn([u8; 2]) -> u16) -> Result<String, String> {
    let (chunks, []) = content.as_chunks::<2>() else { return Err("UTF-16".to_owned()) };
    let characters = char::decode_utf16(chunks.iter().map(|bytes| number(*bytes)));
    characters.collect::<Result<String, _>>().map_err(|_| "UTF-16".to_owned())
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
            (b"# coding: ISO_8859-15\n# \xa4".to_vec(), "# coding: ISO_8859-15\n# \u{20ac}"),
        ] {
            assert_eq!(decode(&content).as_deref(), Ok(text));
        }
        assert_eq!(decode(b"caf\xe9"), Err("UTF-8".into()));
        assert_eq!(decode(b"# coding: ascii\n\xe9"), Err("ascii".into()));
        assert_eq!(decode(b"\xff\xfea"), Err("UTF-16".into()));
        assert_eq!(decode(b"# coding: no-such\nsix"), Err("no-such".into()));
        // Only a comment in the first two lines says how the file is coded.
        assert_eq!(decode(b"a\nb\n# coding: latin-1\n\xe9"), Err("UTF-8".into()));
        assert_eq!(decode(b"x coding: latin-1\n\xe9"), Err("UTF-8".into()));
    }
}
