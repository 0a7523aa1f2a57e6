//! nginx's configuration language: words for it, and what a text says in it.
//!
//! The reader follows nginx's own to the letter where it decides what is a word and what a block: a text that it finds
//! whole cannot end a block that it has not begun, nor run on into what stands behind it.

use std::cell::Cell;

/// Deeper blocks are refused.
const MAX_DEPTH: usize = 50;

/// One word, whatever it holds, where nginx replaces no variables.
pub(super) fn word(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// One word, whatever it holds, where nginx replaces variables; the configuration defines `$dollar_sign`.
pub(super) fn value(text: &str) -> String {
    word(text).replace('$', "${dollar_sign}")
}

/// A pattern that stands for the text itself; to be put into a [`word`].
pub(super) fn pattern(text: &str) -> String {
    let mut pattern = String::new();
    for character in text.chars() {
        if character.is_ascii() && !character.is_ascii_alphanumeric() && !matches!(character, '/' | '_') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

/// A directive, with the blocks and the code in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Directive {
    pub(super) name: String,
    pub(super) arguments: Vec<String>,
    /// From 1.
    pub(super) line: usize,
    /// Where it stands in the text, in bytes, its end included.
    pub(super) start: usize,
    pub(super) end: usize,
    /// What its block holds.
    pub(super) block: Vec<Directive>,
}

/// Where a text is no whole number of directives, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) line: usize,
    pub(super) reason: String,
}

/// What a text says.
pub(super) fn parse(text: &str) -> Result<Vec<Directive>, Broken> {
    let mut reader = Reader { text: text.as_bytes(), position: 0, counted: (0, 1).into() };
    reader.directives(0)
}

struct Reader<'a> {
    text: &'a [u8],
    position: usize,
    /// A position and its line: counting goes on from there.
    counted: Cell<(usize, usize)>,
}

/// What ends a directive's words.
enum End {
    Semicolon,
    Open,
    Close,
    Text,
}

