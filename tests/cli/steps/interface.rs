//! What plugins see of the stand-in: modules, commands, arguments; and where MetWork's own is, nothing.

use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;

use super::world::World;
use crate::support::{Done, Sandbox};

#[test]
fn the_modules_pass_their_unit_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for suite in ["test_rules", "test_files"] {
        let mut python = Command::new("python3");
        python.args(["-m", "unittest", suite]).current_dir(root.join("tests/steps"));
        python.env("PYTHONPATH", root.join("templates/shims/python")).env("PYTHONDONTWRITEBYTECODE", "1");
        let done = Done::of(&mut python).succeeded();
        assert!(done.stderr.contains("OK") && !done.stderr.contains("Ran 0 tests"), "{done:?}");
    }
}

const IMPORTS: &str = "
from acquisition import (AcquisitionStep, AcquisitionBatchStep, AcquisitionTransformStep, AcquisitionForkStep,
    AcquisitionMoveStep, AcquisitionCopyStep, AcquisitionArchiveStep, AcquisitionReinjectStep, AcquisitionListener,
    AcquisitionStatsDClient)
from acquisition.base import AcquisitionBase
from acquisition.switch_step import AcquisitionSwitchStep
from acquisition.delete_step import AcquisitionDeleteStep
from acquisition.uncompress_step import AcquisitionUncompressStep
from acquisition.ungzip_step import AcquisitionUngzipStep
from acquisition.unbzip2_step import AcquisitionUnbzip2Step
import acquisition.step, acquisition.batch_step, acquisition.transform_step, acquisition.fork_step
import acquisition.move_step, acquisition.copy_step, acquisition.archive_step, acquisition.reinject_step
import acquisition.listener, acquisition.stats
from acquisition.utils import MFMODULE_RUNTIME_HOME, MFDATA_DATA_IN_DIR, TMP_DIR, TRASH_DIR
from acquisition.decorators import ungzip, unbzip2, try_ungzip, try_unbzip2, remove_first_line
from xattrfile import XattrFile
from mflog import get_logger, getLogger
import mfutil, mfutil.net
bases = [[kind.__name__ for kind in child.__mro__[1:-1]] for child in (AcquisitionSwitchStep, AcquisitionUngzipStep,
    AcquisitionArchiveStep, AcquisitionForkStep, AcquisitionListener)]
print([' '.join(names).replace('Acquisition', '') for names in bases])
print(MFDATA_DATA_IN_DIR == MFMODULE_RUNTIME_HOME + '/var/in', TMP_DIR == MFDATA_DATA_IN_DIR + '/tmp')
";

#[test]
fn all_names_are_where_plugins_import_them_from() {
    let world = World::new();
    world.plugin("p", &[]);
    let done = Done::of(&mut world.command(&["python3", "-c", IMPORTS])).succeeded();
    assert_eq!(
        done.stdout,
        "['CopyStep Step Base', 'UncompressStep TransformStep Step Base', 'MoveStep Step Base', \
         'TransformStep Step Base', 'Base']\nTrue True\n"
    );
}

#[test]
fn the_modules_come_last_and_only_to_mfdata_and_only_where_there_are_none() {
    let world = World::new();
    world.plugin("p", &[]);
    let path = || Done::of(&mut world.command(&["sh", "-c", "echo $PYTHONPATH"])).succeeded().stdout;
    let ours = |path: &str| path.trim_end().rsplit(':').next().unwrap().ends_with("/python");
    let found = path();
    assert!(ours(&found) && found.starts_with(world.home("var/plugins/p").to_str().unwrap()), "{found}");
    // As often as one enters.
    let mut twice = world.command(&[env!("CARGO_BIN_EXE_mwp"), "exec", "p", "sh", "-c", "echo $PYTHONPATH"]);
    assert_eq!(Done::of(&mut twice).succeeded().stdout, found);

    fs::create_dir(world.home("var/plugins/p/acquisition")).unwrap();
    fs::write(world.home("var/plugins/p/acquisition/__init__.py"), "").unwrap();
    assert!(!ours(&path()), "{}", path());

    let sandbox = Sandbox::new();
    sandbox.plugin("web");
    let done = sandbox.ok(["exec", "./web", "sh", "-c", "echo $PYTHONPATH"]);
    assert!(!ours(&done.stdout), "{done:?}");
}

