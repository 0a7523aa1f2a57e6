"""Rules of the switch, without files and redis."""

import os
import tempfile
import unittest

from acquisition.switch_rules import evaluate, read_rules


class File:
    filepath = "/a"
    tags = {"size": b"10", "magic": b"PNG image", "sign": b"a=b#c", "bracket": b"A5", "odd": b"caf\xe9"}


class Step:
    def __init__(self):
        self.said = []

    def warning(self, message, *arguments):
        self.said.append(message % arguments)

    exception = warning

    def debug(self, *_):
        pass


class Rules(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)
        self.step = Step()
        os.environ["MFDATA_CURRENT_PLUGIN_NAME"] = "p"
        os.environ["MFDATA_CURRENT_PLUGIN_DIR"] = self.dir.name
        with open(os.path.join(self.dir.name, "mine.py"), "w") as file:
            file.write("def big(xaf):\n    return int(xaf.tags['size']) > 5\n")

    def wanted(self, text, prefix="switch_rules*"):
        path = os.path.join(self.dir.name, "rules.ini")
        with open(path, "w") as file:
            file.write(text)
        return evaluate(read_rules(path, prefix, "p", self.step.warning), File, self.step)

    def test_each_type_matches_as_it_says(self):
        for section, key, matches in [
            ("equal:magic", "PNG image", True),
            ("EQUAL:magic", "PNG", False),
            ("equal:sign", "a@@@@@@b~~~~~~c", True),
            ("equal:absent", "{NOT_FOUND}", True),
            ("notequal:magic", "PNG", True),
            ("notequal:magic", "PNG image", False),
            ("notequal:absent", "x", True),
            ("fnmatch:magic", "PNG*", True),
            ("fnmatch:magic", "png*", False),
            ("fnmatch:bracket", "A[0-9]", True),
            ("fnmatch:absent", "*", True),
            ("fnmatch:odd", "caf?", True),
            ("notfnmatch:magic", "PNG*", False),
            ("notfnmatch:absent", "x", True),
            ("regex:magic", "PN", True),
            ("regex:magic", "image", False),
            ("regex:magic", ".NG.image$", True),
            ("notregex:magic", "image", True),
            ("notregex:magic", "PN", False),
            ("alwaystrue", "whatever", True),
            ("python", "mine.big", True),
            ("python", f"{self.dir.name}:mine.big", True),
            ("python", "mine.absent", False),
            ("python", "absent.big", False),
        ]:
            with self.subTest(section=section, key=key):
                wanted = self.wanted(f"[switch_rules_p:{section}]\n{key} = a/s\n")
                self.assertEqual(wanted, {("a", "s"): False} if matches else {})

    def test_targets_are_of_the_own_plugin_or_named_and_add_up(self):
        always = "[switch_rules_%s:alwaystrue]\nx = %s\n"
        for text, expected in [
            (always % ("p", "own, b/s"), {("p", "own"): False, ("b", "s"): False}),
            (always % ("q", "own*"), {("q", "own"): True}),
            ("[switch_rules:alwaystrue]\nx = own\n", {("p", "own"): False}),
            ("[switch_rules@switch:alwaystrue]\nx = own\n", {("p", "own"): False}),
            (always % ("p", "a/s") + always % ("p", "b/s"), {("a", "s"): False, ("b", "s"): False}),
            (always % ("p", "a/s*") + always % ("q", "a/s*"), {("a", "s"): True}),
            (always % ("p", "a/s*") + always % ("q", "a/s"), {("a", "s"): False}),
            (always % ("p", "a/s,\n  b/s"), {("a", "s"): False, ("b", "s"): False}),
            (always % ("p", "{{MFDATA_CURRENT_PLUGIN_NAME}}/main"), {("p", "main"): False}),
            ("# a comment\n[other]\nx = a/s\n", {}),
        ]:
            with self.subTest(text=text):
                self.assertEqual(self.wanted(text), expected)

    def test_a_bad_rule_takes_only_its_plugin_along(self):
        good = "[switch_rules_p:alwaystrue]\nx = a/s\n"
        for section, line, said in [
            ("regex:magic", "( = b/s", "the regular expression `(`"),
            ("regx:magic", "P = b/s", "found the type `regx`"),
            ("equal", "P = b/s", "found the parameter ``"),
            ("equal:a,b", "P = b/s", "found the parameter `a,b`"),
            ("alwaystrue:a", "P = b/s", "found the parameter `a`"),
            ("alwaystrue", "P = /b/s", "found the target `/b/s`"),
            ("alwaystrue", "P = a/b/s", "found the target `a/b/s`"),
            ("alwaystrue", "P =", "found no target"),
            ("python", "a.b.c = b/s", "found `a.b.c`"),
        ]:
            with self.subTest(section=section, line=line):
                bad = f"[switch_rules_q:alwaystrue]\nx = c/s\n[switch_rules_q:{section}]\n{line}\n"
                self.assertEqual(self.wanted(good + bad), {("a", "s"): False})
                self.assertIn(said, self.step.said[-1])
                self.assertIn("the rules of the plugin q do not count", self.step.said[-1])

    def test_no_file_is_no_rules(self):
        self.assertEqual(read_rules("/nowhere", "switch_rules*", "p", self.step.warning), [])


if __name__ == "__main__":
    unittest.main()
