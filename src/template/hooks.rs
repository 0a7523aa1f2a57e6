//! A template's own scripts: `hooks/pre_prompt.*` before anything is asked, in a copy of the template, which it may
//! change; `hooks/pre_gen_project.*` in the new plugin's directory before its files are there, `hooks/post_gen_project.*`
//! after. The last two are templates themselves. One that fails ends it all.

use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};

use minijinja::value::Value as JinjaValue;

use super::render::Renderer;
use super::shelf::Found;
use crate::error::{At, Error, Result};
use crate::fs;
use crate::site::Site;
use crate::text;

/// A Python module of MetWork's that templates import in their hooks; here its work is done by [`super::tidy`].
const HOOK_MODULE: &str = "cookiecutter_hooks";
const HOOK_MODULE_STAND_IN: &str = "def post_gen_project():\n    pass\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    BeforeQuestions,
    Before,
    After,
}

impl Moment {
    fn stem(self) -> &'static str {
        match self {
            Moment::BeforeQuestions => "pre_prompt",
            Moment::Before => "pre_gen_project",
            Moment::After => "post_gen_project",
        }
    }
}

/// Whether a hook leaves the tidying to MetWork's module.
pub(super) fn use_metwork_module(scripts: &[Found]) -> bool {
    let needle = HOOK_MODULE.as_bytes();
    let contents = scripts.iter().filter_map(|script| script.content.as_deref());
    contents.into_iter().any(|content| content.windows(needle.len()).any(|window| window == needle))
}

/// The scripts of a moment, whatever their extension; what editors keep beside them is none.
pub(super) fn scripts_of(scripts: &[Found], moment: Moment) -> impl Iterator<Item = &Found> {
    scripts.iter().filter(move |script| {
        let path = Path::new(&script.path);
        let is_script = script.content.is_some() && !script.path.contains('/') && !script.path.ends_with('~');
        is_script && path.file_stem().is_some_and(|stem| stem == moment.stem())
    })
}

/// What running hooks needs.
pub(super) struct Hooks<'a> {
    pub(super) scripts: &'a [Found],
    /// What fills in the scripts, and its variables; before the questions there is neither.
    pub(super) renderer: Option<(&'a Renderer, &'a JinjaValue)>,
    pub(super) site: &'a Site,
    /// A directory of our own, for the rendered scripts.
    pub(super) scratch: &'a Path,
}

impl Hooks<'_> {
    /// Runs the hooks of this moment in `directory`, if there are any.
    pub(super) fn run(&self, moment: Moment, directory: &Path) -> Result<()> {
        scripts_of(self.scripts, moment).try_for_each(|script| self.run_script(script, directory))
    }

    fn run_script(&self, script: &Found, directory: &Path) -> Result<()> {
        let shown = format!("hooks/{}", script.path);
        let content = script.content.as_deref().unwrap_or_default();
        let content = match (self.renderer, std::str::from_utf8(content)) {
            (None, _) => content.to_vec(),
            (Some((renderer, variables)), Ok(text)) => renderer.render(&shown, text, variables)?.into_bytes(),
            (Some(_), Err(_)) => {
                return Err(Error::input(format!("the template's `{shown}` is not UTF-8 text"))
                    .hint("save the hook as UTF-8"));
            }
        };
        fs::create_dir_all(self.scratch)?;
        let file = self.scratch.join(&script.path);
        fs::write_atomic(&file, &content)?;
        fs::set_mode(&file, 0o755)?;
        let extension = Path::new(&script.path).extension().and_then(|extension| extension.to_str());
        let mut command = if extension == Some("py") {
            self.python(&file)?
        } else if content.starts_with(b"#!") {
            Command::new(&file)
        } else {
            let mut shell = Command::new("sh");
            shell.arg(&file);
            shell
        };
        // What a hook says is for the person, not for whoever reads our standard output.
        let output = std::io::stderr().as_fd().try_clone_to_owned().at("run", &file)?;
        command.current_dir(directory).stdin(Stdio::null()).stdout(output);
        let status = command.status().map_err(|error| {
            Error::machine(format!("cannot run the template's `{shown}`: {}", text::io_reason(&error)))
                .hint("its interpreter must be installed")
        })?;
        if status.success() {
            return Ok(());
        }
        Err(Error::input(format!("the template's `{shown}` failed ({status}); nothing was changed"))
            .hint("what it said is above; mend the template, or answer otherwise"))
    }

    fn python(&self, file: &Path) -> Result<Command> {
        let stand_in = self.scratch.join("modules");
        fs::create_dir_all(&stand_in)?;
        fs::write_atomic(&stand_in.join(format!("{HOOK_MODULE}.py")), HOOK_MODULE_STAND_IN.as_bytes())?;
        let given = self.site.environment.get("PYTHONPATH").unwrap_or_default();
        let path = std::env::split_paths(given).filter(|path| !path.as_os_str().is_empty());
        let path = std::env::join_paths(path.chain([stand_in]))
            .map_err(|error| Error::machine(format!("cannot set PYTHONPATH for the hook: {error}")))?;
        let mut command = Command::new("python3");
        command.env_clear().envs(self.site.environment.iter()).env("PYTHONPATH", path).arg(file);
        Ok(command)
    }
}
