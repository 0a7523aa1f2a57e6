use super::*;

/// Layers below one directory.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Machine {
        Machine(tempfile::tempdir().unwrap())
    }

    fn home(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A layer `{name}@m` with a `bin` that depends on these.
    fn layer(&self, name: &str, dependencies: &str) {
        fs::create_dir_all(&self.home(name).join("bin")).unwrap();
        self.write(name, ".layerapi2_label", &format!("{name}@m\n"));
        self.write(name, ".layerapi2_dependencies", dependencies);
    }

    fn write(&self, name: &str, file: &str, content: &str) {
        fs::write_atomic(&self.home(name).join(file), content.as_bytes()).unwrap();
    }

    fn environment(&self) -> Environment {
        let mut environment = Environment::default();
        environment.set("LAYERAPI2_LAYERS_PATH", self.0.path());
        environment.set("PATH", "/usr/bin");
        environment
    }

    /// The names on PATH after loading, in order.
    fn loaded(&self, label: &str) -> Result<Vec<String>> {
        let layers = Layers::find(&self.environment());
        let mut loader = Loader::new(&layers, self.environment());
        loader.load(label)?;
        Ok(self.on_path(&loader.environment))
    }

    fn on_path(&self, environment: &Environment) -> Vec<String> {
        let list = environment.text("PATH").unwrap();
        let ours = list.split(':').filter_map(|dir| Path::new(dir).strip_prefix(self.0.path()).ok());
        ours.map(|dir| dir.parent().unwrap().to_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn required_layers_are_loaded_before_and_optional_ones_after() {
    let machine = Machine::new();
    machine.layer("a", "# a comment\nb@m\n-c@m\n\nd@m\n");
    machine.layer("b", "");
    machine.layer("c", "");
    machine.layer("d", "b@m\n");
    // The last one loaded comes first.
    assert_eq!(machine.loaded("a@m").unwrap(), ["c", "a", "d", "b"]);
}

#[test]
fn the_root_of_the_module_is_implied() {
    let machine = Machine::new();
    machine.layer("root", "");
    machine.layer("a", "");
    assert_eq!(machine.loaded("a@m").unwrap(), ["a", "root"]);
}

#[test]
fn a_cycle_is_cut_where_it_is_optional_and_refused_elsewhere() {
    let machine = Machine::new();
    machine.layer("a", "b@m\n");
    machine.layer("b", "c@m\n");
    machine.layer("c", "-a@m\n-b@m");
    assert_eq!(machine.loaded("a@m").unwrap(), ["a", "b", "c"]);
    machine.layer("c", "a@m\n");
    let error = machine.loaded("a@m").unwrap_err();
    assert!(error.to_string().contains("layers require each other: a@m → b@m → c@m → a@m"), "{error}");
}

#[test]
fn an_absent_required_layer_is_an_error_and_an_absent_optional_one_is_not() {
    let machine = Machine::new();
    machine.layer("a", "-nosuch@m\n");
    assert_eq!(machine.loaded("a@m").unwrap(), ["a"]);
    machine.layer("base", "");
    machine.layer("a", "bas@m\n");
    let error = machine.loaded("a@m").unwrap_err();
    assert!(error.to_string().contains("requires the layer `bas@m`, which is not installed"), "{error}");
    assert_eq!(error.problems[0].hint.as_deref(), Some("did you mean `base@m`?"));
}

#[test]
fn an_optional_layer_that_lacks_something_leaves_nothing_behind() {
    let machine = Machine::new();
    machine.layer("a", "-b@m\n");
    machine.layer("b", "c@m\nnosuch@m\n");
    machine.layer("c", "");
    assert_eq!(machine.loaded("a@m").unwrap(), ["a"]);
}

#[test]
fn a_conflict_is_unloaded_first_and_what_requires_it_too() {
    let machine = Machine::new();
    machine.layer("python2", "");
    machine.layer("app2", "python2@m\n");
    machine.layer("other", "");
    machine.layer("python3", "");
    machine.write("python3", ".layerapi2_conflicts", "python2@m\n");
    let layers = Layers::find(&machine.environment());
    let mut loader = Loader::new(&layers, machine.environment());
    for label in ["other@m", "app2@m", "python3@m"] {
        loader.load(label).unwrap();
    }
    assert_eq!(machine.on_path(&loader.environment), ["python3", "other"]);
    let markers = loader.environment.iter().filter(|(name, _)| name.to_string_lossy().ends_with("_LOADED"));
    assert_eq!(markers.count(), 2);
}

/// The golden order of everything that a layer can hold.
#[test]
fn directories_are_put_in_front_in_the_documented_order() {
    let machine = Machine::new();
    machine.layer("a", "");
    for dir in [
        "node_modules/.bin",
        "lib/node_modules/.bin",
        "local/lib/node_modules/.bin",
        "lib/python3.9/site-packages",
        "lib/python3.11/site-packages",
        "local/lib/python3.11/site-packages",
        "local/bin",
        "lib/pkgconfig",
        "local/lib/pkgconfig",
    ] {
        fs::create_dir_all(&machine.home("a").join(dir)).unwrap();
    }
    machine.write("a", ".layerapi2_extra_env", "A_PATH={PATH}\n");
    let layers = Layers::find(&machine.environment());
    let mut loader = Loader::new(&layers, machine.environment());
    loader.load("a@m").unwrap();
    let home = machine.home("a").to_string_lossy().into_owned();
    let short = |name: &str| loader.environment.text(name).unwrap().replace(&home, "~");
    let path = "~/local/bin:~/bin:~/local/lib/node_modules/.bin:~/lib/node_modules/.bin:~/node_modules/.bin:/usr/bin";
    assert_eq!(short("PATH"), path);
    assert_eq!(short("NODE_PATH"), "~/local/lib/node_modules:~/lib/node_modules:~/node_modules");
    assert_eq!(
        short("PYTHONPATH"),
        "~/local/lib/python3.11/site-packages:~/lib/python3.11/site-packages:~/local/lib:~/lib"
    );
    assert_eq!(short("LD_LIBRARY_PATH"), "~/local/lib:~/lib");
    assert_eq!(short("PKG_CONFIG_PATH"), "~/local/lib/pkgconfig:~/lib/pkgconfig");
    assert_eq!(short("A_PATH"), path);
    assert_eq!(
        loader.environment.text(&layers.get("a@m", &machine.environment()).unwrap().marker()),
        Some("1")
    );
}

#[test]
fn unloading_brings_back_what_was() {
    let machine = Machine::new();
    machine.layer("a", "");
    machine.write("a", ".layerapi2_extra_env", "FOO=1\n");
    fs::create_dir_all(&machine.home("a").join("lib")).unwrap();
    let layers = Layers::find(&machine.environment());
    let mut loader = Loader::new(&layers, machine.environment());
    loader.load("a@m").unwrap();
    loader.unload_all().unwrap();
    let [before, after] = [&machine.environment(), &loader.environment]
        .map(|environment| environment.iter().map(|(n, v)| (n.clone(), v.clone())).collect::<Vec<_>>());
    assert_eq!(before, after);
}

#[test]
fn the_host_stands_for_layers_of_a_metwork_that_is_not_there() {
    let machine = Machine::new();
    machine.layer("a", "python3@mfext\nnodejs@mfext\nroot@m\n");
    assert!(machine.loaded("a@m").is_err(), "the module m is installed: its root must be there");
    machine.layer("a", "python3@mfext\nnodejs@mfext\nroot@mfserv\n");
    assert_eq!(machine.loaded("a@m").unwrap(), ["a"]);
    machine.layer("a", "nosuch@mfext\n");
    assert!(machine.loaded("a@m").is_err());
    machine.layer("a", "python3@mfext\n");
    machine.layer("core", "");
    machine.write("core", ".layerapi2_label", "core@mfext\n");
    assert!(machine.loaded("a@m").is_err(), "a MetWork is installed, and it has no python3");
}