#[test]
fn arguments_are_taken_as_argparse_does() {
    let world = World::new();
    world.step(
        "AcquisitionStep",
        "    plugin_name = 'other'\n    step_name = 'other'\n    def add_extra_arguments(self, parser):\n        \
         parser.add_argument('--my-option', default='none')\n    def init(self):\n        \
         self.info('%s/%s %s %s', self.plugin_name, self.step_name, self.args.my_option, self.failure_policy)\n    \
         def process(self, xaf):\n        self.info('policy %s', self.failure_policy)\n        return True",
    );
    let path = world.sandbox.write("a.txt", "");
    let path = path.to_str().unwrap();
    for (words, said) in [
        (&["--unknown=5", "--my=a"][..], ") p/main a None\n"),
        (&["--step-name=second", "--failure-policy=delete"], ") p/second none None\n"),
    ] {
        let words = [&["./main.py"], words, &[path]].concat();
        let done = Done::of(&mut world.command(&words)).succeeded();
        assert!(done.stdout.contains(said), "{done:?}");
    }
    // The next word is the queue then, as everywhere with argparse.
    let done = Done::of(&mut world.command(&["./main.py", "--unknown", "/nowhere", path])).exited(2);
    assert!(done.stderr.contains("/nowhere is no file"), "{done:?}");
    let mut debug = world.command(&["./main.py", path]);
    debug.env("MFDATA_CURRENT_PLUGIN_STEP_MAIN_DEBUG", "1");
    assert!(Done::of(&mut debug).succeeded().stdout.contains("policy keep"));
}

#[test]
fn a_listener_listens_and_delivers_with_tags() {
    let world = World::new();
    world.plugin(
        "p",
        &[(
            "listener.py",
            "#!/usr/bin/env python3\nfrom acquisition import AcquisitionListener\nfrom xattrfile import XattrFile\n\
             class Mine(AcquisitionListener):\n    def listen(self):\n        path = self.get_tmp_filepath()\n        \
             open(path, 'w').write('message')\n        xaf = XattrFile(path)\n        self._set_before_tags(xaf)\n        \
             self.set_tag(xaf, 'topic', 'weather')\n        \
             print(xaf.move_or_copy('/INBOX/a'))\n    \
             def destroy(self):\n        print('destroyed')\nMine().run()\n",
        )],
    );
    let inbox = world.inbox("p", "main");
    let script = world.home("var/plugins/p/listener.py");
    let text = fs::read_to_string(&script).unwrap().replace("/INBOX", inbox.to_str().unwrap());
    fs::write(&script, text).unwrap();
    let done = Done::of(&mut world.command(&["./listener.py"])).succeeded();
    assert!(done.stdout.ends_with("(True, True)\ndestroyed\n"), "{done:?}");
    let tags = world.tags_of_only("step.p.main");
    assert!(tags.contains("0.p.main.topic = weather\n") && !tags.contains("original_basename"), "{tags}");
}

#[test]
fn metrics_go_to_statsd_where_there_is_one() {
    let world = World::new();
    world.step("AcquisitionStep", "    def process(self, xaf):\n        return False");
    let path = world.sandbox.write("a.txt", "12345");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut step = world.command(&["./main.py", path.to_str().unwrap()]);
    step.env("MFDATA_TELEGRAF_STATSD_PORT", socket.local_addr().unwrap().port().to_string());
    step.env("MFDATA_ADMIN_HOSTNAME_IP", "127.0.0.1").env("MFHOSTNAME", "host");
    Done::of(&mut step).succeeded();
    socket.set_nonblocking(true).unwrap();
    let mut lines = Vec::new();
    let mut buffer = [0; 1000];
    while let Ok(length) = socket.recv(&mut buffer) {
        lines.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
    }
    let tags = "module=mfdata,host=host,plugin=p,step=main";
    assert!(lines[0].starts_with(&format!("processing_file_timer,{tags}:")), "{lines:?}");
    for metric in [
        "number_of_processed_files,T:1|c",
        "bytes_of_processed_files,T:5|c",
        "number_of_processing_errors,T:1|c",
    ] {
        assert!(lines.contains(&metric.replace('T', tags)), "no {metric} in {lines:?}");
    }
}

#[test]
fn inject_file_brings_a_file_with_its_tags() {
    let world = World::new();
    world.plugin("p", &[]);
    let inbox = world.inbox("p", "main");
    let path = world.sandbox.write("a.txt", "content");
    let path = path.to_str().unwrap();
    let tag = |words: &[&str]| Done::of(&mut world.command(words)).succeeded().stdout;
    tag(&["set_tag", path, "colour", "red"]);
    Done::of(&mut world.command(&["inject_file", "--plugin=p", path])).succeeded();
    assert_eq!(tag(&["get_tag", inbox.join("a.txt").to_str().unwrap(), "colour"]), "red\n");
    assert_eq!(tag(&["get_tag", path, "absent"]), "");
    let done = Done::of(&mut world.command(&["inject_file", "--plugin=gone", path])).exited(1);
    assert!(done.stderr.contains("error: there is no ") && done.stderr.contains("hint: "), "{done:?}");
    Done::of(&mut world.command(&["inject_file", "--incoming", "--random-basename", "--move", path]))
        .succeeded();
    assert_eq!(world.contents("incoming"), ["content"]);
    assert!(!Path::new(path).exists());
}
