//! The trees that benches work on: real ones, which are fetched once and kept in `target/bench-trees`, and synthetic ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{is_short, mwp, run};

/// Some 20,000 files and 400 MB; in short mode express alone.
const NODE_PACKAGES: [&str; 11] = [
    "express",
    "webpack",
    "webpack-cli",
    "typescript",
    "next",
    "jest",
    "eslint",
    "@babel/core",
    "@babel/preset-env",
    "@babel/preset-react",
    "@babel/preset-typescript",
];

/// What they require with it makes some 70 pins and 10,000 files; in short mode the first two.
const PYTHON_PACKAGES: [&str; 20] = [
    "flask",
    "requests",
    "django",
    "pandas",
    "boto3",
    "lxml",
    "cryptography",
    "numpy",
    "sqlalchemy",
    "celery[redis]",
    "pillow",
    "scipy",
    "httpx",
    "pydantic",
    "rich",
    "jinja2",
    "aiohttp",
    "psycopg2-binary",
    "beautifulsoup4",
    "gunicorn",
];

/// `target/bench-trees/{name}`; another one in short mode.
pub fn kept(name: &str) -> PathBuf {
    let name = if is_short() { format!("short-{name}") } else { name.to_owned() };
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench-trees").join(name)
}

/// The node_modules of express, webpack, typescript and others, as npm makes them.
pub fn node_modules() -> PathBuf {
    let dir = kept("node");
    if !dir.join("done").exists() {
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("package.json"), "{\"name\": \"bench\", \"version\": \"1.0.0\"}").unwrap();
        let packages = &NODE_PACKAGES[..if is_short() { 1 } else { NODE_PACKAGES.len() }];
        run(npm().args(packages).current_dir(&dir));
        fs::write(dir.join("done"), "").unwrap();
    }
    dir.join("node_modules")
}

/// `npm install` of what is in its package.json and of further packages.
pub fn npm() -> Command {
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--no-progress"]);
    npm
}

/// A plugin in `dir` with these node_modules, which are its own as if somebody had put them there.
pub fn node_plugin(dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    run(Command::new("cp").arg("-a").arg(node_modules()).arg(dir));
    plugin_files(dir);
}

/// A plugin whose node_modules we made of the same lock; kept, and brought up to date.
pub fn built_node_plugin() -> PathBuf {
    let dir = kept("node-plugin");
    node_modules();
    fs::create_dir_all(&dir).unwrap();
    for file in ["package.json", "package-lock.json"] {
        copy_if_other(&kept("node").join(file), &dir.join(file));
    }
    if !dir.join("config.ini").exists() {
        plugin_files(&dir);
    }
    run(&mut mwp(&kept("cache"), &dir, &["build", "--quiet"]));
    dir
}

/// A Flask plugin that requires some 70 pins, with its wheels and its virtualenv; kept, and brought up to date.
pub fn built_python_plugin() -> PathBuf {
    let dir = kept("python").join("hello");
    if !dir.exists() {
        python_plugin(dir.parent().unwrap(), &kept("cache"));
    }
    run(&mut with_uv(mwp(&kept("cache"), &dir, &["build", "--quiet"])));
    dir
}

/// A new Flask plugin with these requirements, in `parent`, called `hello`.
pub fn python_plugin(parent: &Path, cache: &Path) -> PathBuf {
    fs::create_dir_all(parent).unwrap();
    new_plugin(parent, "default", "hello", cache);
    let packages = &PYTHON_PACKAGES[..if is_short() { 2 } else { PYTHON_PACKAGES.len() }];
    let wanted = parent.join("hello/python3_virtualenv_sources/requirements-to-freeze.txt");
    fs::write(wanted, packages.join("\n") + "\n").unwrap();
    parent.join("hello")
}

/// A plugin of that template, and none of the advice that a person gets.
pub fn new_plugin(parent: &Path, template: &str, name: &str, cache: &Path) -> PathBuf {
    let create = ["bootstrap", "create", "--no-input", "--template", template, name];
    run(mwp(cache, parent, &create).stderr(Stdio::null()));
    parent.join(name)
}

/// The pins of a plugin's lock, as `pip` and `uv` read them, in a file of their own: how many there are.
pub fn write_pins(plugin: &Path, file: &Path) -> usize {
    let lock = fs::read_to_string(plugin.join("python3_virtualenv_sources/requirements3.txt")).unwrap();
    let pins: Vec<&str> = lock.lines().filter(|line| !line.starts_with('#')).collect();
    fs::write(file, pins.join("\n") + "\n").unwrap();
    pins.len()
}

/// A directory for PATH that holds uv and nothing else; from PyPI, once.
pub fn uv() -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench-trees/uv");
    if !dir.join("bin/uv").exists() {
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("bin")).unwrap();
        let script = "python3 -m venv venv && venv/bin/pip install -q uv && ln -s ../venv/bin/uv bin/uv";
        run(Command::new("sh").args(["-ec", script]).current_dir(&dir));
    }
    dir.join("bin")
}

