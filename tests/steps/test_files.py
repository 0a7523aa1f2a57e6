"""Files with tags, steps in unit tests of plugins, and what is around: without redis."""

import bz2
import gzip
import io
import os
import tempfile
import unittest

HOME = tempfile.TemporaryDirectory()
os.environ.pop("MFMODULE_RUNTIME_HOME", None)
os.environ["MFDATA_DATA_IN_DIR"] = HOME.name

import _mwp_redis
import mflog
import mfutil
from acquisition import AcquisitionBatchStep, AcquisitionStep, decorators
from acquisition.utils import dest_dir_to_absolute, get_plugin_step_directory_path
from xattrfile import XattrFile


def new_file(content=b"content"):
    path = os.path.join(HOME.name, mfutil.get_unique_hexa_identifier())
    with open(path, "wb") as file:
        file.write(content)
    return path


def content_of(xaf):
    with open(xaf.filepath, "rb") as file:
        return file.read()


class Files(unittest.TestCase):
    def test_tags_take_text_and_bytes_and_tell_bytes(self):
        xaf = XattrFile(new_file())
        for change in [
            lambda: xaf.tags.__setitem__("a", "b"),
            lambda: xaf.tags.update({"a": "b"}),
            lambda: xaf.tags.setdefault("other", "b"),
            lambda: xaf.tags.pop("other"),
            lambda: xaf.tags.__delitem__(b"a"),
        ]:
            xaf.tags.dirty = False
            change()
            self.assertTrue(xaf.tags.dirty)
        xaf.tags["a"] = "\u00fc"
        self.assertEqual((xaf.tags[b"a"], "a" in xaf.tags, xaf.tags.get("x", 1)), (b"\xc3\xbc", True, 1))
        for key, value in [(1, "a"), ("a", 1), ("a", None)]:
            with self.assertRaises(TypeError):
                xaf.tags[key] = value

    def test_tags_travel_with_each_way_to_move_and_copy(self):
        for way, stays in [
            (lambda xaf, new: xaf.rename(new), False),
            (lambda xaf, new: xaf.move_or_copy(new), False),
            (lambda xaf, new: xaf.move_or_copy(new, chmod_mode_int=0o600), False),
            (lambda xaf, new: xaf.copy(new), True),
            (lambda xaf, new: xaf.hard_link(new), True),
            (lambda xaf, new: xaf.hard_link(new) and xaf.hard_link(new), True),
            (lambda xaf, new: xaf.hardlink_or_copy(new), True),
            (lambda xaf, new: xaf.copy_or_nothing(new), True),
        ]:
            old, new = new_file(), os.path.join(HOME.name, mfutil.get_unique_hexa_identifier())
            os.utime(old, (5, 5))
            xaf = XattrFile(old)
            xaf.tags["a"] = "b"
            way(xaf, new)
            self.assertEqual((XattrFile(new).tags["a"], os.stat(new).st_mtime), (b"b", 5))
            self.assertEqual(xaf.filepath, old if stays else new)
            self.assertEqual(os.path.exists(old), stays)
            self.assertFalse(os.path.exists(new + ".t"))
            with open(old, "wb"):
                pass
            self.assertEqual("a" in XattrFile(old).tags, stays)

    def test_what_fails_leaves_file_and_tags(self):
        xaf = XattrFile(new_file())
        xaf.tags["a"] = "b"
        with self.assertRaises(OSError):
            xaf.rename("/nowhere/x")
        self.assertEqual(xaf.move_or_copy("/nowhere/x"), (False, False))
        self.assertEqual(xaf.hardlink_or_copy("/nowhere/x"), (False, False))
        path = xaf.filepath
        del xaf
        self.assertEqual(XattrFile(path).tags["a"], b"b")
        with self.assertRaises(FileNotFoundError):
            XattrFile(HOME.name)

    def test_a_dropped_object_commits_its_tags_and_those_of_a_lost_file_go(self):
        path = new_file()
        xaf = XattrFile(path)
        xaf.tags["a"] = "b"
        del xaf
        self.assertEqual(XattrFile(path).tags["a"], b"b")
        xaf = XattrFile(path)
        xaf.tags["a"] = "c"
        os.unlink(path)
        del xaf
        with open(path, "wb"):
            pass
        self.assertEqual(dict(XattrFile(path).tags), {})

    def test_holes_stay_holes(self):
        path = new_file(b"")
        with open(path, "r+b") as file:
            file.write(b"start")
            file.seek(1 << 30)
            file.write(b"end")
            file.truncate((1 << 30) + (1 << 20))
        copy = XattrFile(path).copy(path + "-copy")
        self.assertEqual(os.stat(copy.filepath).st_size, (1 << 30) + (1 << 20))
        self.assertLess(os.stat(copy.filepath).st_blocks * 512, 1 << 24)
        with open(copy.filepath, "rb") as file:
            self.assertEqual(file.read(6), b"start\0")
            file.seek(1 << 30)
            self.assertEqual(file.read(4), b"end\0")

    def test_only_names_and_absolute_paths_are_destinations(self):
        inbox = get_plugin_step_directory_path("a", "b")
        self.assertEqual(inbox, os.path.join(HOME.name, "step.a.b"))
        self.assertEqual(dest_dir_to_absolute("a/b"), (inbox, False))
        self.assertEqual(dest_dir_to_absolute("/a"), ("/a", True))
        for bad in [None, "", "null", "FIXME", "a", "a/b/c", "a/", "../b", "a/b*"]:
            with self.assertRaises(Exception):
                dest_dir_to_absolute(bad)
        with self.assertRaises(Exception):
            dest_dir_to_absolute("/a", allow_absolute=False)


