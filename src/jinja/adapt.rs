//! Jinja2 that minijinja has no hook for is put into words that it has, before it is compiled:
//!
//! - `'%s' % x`: its `%` is of numbers alone, and neither values nor the engine can give it another meaning. Each
//!   `a % b` becomes `(a)|_percent(b)`, a filter that knows strings;
//! - `{% now 'utc', '%Y' %}`, a tag of cookiecutter's: it becomes a call of `_now`, since the engine takes no new tags.
//!
//! Lines stay where they are, so errors name the right ones.
//!
//! The engine compiles an expression as deep as it is long (`1 + 1 + …`, `not not …`, `{% elif … %}`), and would end with
//! the stack: those that go deeper than [`DEEPEST`] are refused.

use std::borrow::Cow;
use std::iter::Peekable;
use std::slice::Iter;

use minijinja::Error;
use minijinja::syntax::SyntaxConfig;

use super::invalid;

/// How many operators, filters, calls and brackets may be within each other, and how many `elif` in one `if`.
const DEEPEST: usize = 150;

/// How many brackets, powers, tests and `%` one block may have for it to be rewritten.
const MOST_NESTED: usize = 100;

/// The text as the engine compiles it.
pub(crate) fn adapted<'a>(text: &'a str, syntax: &SyntaxConfig) -> Result<Cow<'a, str>, Error> {
    let (block, block_end) = syntax.block_delimiters();
    let (variable, variable_end) = syntax.variable_delimiters();
    let (comment, comment_end) = syntax.comment_delimiters();
    // One that is so short has no room for what is too deep.
    if text.len() <= DEEPEST && !text.contains('%') && !text.contains("now") {
        return Ok(Cow::Borrowed(text));
    }
    let mut starts = [block, variable, comment].map(|start| Starts { text, start, next: Some(0) });
    let mut alternatives = Alternatives::default();
    let mut out = String::with_capacity(text.len() + 64);
    let mut rest = text;
    loop {
        let from = text.len() - rest.len();
        let next = starts.iter_mut().filter_map(|starts| Some((starts.after(from)? - from, starts.start)));
        // Of two that start at the same place the longer one counts.
        let Some((at, start)) = next.min_by_key(|(at, start)| (*at, usize::MAX - start.len())) else { break };
        let (before, code) = rest.split_at(at + start.len());
        out.push_str(before);
        if start == comment {
            let end = code.find(comment_end).map_or(code.len(), |end| end + comment_end.len());
            out.push_str(&code[..end]);
            rest = &code[end..];
            continue;
        }
        let end_marker = if start == block { block_end } else { variable_end };
        let (tokens, length) = tokens(code, end_marker);
        if depth(&tokens) > DEEPEST || (start == block && alternatives.of(&tokens) > DEEPEST) {
            return Err(invalid(format!("more than {DEEPEST} steps of it are within each other")));
        }
        // What does not end is left to the engine, which refuses it.
        let Some(length) = length else {
            rest = code;
            break;
        };
        let (inside, after) = code.split_at(length);
        if start == block && is_word(&tokens, "raw") {
            let end = end_of_raw(after, block).unwrap_or(after.len());
            out.push_str(inside);
            out.push_str(&after[..end]);
            rest = &after[end..];
            continue;
        }
        if start == block && is_word(&tokens, "now") {
            out.truncate(out.len() - start.len());
            out.push_str(variable);
            out.push_str(&now(&tokens, inside));
            out.push_str(variable_end);
            rest = &after[block_end.len()..];
            continue;
        }
        let is_plain = !tokens.iter().any(|token| token.is("%")) || is_too_deep(&tokens);
        out.push_str(&if is_plain { inside.to_owned() } else { Chains::rewritten(&tokens) });
        rest = after;
    }
    out.push_str(rest);
    Ok(out.into())
}

/// Where in the text something starts, each place looked for once.
struct Starts<'a> {
    text: &'a str,
    start: &'a str,
    /// The next place, or where to look for it; none where there are no more.
    next: Option<usize>,
}

impl Starts<'_> {
    /// The first place that is not before `from`.
    fn after(&mut self, from: usize) -> Option<usize> {
        let known = self.next?;
        if known < from || !self.text[known..].starts_with(self.start) {
            let from = from.max(known);
            self.next = self.text[from..].find(self.start).map(|at| from + at);
        }
        self.next
    }
}

/// How many `elif` there are in each `if` that is open.
#[derive(Default)]
struct Alternatives(Vec<usize>);

