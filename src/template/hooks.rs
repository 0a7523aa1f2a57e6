//! A template's own scripts, run in the new plugin's directory: `hooks/pre_gen_project.{py,sh}` before its files
//! are there, `hooks/post_gen_project.{py,sh}` after. They are templates themselves. One that fails ends it all.

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
    Before,
    After,
}

/// What running hooks needs.
pub(super) struct Hooks<'a> {
    pub(super) scripts: &'a [Found],
    pub(super) renderer: &'a Renderer,
    pub(super) variables: &'a JinjaValue,
    pub(super) site: &'a Site,
    /// A directory of our own, for the rendered scripts.
    pub(super) scratch: &'a Path,
}

impl Hooks<'_> {
    /// Whether a hook leaves the tidying of marker files to MetWork's module.
    pub(super) fn use_markers(&self) -> bool {
        let needle = HOOK_MODULE.as_bytes();
        self.scripts.iter().any(|script| script.content.windows(needle.len()).any(|window| window == needle))
    }

    /// Runs the hook of this moment in `directory`, if there is one.
    pub(super) fn run(&self, moment: Moment, directory: &Path) -> Result<()> {
        let stem = match moment {
            Moment::Before => "pre_gen_project",
            Moment::After => "post_gen_project",
        };
        for extension in ["py", "sh"] {
            let name = format!("{stem}.{extension}");
            if let Some(script) = self.scripts.iter().find(|script| script.path == name) {
                self.run_script(script, extension, directory)?;
            }
        }
        Ok(())
    }

    fn run_script(&self, script: &Found, extension: &str, directory: &Path) -> Result<()> {
        let shown = format!("hooks/{}", script.path);
        let content = std::str::from_utf8(&script.content)
            .map_err(|_| Error::input(format!("the template's `{shown}` is not UTF-8 text")))?;
        let content = self.renderer.render(&shown, content, self.variables)?;
        fs::create_dir_all(self.scratch)?;
        let file = self.scratch.join(&script.path);
        fs::write_atomic(&file, content.as_bytes())?;
        fs::set_mode(&file, 0o755)?;
        let mut command = if extension == "py" {
            self.python(&file)?
        } else if content.starts_with("#!") {
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
        Err(Error::input(format!("the template's `{shown}` failed ({status}); nothing was created")))
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