class Steps(unittest.TestCase):
    class Step(AcquisitionStep):
        unit_tests = True
        answer = True
        seen = b""

        def process(self, xaf):
            return self.answer

        @decorators.ungzip
        def strict(self, xaf):
            self.seen = content_of(xaf), xaf.tags.get("a")
            return True

        @decorators.try_unbzip2
        @decorators.remove_first_line
        def chained(self, xaf):
            self.seen = content_of(xaf)
            return False

        @decorators.ungzip
        def batch(self, xafs):
            self.seen = [content_of(xaf) for xaf in xafs]
            return [True] * len(xafs)

    def setUp(self):
        os.environ.pop("MFDATA_CURRENT_PLUGIN_NAME", None)
        self.step = self.Step()
        self.step._init()

    def test_the_inner_methods_serve_unit_tests_of_plugins(self):
        self.assertEqual((self.step.plugin_name, self.step.step_name), ("unittests", "main"))
        for answer, kept in [(True, False), (False, True)]:
            self.step.answer = answer
            xaf = XattrFile(new_file())
            name = xaf.basename()
            self.assertIs(self.step._process(xaf), answer)
            self.assertEqual(os.path.exists(xaf.filepath), kept)
            if kept:
                self.assertEqual(self.step.get_original_basename(XattrFile(xaf.filepath)), "unknown")
                with open(xaf.filepath + ".tags", "rb") as tags:
                    self.assertIn(name.encode(), tags.read())
        xaf = XattrFile(new_file())
        self.assertTrue(self.step._before(xaf))
        self.step.set_tag(xaf, "a", "b")
        self.assertEqual(self.step.get_tag(xaf, "a"), b"b")
        self.assertEqual(self.step.get_tag(xaf, "a", counter_str_value="0"), b"b")
        self.assertEqual(self.step.get_tag(xaf, "step_counter", force_plugin_name="core"), b"0")
        self.step._after(xaf, True)
        self.step._ping()
        self.step._destroy()

    def test_configuration_comes_from_the_environment(self):
        os.environ["MFDATA_CURRENT_PLUGIN_STEP_MAIN_FOO"] = "5"
        os.environ["MFDATA_CURRENT_PLUGIN_CUSTOM_FOO_BAR"] = "x"
        self.assertEqual(self.step.get_config_value("foo", transform=int), 5)
        self.assertEqual(self.step.get_custom_config_value("foo-bar"), "x")
        self.assertEqual(self.step.get_custom_config_value("absent", transform=int, default="7"), 7)
        with self.assertRaisesRegex(Exception, "custom.*foo_bar"):
            self.step.get_custom_config_value("foo_bar", transform=int)
        with self.assertRaises(Exception):
            self.step.get_config_value("absent")

    def test_decorators_give_another_file_and_remove_it(self):
        xaf = XattrFile(new_file(gzip.compress(b"text")))
        xaf.tags["a"] = "b"
        self.assertTrue(self.step.strict(xaf))
        self.assertEqual(self.step.seen, (b"text", b"b"))
        self.step.seen = None
        self.assertFalse(self.step.strict(XattrFile(new_file(b"plain"))))
        self.assertIsNone(self.step.seen)
        for content in [b"1\n2\n3", bz2.compress(b"1\n2\n3")]:
            xaf = XattrFile(new_file(content))
            self.assertFalse(self.step.chained(xaf))
            self.assertEqual(self.step.seen, b"2\n3")
            self.assertEqual(content_of(xaf), content)
        xafs = [XattrFile(new_file(content)) for content in [gzip.compress(b"1"), b"plain", gzip.compress(b"3")]]
        self.assertEqual(self.step.batch(xafs), [True, False, True])
        self.assertEqual(self.step.seen, [b"1", b"3"])
        tmp = os.path.join(HOME.name, "tmp", "unittests.main")
        self.assertEqual([name for name in os.listdir(tmp) if not name.startswith(".")], [])

    def test_a_batch_of_unit_tests_knows_its_answers(self):
        class Batch(AcquisitionBatchStep):
            unit_tests = True

        batch = Batch()
        for answer, expected in [(True, [True] * 2), (None, [False] * 2), ([1, 0], [True, False]), ([1], [False] * 2)]:
            self.assertEqual(batch._statuses(answer, 2), expected)