impl Alternatives {
    /// How many are within each other where this tag is.
    fn of(&mut self, tokens: &[Token<'_>]) -> usize {
        if is_word(tokens, "if") {
            self.0.push(0);
        } else if is_word(tokens, "endif") {
            self.0.pop();
        } else if is_word(tokens, "elif")
            && let Some(last) = self.0.last_mut()
        {
            *last += 1;
        }
        self.0.iter().sum()
    }
}

/// How deep an expression is at most: of what stands in a row, each is within the next.
fn depth(tokens: &[Token<'_>]) -> usize {
    let (mut outer, mut above, mut here, mut deepest) = (Vec::new(), 0, 0, 0);
    for token in tokens {
        match token.text {
            "(" | "[" | "{" => {
                outer.push(here + 1);
                above += here + 1;
                here = 0;
            }
            ")" | "]" | "}" => {
                if let Some(before) = outer.pop() {
                    above -= before;
                    here = before;
                }
            }
            "," => here = 0,
            _ if token.is_operand() => {}
            _ => here += 1,
        }
        deepest = deepest.max(above + here);
    }
    deepest
}

/// Whether an expression would need much of the stack; the engine refuses those that nest so deep.
fn is_too_deep(tokens: &[Token<'_>]) -> bool {
    let (mut depth, mut deepest) = (0_usize, 0);
    for token in tokens {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest + tokens.iter().filter(|token| matches!(token.text, "%" | "**" | "is")).count() > MOST_NESTED
}

/// Where the block that ends a raw part begins.
fn end_of_raw(text: &str, block: &str) -> Option<usize> {
    text.match_indices(block).map(|(at, _)| at).find(|at| {
        let code = text[at + block.len()..].trim_start_matches(['-', '+']).trim_start();
        code.strip_prefix("endraw")
            .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    })
}

/// A token with the white space before it.
#[derive(Clone, Copy)]
struct Token<'a> {
    space: &'a str,
    text: &'a str,
}

impl Token<'_> {
    fn is(&self, text: &str) -> bool {
        self.text == text
    }

    fn is_name(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }

    fn is_operand(&self) -> bool {
        self.is_name() && !KEYWORDS.contains(&self.text)
            || self.text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '\'' | '"'))
    }
}

/// Words that no operand begins with.
const KEYWORDS: [&str; 28] = [
    "and",
    "as",
    "autoescape",
    "block",
    "call",
    "context",
    "do",
    "elif",
    "else",
    "extends",
    "filter",
    "for",
    "from",
    "if",
    "ignore",
    "import",
    "in",
    "include",
    "is",
    "macro",
    "missing",
    "not",
    "or",
    "print",
    "recursive",
    "set",
    "with",
    "without",
];