/// The pnpm that benches install and that their package.json asks for: another one would fetch it.
pub const PNPM: &str = "pnpm@10.34.9";

/// A directory for PATH that holds pnpm and nothing else; from npm, once.
pub fn pnpm() -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench-trees").join(PNPM);
    let bin = dir.join("node_modules/.bin");
    if !bin.join("pnpm").exists() {
        fs::create_dir_all(&dir).unwrap();
        run(npm().args(["--silent", "--prefix", ".", PNPM]).current_dir(&dir));
    }
    bin
}

/// The command finds uv.
pub fn with_uv(command: Command) -> Command {
    with_programs(uv(), command)
}

/// The command finds the programs of `dir` first.
pub fn with_programs(dir: PathBuf, mut command: Command) -> Command {
    let old = std::env::var_os("PATH").unwrap();
    let dirs = std::iter::once(dir).chain(std::env::split_paths(&old));
    command.env("PATH", std::env::join_paths(dirs).unwrap());
    command
}

/// What makes a directory a plugin.
pub fn plugin_files(dir: &Path) {
    let config = "[general]\n_version=1.0.0\n_release=1\n_summary=bench\n_license=BSD\n_url=u\n_maintainer=m\n_vendor=v\n";
    for (file, content) in [
        (".layerapi2_label", "plugin_bench@mfserv\n"),
        (".layerapi2_dependencies", "nodejs@mfext\n"),
        (".plugin_format_version", "1.0.0\n"),
        ("config.ini", config),
    ] {
        fs::write(dir.join(file), content).unwrap();
    }
}

/// Files that are as they should be keep their times.
fn copy_if_other(from: &Path, to: &Path) {
    let content = fs::read(from).unwrap();
    if fs::read(to).ok().as_ref() != Some(&content) {
        fs::write(to, content).unwrap();
    }
}

/// Reproducible pseudo-random numbers.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 33) as usize % limit
    }
}

/// Fills a plugin's directory as a node plugin with some libraries looks: mostly source text in a deep tree, some
/// data, some bytes that do not compress.
pub fn fill_plugin(dir: &Path, files: usize, bytes: usize) {
    let mut random = Random::new(42);
    let words: Vec<String> = (0..3000)
        .map(|_| (0..3 + random.below(8)).map(|_| char::from(b'a' + random.below(26) as u8)).collect())
        .collect();
    let average = bytes / files;
    for number in 0..files {
        let package = number / 60;
        let folder = ["lib", "dist", "src/util", "test"][(number / 15) % 4];
        let parent = dir.join(format!("node_modules/package-{package:03}/{folder}"));
        fs::create_dir_all(&parent).unwrap();
        // Skewed as real trees are: most files are small, a few make up much of the size.
        let size = match number % 100 {
            0 => average * 18,
            1..=10 => average * 3,
            _ => average * 3 / 5,
        };
        let size = size * 3 / 4 + random.below(size / 2);
        let (extension, content) = match number % 8 {
            0 => ("json", json(&mut random, &words, size)),
            1 => ("node", binary(&mut random, size)),
            _ => ("js", text(&mut random, &words, size)),
        };
        fs::write(parent.join(format!("file-{number:05}.{extension}")), content).unwrap();
    }
    plugin_files(dir);
}

fn text(random: &mut Random, words: &[String], size: usize) -> Vec<u8> {
    let mut content = Vec::with_capacity(size + 64);
    while content.len() < size {
        let depth = random.below(5);
        content.extend(std::iter::repeat_n(b' ', depth * 2));
        for _ in 0..2 + random.below(7) {
            // A small part of the vocabulary does most of the work.
            let spread = if random.below(3) == 0 { words.len() } else { 150 };
            content.extend(words[random.below(spread)].as_bytes());
            content.push(b" .(),;"[random.below(6)]);
        }
        content.push(b'\n');
    }
    content
}

fn json(random: &mut Random, words: &[String], size: usize) -> Vec<u8> {
    let mut content = b"[\n".to_vec();
    while content.len() < size {
        let (key, number) = (&words[random.below(200)], random.below(1_000_000));
        content.extend(
            format!("  {{\"{key}\": {number}, \"name\": \"{}\"}},\n", words[random.below(3000)]).bytes(),
        );
    }
    content.extend(b"  {}\n]\n");
    content
}

fn binary(random: &mut Random, size: usize) -> Vec<u8> {
    let mut content = Vec::with_capacity(size + 8);
    while content.len() < size {
        if random.below(4) == 0 {
            content.extend(random.next().to_le_bytes());
        } else {
            content.extend([0, 0, 0x48, 0x89, random.below(16) as u8, 0xe8, random.below(256) as u8, 0]);
        }
    }
    content
}