impl Reader<'_> {
    fn directives(&mut self, depth: usize) -> Result<Vec<Directive>, Broken> {
        if depth > MAX_DEPTH {
            return Err(self.broken(format!("blocks are nested more than {MAX_DEPTH} deep")));
        }
        let mut directives = Vec::new();
        loop {
            self.skip_space();
            let (start, line) = (self.position, self.line());
            let (mut words, end) = self.words()?;
            // In a map, the first word may be `""`.
            let is_empty = words.is_empty();
            let name = if is_empty { String::new() } else { words.remove(0) };
            let unfinished = |reason: String| Broken { line, reason };
            match end {
                End::Text if is_empty && depth == 0 => return Ok(directives),
                End::Text if is_empty => {
                    return Err(self.broken("a block is not closed: `}` is missing".into()));
                }
                End::Text => return Err(unfinished(format!("`{name}` does not end: `;` is missing"))),
                End::Close if !is_empty => {
                    return Err(unfinished(format!("`{name}` does not end: `;` is missing before `}}`")));
                }
                End::Close if depth == 0 => {
                    return Err(self.broken("`}` closes a block that is not begun here".into()));
                }
                End::Close => return Ok(directives),
                End::Semicolon | End::Open if is_empty => {
                    return Err(self.broken("a directive has no name".into()));
                }
                End::Semicolon | End::Open => {}
            }
            let block = match end {
                End::Open if name.ends_with("_by_lua_block") => {
                    self.skip_lua()?;
                    Vec::new()
                }
                End::Open => self.directives(depth + 1)?,
                _ => Vec::new(),
            };
            directives.push(Directive { name, arguments: words, line, start, end: self.position, block });
        }
    }

    /// The words up to what ends them, which is passed.
    fn words(&mut self) -> Result<(Vec<String>, End), Broken> {
        let mut words = Vec::new();
        loop {
            self.skip_space();
            let end = match self.peek() {
                None => End::Text,
                Some(b';') => End::Semicolon,
                Some(b'{') => End::Open,
                // Inside a directive it is the first letter of a word to nginx, or a mistake: one to us.
                Some(b'}') => End::Close,
                Some(_) => {
                    words.push(self.word()?);
                    continue;
                }
            };
            self.position += 1;
            return Ok((words, end));
        }
    }

    fn word(&mut self) -> Result<String, Broken> {
        let start = self.position;
        let quote = self.peek().filter(|byte| matches!(byte, b'"' | b'\''));
        if let Some(quote) = quote {
            self.position += 1;
            let line = self.line();
            loop {
                match self.next() {
                    None => return Err(Broken { line, reason: "a quote is not closed".into() }),
                    Some(b'\\') => self.position += 1,
                    Some(byte) if byte == quote => break,
                    Some(_) => {}
                }
            }
            let word = String::from_utf8_lossy(&self.text[start + 1..self.position - 1]).into_owned();
            return match self.peek() {
                None | Some(b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{' | b')') => Ok(word),
                Some(_) => Err(self.broken("something follows a closing quote without a space".into())),
            };
        }
        let mut after_dollar = false;
        while let Some(byte) = self.peek() {
            match byte {
                b'{' if after_dollar => {}
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{' => break,
                b'\\' => self.position += 1,
                _ => {}
            }
            after_dollar = byte == b'$' || (after_dollar && byte == b'{');
            self.position += 1;
        }
        self.position = self.position.min(self.text.len());
        Ok(String::from_utf8_lossy(&self.text[start..self.position]).into_owned())
    }

    /// White space and comments.
    fn skip_space(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => self.position += 1,
                b'#' => self.skip_past(b"\n"),
                _ => return,
            }
        }
    }

    /// Lua code up to the brace that closes its block.
    fn skip_lua(&mut self) -> Result<(), Broken> {
        let unclosed =
            Broken { line: self.line(), reason: "the Lua block is not closed: `}` is missing".into() };
        let mut depth = 1;
        while let Some(byte) = self.next() {
            match byte {
                b'{' => depth += 1,
                b'}' => depth -= 1,
                b'"' | b'\'' => self.skip_lua_string(byte),
                b'[' => {
                    self.skip_long_bracket();
                }
                b'-' if self.peek() == Some(b'-') => {
                    self.position += 1;
                    let is_long = self.peek() == Some(b'[') && {
                        self.position += 1;
                        self.skip_long_bracket()
                    };
                    if !is_long {
                        self.skip_past(b"\n");
                    }
                }
                _ => {}
            }
            if depth == 0 {
                return Ok(());
            }
        }
        Err(unclosed)
    }

    fn skip_lua_string(&mut self, quote: u8) {
        while let Some(byte) = self.next() {
            match byte {
                b'\\' => self.position += 1,
                b'\n' => return,
                byte if byte == quote => return,
                _ => {}
            }
        }
    }

    /// `[==[ … ]==]`, whose first bracket is passed already; `false`, and nothing passed, where it is none.
    fn skip_long_bracket(&mut self) -> bool {
        let rest = self.text.get(self.position..).unwrap_or_default();
        let level = rest.iter().take_while(|byte| **byte == b'=').count();
        if rest.get(level) != Some(&b'[') {
            return false;
        }
        self.position += level + 1;
        let close: Vec<u8> = [b"]".as_slice(), &b"=".repeat(level), b"]"].concat();
        self.skip_past(&close);
        true
    }

    fn skip_past(&mut self, end: &[u8]) {
        let rest = self.text.get(self.position..).unwrap_or_default();
        let found = memchr::memmem::find(rest, end);
        self.position = found.map_or(self.text.len(), |at| self.position + at + end.len());
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.position).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek();
        self.position += usize::from(byte.is_some());
        byte
    }

    /// The line that has been reached, from 1.
    fn line(&self) -> usize {
        let (from, line) = self.counted.get();
        let passed = self.text.get(from..self.position.min(self.text.len())).unwrap_or_default();
        let line = line + memchr::memchr_iter(b'\n', passed).count();
        self.counted.set((from + passed.len(), line));
        line
    }

    fn broken(&self, reason: String) -> Broken {
        Broken { line: self.line(), reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        parse(text).unwrap().into_iter().map(|directive| directive.name).collect()
    }

    #[test]
    fn directives_are_read_as_nginx_reads_them() {
        assert_eq!(names("a 1;\nb '}' { c \"{;\" 2; }\n# } {\nd ${x}y;"), ["a", "b", "d"]);
        assert_eq!(names("rewrite ^/a\\{2\\;\\}$ /b;"), ["rewrite"]);
        assert_eq!(names("if ($a ~ \"x\") { return 403; }"), ["if"]);
        assert_eq!(names("map $a $b { default ''; '~x{2}' y; '' z; }"), ["map"]);
        assert_eq!(names(""), Vec::<String>::new());
        let parsed = parse("\n\nlocation ~ \\.php$ { a; }").unwrap();
        assert_eq!(
            (parsed[0].line, parsed[0].arguments.as_slice()),
            (3, &["~".to_owned(), "\\.php$".to_owned()][..])
        );
        assert_eq!(parsed[0].block[0].name, "a");
    }

    #[test]
    fn braces_in_lua_code_count_as_lua_has_them() {
        let code =
            "content_by_lua_block { local a = {'}', \"}\"} -- }\n --[[ } ]] b = [==[ } ]==] c = a[1] }\nx;";
        assert_eq!(names(code), ["content_by_lua_block", "x"]);
        assert!(parse("content_by_lua_block { a = { }").is_err());
    }

    #[test]
    fn what_is_not_whole_is_refused_with_its_line() {
        for (text, line, reason) in [
            ("a 1", 1, "`a` does not end"),
            ("a 1;\nb {\n c;\n", 4, "a block is not closed"),
            ("a;\n}\nlocation / {", 2, "closes a block that is not begun"),
            ("a \"x;\n", 1, "a quote is not closed"),
            ("a { b }", 1, "`b` does not end: `;` is missing before `}`"),
            ("a 'x'y;", 1, "follows a closing quote"),
            ("{ a; }", 1, "has no name"),
            (";", 1, "has no name"),
            ("a; # comment }\n } b {", 2, "closes a block"),
            ("a \\", 1, "`a` does not end"),
            (&"a {".repeat(1000), 1, "nested more than"),
        ] {
            let broken = parse(text).unwrap_err();
            assert_eq!(broken.line, line, "{text}: {broken:?}");
            assert!(broken.reason.contains(reason), "{text}: {broken:?}");
        }
    }

    #[test]
    fn a_long_text_is_read_in_one_pass() {
        // What takes time by the square of the length takes hours here.
        let parsed = parse(&"a;\n".repeat(1_000_000)).unwrap();
        assert_eq!((parsed.len(), parsed[999_999].line), (1_000_000, 1_000_000));
    }

    #[test]
    fn a_word_holds_anything() {
        assert_eq!(word("a \"b\" \\ $c"), "\"a \\\"b\\\" \\\\ $c\"");
        assert_eq!(value("/a$b"), "\"/a${dollar_sign}b\"");
        assert_eq!(pattern("/a.b-(c"), "/a\\.b\\-\\(c");
        for text in ["x", "a;b {c} #d", "q\"'\\", "\\\\", "new\nline"] {
            let parsed = parse(&format!("d {} e;", word(text))).unwrap();
            assert_eq!(parsed[0].arguments.len(), 2, "{text}");
        }
    }
}
