//! TOML that somebody else wrote. The crate bounds how deep values nest, but not while it recovers from a mistake: a
//! text that opens brackets over and over would overflow its stack. So brackets are counted first.

use serde::de::{DeserializeOwned, Error as _};
use toml::de::Error;
use toml_parser::Source;
use toml_parser::lexer::TokenKind;

/// More than the crate itself allows.
const DEEPEST: usize = 100;

pub(crate) fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    match too_deep(text) {
        Some(line) => {
            Err(Error::custom(format!("line {line} opens more than {DEEPEST} brackets that are not closed")))
        }
        None => toml::from_str(text),
    }
}

/// The line where more brackets are open than there may be. One that closes another kind closes nothing.
fn too_deep(text: &str) -> Option<usize> {
    let mut open = Vec::new();
    for token in Source::new(text).lex() {
        let closed_by = match token.kind() {
            TokenKind::LeftSquareBracket => TokenKind::RightSquareBracket,
            TokenKind::LeftCurlyBracket => TokenKind::RightCurlyBracket,
            kind => {
                open.pop_if(|closed_by| *closed_by == kind);
                continue;
            }
        };
        open.push(closed_by);
        if open.len() > DEEPEST {
            return Some(text[..token.span().start()].matches('\n').count() + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_that_are_opened_over_and_over_are_refused_before_they_overflow_the_stack() {
        for piece in ["a = {[b]]\n", "a = {[", "a = [{", "a = [\n", "[[a]\nb = {[c]]\n"] {
            let error = from_str::<toml::Table>(&piece.repeat(200_000)).unwrap_err();
            assert!(error.message().contains("opens more than 100 brackets"), "{piece}: {error}");
        }
        let many = "[[a]]\nb = [{c = [1, 2]}, {}]\n".repeat(1000);
        assert_eq!(from_str::<toml::Table>(&many).unwrap()["a"].as_array().unwrap().len(), 1000);
        assert!(from_str::<toml::Table>("a = '['\nb = \"{\" # [").is_ok());
    }
}
