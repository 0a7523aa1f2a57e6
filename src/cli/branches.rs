//! Draws a tree with lines before its rows.

/// Rows with their depths, each below the last one before it that is less deep.
pub(super) fn draw(rows: &[(usize, String)]) -> Vec<String> {
    let line = |(at, (depth, text)): (usize, &(usize, String))| {
        // A branch goes on where another row of its depth comes before one that is less deep.
        let goes_on = |depth: usize| {
            let next = rows[at + 1..].iter().find(|(next, _)| *next <= depth);
            next.is_some_and(|(next, _)| *next == depth)
        };
        let mut line: String =
            (1..*depth).map(|depth| if goes_on(depth) { "│   " } else { "    " }).collect();
        if *depth > 0 {
            line.push_str(if goes_on(*depth) { "├── " } else { "└── " });
        }
        line + text
    };
    rows.iter().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_goes_on_to_its_last_row() {
        let rows = [(0, "a"), (1, "b"), (2, "c"), (1, "d"), (2, "e")];
        let rows = rows.map(|(depth, text)| (depth, text.to_owned()));
        assert_eq!(draw(&rows), ["a", "├── b", "│   └── c", "└── d", "    └── e"]);
    }
}
