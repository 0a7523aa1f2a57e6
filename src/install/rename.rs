//! `--new-name`: the same plugin under another name.

use std::path::Path;

use crate::artifact;
use crate::error::Result;
use crate::fs;
use crate::plugin::Label;

/// Gives the unpacked plugin a new label. Scripts of the virtualenv find their interpreter beside themselves, and
/// the environment is made from the label, so that nothing else holds the name.
pub(super) fn relabel(tree: &Path, label: &Label) -> Result<()> {
    let content = format!("{label}\n");
    fs::write_atomic(&tree.join(artifact::LABEL), content.as_bytes())?;
    fs::set_mode(&tree.join(artifact::LABEL), 0o644)?;
    artifact::amend_manifest(tree, artifact::LABEL, content.as_bytes())
}
