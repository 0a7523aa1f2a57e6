//! The recipes that are part of the binary.

use std::sync::LazyLock;

use super::file::RecipeFile;
use crate::error::Result;

const FILES: [(&str, &str); 6] = [
    ("recipes/makefile.toml", include_str!("../../recipes/makefile.toml")),
    ("recipes/plugin.toml", include_str!("../../recipes/plugin.toml")),
    ("recipes/python3.toml", include_str!("../../recipes/python3.toml")),
    ("recipes/nodejs.toml", include_str!("../../recipes/nodejs.toml")),
    ("recipes/pnpm.toml", include_str!("../../recipes/pnpm.toml")),
    ("recipes/yarn.toml", include_str!("../../recipes/yarn.toml")),
];

/// Read once, for as many plugins as there are.
pub(super) fn recipes() -> Result<&'static [RecipeFile]> {
    static RECIPES: LazyLock<Result<Vec<RecipeFile>>> =
        LazyLock::new(|| FILES.iter().map(|(name, content)| RecipeFile::parse(name, content)).collect());
    RECIPES.as_deref().map_err(Clone::clone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_recipe_is_valid() {
        assert_eq!(recipes().unwrap().len(), FILES.len());
    }
}