/// The first word of a block, its sign for white space aside.
fn is_word(tokens: &[Token<'_>], word: &str) -> bool {
    let first = tokens.iter().find(|token| !matches!(token.text, "-" | "+"));
    first.is_some_and(|token| token.is(word))
}

/// The tokens up to the end of a block, and where that is, `None` where there is no end. White space before the end is a
/// token without text.
fn tokens<'a>(code: &'a str, end: &str) -> (Vec<Token<'a>>, Option<usize>) {
    let mut found = Vec::new();
    let mut at = 0;
    let mut depth = 0_usize;
    loop {
        let space = code[at..].len() - code[at..].trim_start().len();
        let (space, rest) = code[at..].split_at(space);
        // `}}` may close two dictionaries.
        if (depth == 0 || !end.starts_with(['}', ']', ')']))
            && (rest.starts_with(end) || is_signed_end(rest, end))
        {
            let sign = usize::from(!rest.starts_with(end));
            found.push(Token { space, text: &rest[..sign] });
            return (found, Some(at + space.len() + sign));
        }
        let Some(first) = rest.chars().next() else { return (found, None) };
        let length = match first {
            '\'' | '"' => match string_length(rest) {
                Some(length) => length,
                None => return (found, None),
            },
            c if c.is_ascii_digit() => {
                rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
            }
            c if c.is_alphabetic() || c == '_' => {
                rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
            }
            _ if ["//", "**", "==", "!=", "<=", ">="].iter().any(|operator| rest.starts_with(operator)) => 2,
            c => c.len_utf8(),
        };
        match first {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        found.push(Token { space, text: &rest[..length] });
        at += space.len() + length;
    }
}

fn is_signed_end(rest: &str, end: &str) -> bool {
    rest.strip_prefix(['-', '+']).is_some_and(|rest| rest.starts_with(end))
}

fn string_length(text: &str) -> Option<usize> {
    let quote = text.chars().next()?;
    let mut is_escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            character if character == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// `now ZONE [± OFFSET][, FORMAT]` as `_now(ZONE, FORMAT, "±", OFFSET)`.
fn now(tokens: &[Token<'_>], inside: &str) -> String {
    let is_sign = |token: &Token<'_>| matches!(token.text, "-" | "+");
    let opening = tokens.first().filter(|token| is_sign(token) && token.space.is_empty());
    let closing = tokens.last().filter(|token| is_sign(token));
    let lines = "\n".repeat(inside.matches('\n').count());
    let words: Vec<_> = tokens
        .iter()
        .skip(usize::from(opening.is_some()) + 1)
        .take_while(|token| !token.text.is_empty())
        .collect();
    let words = &words[..words.len() - usize::from(closing.is_some())];
    let text =
        |words: &[&Token<'_>]| words.iter().map(|token| format!(" {}", token.text)).collect::<String>();
    let mut depth = 0_usize;
    let mut parts = [Vec::new(), Vec::new(), Vec::new()];
    let (mut part, mut sign) = (0, "+");
    for token in words {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            "," if depth == 0 => {
                part = 2;
                continue;
            }
            "+" | "-" if depth == 0 && part == 0 => {
                (part, sign) = (1, if token.is("-") { "-" } else { "+" });
                continue;
            }
            _ => {}
        }
        parts[part].push(*token);
    }
    let [zone, offset, format] = parts.map(|words| text(&words));
    let or_none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
    format!(
        "{} _now({}, {}, \"{sign}\", {}) {lines}{}",
        opening.map_or("", |token| token.text),
        or_none(zone),
        or_none(format),
        or_none(offset),
        closing.map_or("", |token| token.text),
    )
}

/// Rewrites the chains of `*`, `/`, `//` and `%` that hold a `%`.
struct Chains<'a> {
    tokens: Peekable<Iter<'a, Token<'a>>>,
}

impl Chains<'_> {
    fn rewritten(tokens: &[Token<'_>]) -> String {
        let mut chains = Chains { tokens: tokens.iter().peekable() };
        let has_mark =
            tokens.first().is_some_and(|first| first.space.is_empty() && matches!(first.text, "-" | "+"));
        let mark = if has_mark { chains.next() } else { String::new() };
        mark + &chains.sequence()
    }

    fn next(&mut self) -> String {
        self.tokens.next().map_or(String::new(), |token| format!("{}{}", token.space, token.text))
    }

    fn peek(&mut self) -> &str {
        self.tokens.peek().map_or("", |token| token.text)
    }

    fn has_operand(&mut self) -> bool {
        self.tokens.peek().is_some_and(|token| token.is_operand() || matches!(token.text, "(" | "[" | "{"))
    }

    /// Everything up to the bracket that closes this level.
    fn sequence(&mut self) -> String {
        let mut out = String::new();
        let mut is_after_operand = false;
        while self.tokens.peek().is_some() && !matches!(self.peek(), ")" | "]" | "}") {
            let is_unary = !is_after_operand && matches!(self.peek(), "-" | "+");
            is_after_operand = is_unary || self.has_operand();
            out.push_str(&if is_after_operand { self.chain() } else { self.next() });
        }
        out
    }

    fn chain(&mut self) -> String {
        let mut chain = self.signed_operand();
        while matches!(self.peek(), "*" | "/" | "//" | "%") {
            let operator = self.next();
            let operand = self.signed_operand();
            chain = if operator.ends_with('%') {
                format!("({chain})|_percent({operand})")
            } else {
                format!("{chain}{operator}{operand}")
            };
        }
        chain
    }

    fn signed_operand(&mut self) -> String {
        let mut out = String::new();
        while matches!(self.peek(), "-" | "+") {
            out.push_str(&self.next());
        }
        out.push_str(&self.operand());
        out
    }

    /// A name, a literal or a bracket with what clings to it: attributes, calls, filters, tests, powers.
    fn operand(&mut self) -> String {
        let mut out = String::new();
        if matches!(self.peek(), "(" | "[" | "{") {
            out.push_str(&self.bracket());
        } else if self.has_operand() {
            out.push_str(&self.next());
        }
        loop {
            match self.peek() {
                "(" | "[" => out.push_str(&self.bracket()),
                "." | "|" => {
                    out.push_str(&self.next());
                    out.push_str(&self.next());
                }
                "**" => {
                    out.push_str(&self.next());
                    out.push_str(&self.signed_operand());
                }
                "is" => {
                    out.push_str(&self.next());
                    if self.peek() == "not" {
                        out.push_str(&self.next());
                    }
                    out.push_str(&self.next());
                    if self.has_operand() {
                        out.push_str(&self.operand());
                    }
                }
                next if next.starts_with(['\'', '"']) => out.push_str(&self.next()),
                _ => return out,
            }
        }
    }

    fn bracket(&mut self) -> String {
        let mut out = self.next();
        out.push_str(&self.sequence());
        out.push_str(&self.next());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapt(text: &str) -> String {
        adapted(text, &SyntaxConfig::default()).unwrap().into_owned()
    }

    #[test]
    fn what_has_no_percent_stays_as_it_is() {
        for text in [
            "100 % sure {{ a + b }} {% if x %}now{% endif %}",
            "{% raw %}{{ 'a' % b }} {% now %}{% endraw %}{{ x }}",
            "{%- raw -%}{{ a % b }}{%- endraw -%}",
            "{# {{ a % b }} #}",
            "{{ '%' }} {{ {'a': {'b': 1}} }}",
            "{{ 'unfinished % ",
            "{% set now = 1 %}{{ nowhere }}",
        ] {
            assert_eq!(adapt(text), text);
        }
    }

    #[test]
    fn a_percent_becomes_a_filter_that_binds_as_it_does() {
        for (text, expected) in [
            ("{{ '%s' % x }}", "{{ ('%s')|_percent( x) }}"),
            ("{{ a * b % c * d }}", "{{ ( a * b)|_percent( c) * d }}"),
            ("{{ a + b % c ~ d }}", "{{ a + ( b)|_percent( c) ~ d }}"),
            ("{{ -a % b - -c % d }}", "{{ (-a)|_percent( b) - (-c)|_percent( d) }}"),
            ("{{- x|f(1).y % -z[0]|g -}}", "{{-( x|f(1).y)|_percent( -z[0]|g) -}}"),
            ("{% if a % 2 == 0 and not b %}", "{% if( a)|_percent( 2) == 0 and not b %}"),
            ("{% for i in l if i % 2 %}", "{% for i in l if( i)|_percent( 2) %}"),
            (
                "{{ f(a % b, '%s' % (c % d)) }}",
                "{{ f((a)|_percent( b),( '%s')|_percent( (( c)|_percent( d)))) }}",
            ),
        ] {
            let squeeze = |text: &str| text.replace(' ', "");
            assert_eq!(squeeze(&adapt(text)), squeeze(expected), "{text}");
        }
    }

    #[test]
    fn an_expression_that_is_too_deep_is_refused() {
        let engine = crate::jinja::engine();
        let compiled = |text: &str| crate::jinja::render(&engine, "", text, minijinja::Value::from(()));
        // With what is before and behind the part that is repeated.
        for (before, part, behind) in [
            ("1", " + 1", ""),
            ("1", "~1", ""),
            ("1", "%1", ""),
            ("1", "**1", ""),
            ("1", " and 1", ""),
            ("1", " is odd", ""),
            ("1", " in 1", ""),
            ("1", " if 1 else 1", ""),
            ("1", "|abs", ""),
            ("1", "|abs()", ""),
            ("x", ".x", ""),
            ("x", "[0]", ""),
            ("x", "()", ""),
            ("x", "(1, 2)", ""),
            ("", "not ", "1"),
            ("", "-", "1"),
            ("", "(", ""),
            ("", "[1, ", ""),
            ("", "2**", "1"),
        ] {
            for end in [" }}", ""] {
                let text = |times: usize| format!("{{{{ {before}{}{behind}{end}", part.repeat(times));
                let error = compiled(&text(10_000)).unwrap_err();
                assert!(error.to_string().contains("within each other"), "{part}: {error}");
                // As deep as may be is not too deep for the stack, whatever comes of it.
                let _ =
                    compiled(&text(DEEPEST / part.matches(|c: char| !c.is_alphanumeric()).count().max(1)));
            }
        }
        let alternatives =
            |times: usize| format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(times));
        assert!(compiled(&alternatives(DEEPEST)).is_ok());
        assert!(compiled(&alternatives(DEEPEST + 1)).is_err());
        let deepest =
            alternatives(DEEPEST - 10).replace("elif 0", &format!("elif {}0", "not ".repeat(DEEPEST - 5)));
        compiled(&deepest).unwrap();
        let wide = format!(
            "{{{{ [{}] }}}}{}",
            "{'a': 1 + 1}, ".repeat(5000),
            "{% if 1 %}{{ 1 }}{% endif %}".repeat(5000)
        );
        assert!(compiled(&wide).is_ok());
    }

    #[test]
    fn the_tag_now_becomes_a_call() {
        for (text, expected) in [
            ("{% now 'utc' %}", "{{ _now( 'utc', none, \"+\", none) }}"),
            ("{%- now 'utc', '%Y' -%}x", "{{- _now( 'utc',  '%Y', \"+\", none) -}}x"),
            ("{% now 'utc' - 'days=1', '%Y' %}", "{{ _now( 'utc',  '%Y', \"-\",  'days=1') }}"),
        ] {
            assert_eq!(adapt(text), expected);
        }
    }
}
