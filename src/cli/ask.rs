//! Questions on the terminal: asked until the answer is allowed; an empty answer takes the default.

use std::io::{self, BufRead, IsTerminal};

use super::Context;
use crate::error::{Error, Result};
use crate::plugin::PluginName;
use crate::template::Question;
use crate::text;

pub(super) fn is_possible() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks a person, or takes the defaults.
pub(super) fn asker(is_interactive: bool, context: &Context) -> impl FnMut(&Question) -> Result<String> {
    move |question| if is_interactive { answer(question, context) } else { Ok(question.default.clone()) }
}

/// The plugin's name; the current directory's is offered.
pub(super) fn name(context: &Context) -> Result<PluginName> {
    let here = std::env::current_dir().ok();
    let here = here.as_deref().and_then(|dir| dir.file_name()?.to_str());
    let default = here.filter(|name| PluginName::parse(name).is_ok()).unwrap_or_default();
    loop {
        let shown = if default.is_empty() { String::new() } else { format!(" [{default}]") };
        let line = line(&format!("the plugin's name{shown}: "), context)?;
        match PluginName::parse(if line.is_empty() { default } else { &line }) {
            Ok(name) => return Ok(name),
            Err(error) => context.output.error(&error),
        }
    }
}

/// Whether to go on; no without a word.
pub(super) fn confirmed(question: &str, context: &Context) -> Result<bool> {
    let answer = line(&format!("{question} [y/N]: "), context)?;
    Ok(matches!(answer.to_lowercase().as_str(), "y" | "yes"))
}

fn answer(question: &Question, context: &Context) -> Result<String> {
    loop {
        for (index, choice) in question.choices.iter().enumerate() {
            context.output.verbatim(&format!("  {}. {}", index + 1, text::visible(&choice.label)));
        }
        let (prompt, default) = (text::visible(&question.prompt), text::visible(&question.default));
        let given = line(&format!("{prompt} [{default}]: "), context)?;
        let number = given.parse().ok().and_then(|number: usize| number.checked_sub(1));
        let answer = match number.and_then(|index| question.choices.get(index)) {
            Some(choice) => &choice.value,
            None if given.is_empty() => &question.default,
            None => &given,
        };
        match question.answer(answer) {
            Ok(_) => return Ok(answer.clone()),
            Err(error) => context.output.error(&error),
        }
    }
}

fn line(prompt: &str, context: &Context) -> Result<String> {
    context.output.prompt(prompt);
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line).map_err(|_| Error::interrupted())? == 0 {
        context.output.verbatim("");
        return Err(Error::interrupted());
    }
    Ok(line.trim().to_owned())
}