class Around(unittest.TestCase):
    def test_replies_of_redis_are_read_and_others_refused(self):
        def read(content):
            return _mwp_redis.read_reply(io.BytesIO(content))

        self.assertEqual(read(b"*3\r\n$1\r\na\r\n:5\r\n*-1\r\n"), [b"a", 5, None])
        self.assertIsInstance(read(b"-ERR no\r\n"), _mwp_redis.RedisError)
        deep = b"*1\r\n" * 100
        for bad in [b"", b"+OK", b"$5\r\nab\r\n", b"$x\r\n", b"?\r\n", b"$99999999999\r\n", b"*-5\r\n", deep, b"+" * 99999]:
            with self.assertRaises(_mwp_redis.Away):
                read(bad)
        self.assertEqual(_mwp_redis.pack(["A", b"\xff", 5]), b"*3\r\n$1\r\nA\r\n$1\r\n\xff\r\n$1\r\n5\r\n")

    def test_a_line_of_the_log_has_its_form(self):
        for message, arguments, fields, expected in [
            ("100%", (), {}, "100%"),
            ("%s is %i", ("a", 1), {"k": "v"}, "a is 1 {k=v}"),
            ("%i", ("no number",), {}, "%i 'no number'"),
        ]:
            line = mflog._line("mfdata.p.s", 20, mflog._text(message, arguments), fields)
            self.assertRegex(line, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z     \[INFO\] \(mfdata\.p\.s#\d+\) ")
            self.assertTrue(line.endswith(f") {expected}\n"), line)

    def test_expressions_compute_and_do_not_act(self):
        for text, value in [("a + 1 == 3 and not b", True), ("s.startswith('x')", True), ("1 if a > 5 else 2", 2)]:
            self.assertEqual(mfutil.eval(text, {"a": 2, "b": False, "s": "xy"}), value)
        for text in ["__import__('os')", "a.__class__", "(lambda: 1)()", "[x for x in s]", "'a' * 5", "9 ** 9", "open('x')"]:
            with self.assertRaises((ValueError, SyntaxError)):
                mfutil.eval(text, {"a": 2, "s": "xy"})

    def test_commands_of_bash_tell_how_they_ended(self):
        done = mfutil.BashWrapper("cat; echo out; echo err >&2; exit 3")
        self.assertEqual((bool(done), done.code, done.stdout, done.stderr), (False, 3, "out", "err"))
        with self.assertRaises(mfutil.BashWrapperException):
            mfutil.BashWrapperOrRaise("false")
        self.assertFalse(mfutil.net.ping_tcp_port("127.0.0.1", 1))
        self.assertFalse(mfutil.mkdir_p("/dev/null/x", nowarning=True))


if __name__ == "__main__":
    unittest.main()
