//! What mfdata's templates make, against real servers: made, configured, released, installed without a network, and run with
//! the command and the environment that the module would run it with.

mod brokers;
mod senders;
mod servers;
mod steps;
mod up;

use crate::steps::world::{Running, World};
use crate::templates::{create, install_without_network};

/// A plugin `p` from a template, with these values in its configuration.
fn plugin_of(template: &str, settings: &[(&str, &str)]) -> World {
    let world = World::new();
    add_plugin(&world, "p", template, settings);
    world
}

/// The same, in a world that is there.
fn add_plugin(world: &World, name: &str, template: &str, settings: &[(&str, &str)]) {
    create(&world.sandbox, "mfdata", template, name);
    let file = format!("{name}/config.ini");
    let mut config = world.sandbox.read(&file);
    for (key, value) in settings {
        let start = format!("{key}=");
        let is_there = config.lines().any(|line| line.starts_with(&start));
        assert!(is_there, "{template} has no `{key}`:\n{config}");
        let lines = config.lines().map(|line| match line.starts_with(&start) {
            true => format!("{start}{value}\n"),
            false => format!("{line}\n"),
        });
        config = lines.collect();
    }
    world.sandbox.write(&file, config);
    assert_eq!(world.sandbox.ok(["check", "-C", name]).stderr, "");
    install_without_network(&world.sandbox, name, "mfdata");
    world.inbox(name, "main");
}

/// Other values of `[custom]` for the installed plugin `p`, as administrators give them.
fn override_custom(world: &World, settings: &[(&str, &str)]) {
    let lines: String = settings.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
    std::fs::write(world.home("config/plugins/p.ini"), format!("[custom]\n{lines}")).unwrap();
}

/// A worker of the plugin `p`, as the module starts it.
fn worker(world: &World, section: &str) -> Running {
    world.run_beside(world.sandbox.mwp(["worker", "--module", "mfdata", "p", section, "1"]))
}

/// Waits until a step has processed so many files.
#[track_caller]
fn until_processed(step: &mut Running, count: usize) {
    step.until("all is processed", |log| log.matches("processing after").count() >= count);
}
