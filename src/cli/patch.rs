//! Changes of a file as `git diff` shows them.

use crate::text;

/// `None` is a file that is not there. The path is shown as it stands.
pub(super) fn of_texts(path: &str, old: Option<&str>, new: Option<&str>) -> String {
    let name = |side: &str, text: Option<&str>| match text {
        Some(_) => format!("{side}/{path}"),
        None => "/dev/null".to_owned(),
    };
    let mut options = diffy::DiffOptions::new();
    options.set_original_filename(name("a", old)).set_modified_filename(name("b", new));
    let patch = options.create_patch(old.unwrap_or_default(), new.unwrap_or_default()).to_string();
    text::visible_lines(&patch)
}
