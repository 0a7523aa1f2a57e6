//! The way back out of a plugin's environment: what it changed is kept in a variable of its own.

use std::collections::BTreeMap;

use crate::site::Environment;

/// What each variable was before, as JSON; null where there was none.
const OUTSIDE: &str = "MWP_OUTSIDE";

/// Notes in `inside`, an environment that was made of `outside`, how to get back.
pub fn remember(outside: &Environment, inside: &mut Environment) {
    let has_way_out = outside.get(OUTSIDE).is_some();
    if has_way_out {
        // Out of the inner one means out of both.
        return;
    }
    let mut changed: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    for (name, value) in outside.iter() {
        // What is no text stays as it is.
        if let (Some(name), Some(text)) = (name.to_str(), value.to_str())
            && inside.get(name) != Some(value.as_os_str())
        {
            changed.insert(name, Some(text));
        }
    }
    for (name, _) in inside.iter() {
        if let Some(name) = name.to_str().filter(|name| outside.get(name).is_none()) {
            changed.insert(name, None);
        }
    }
    if let Ok(text) = serde_json::to_string(&changed) {
        inside.set(OUTSIDE, text);
    }
}

/// The environment that a plugin's was made of, where that is known.
pub fn restore(inside: &Environment) -> Option<Environment> {
    let changed: BTreeMap<String, Option<String>> = serde_json::from_str(inside.text(OUTSIDE)?).ok()?;
    let mut outside = inside.clone();
    outside.remove(OUTSIDE);
    for (name, value) in changed {
        match value {
            Some(value) => outside.set(name, value),
            None => outside.remove(&name),
        }
    }
    Some(outside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        variables.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    #[test]
    fn the_way_out_leads_to_where_one_came_from() {
        let outside = environment(&[("PATH", "/usr/bin"), ("HOME", "/home/a"), ("GONE", "x")]);
        let mut inside = environment(&[("PATH", "/p/bin:/usr/bin"), ("HOME", "/home/a"), ("NEW", "1")]);
        remember(&outside, &mut inside);
        assert_eq!(restore(&inside), Some(outside.clone()));
        // Out of the inner one means out of both.
        let mut deeper = inside.clone();
        deeper.set("PATH", "/q/bin:/p/bin:/usr/bin");
        remember(&inside, &mut deeper);
        assert_eq!(restore(&deeper), Some(outside));
        assert_eq!(restore(&environment(&[("PATH", "/usr/bin")])), None);
    }
}
