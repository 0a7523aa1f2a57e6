"""Rules of a switch: which files go to which steps.

A section `[switch_rules…:TYPE:TAG]` has a pattern and targets in each line. Keys are patterns and are read as they are; in
values and section names `{{NAME}}` is a variable of the environment. Sections of one name add up. Unlike under the
original, a bad rule takes nothing with it but the rules of its own plugin, each target is completed by itself, and of a
copy and a hard link that are asked for the copy is made.
"""

import fnmatch
import importlib.util
import os
import re
import sys
import time

from .utils import MFMODULE_RUNTIME_HOME, is_name

NOT_FOUND = "{NOT_FOUND}"
SLOW = 1.0

_VARIABLE = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")

#: What a rule asks of the value of its tag.
TESTS = {
    "equal": lambda value, pattern: value == pattern,
    "notequal": lambda value, pattern: value != pattern,
    "fnmatch": fnmatch.fnmatchcase,
    "notfnmatch": lambda value, pattern: not fnmatch.fnmatchcase(value, pattern),
    "regex": lambda value, pattern: re.match(pattern, value) is not None,
    "notregex": lambda value, pattern: re.match(pattern, value) is None,
}


class BadRule(Exception):
    pass


class Rule:
    """One pattern and its targets: (plugin, step) → whether a hard link will do."""

    def __init__(self, owner, kind, tag, pattern, targets):
        self.owner, self.kind, self.tag, self.pattern, self.targets = owner, kind, tag, pattern, targets
        if kind in ("regex", "notregex"):
            try:
                re.compile(pattern)
            except re.error as error:
                raise BadRule(f"the regular expression `{pattern}`: {error}") from error
        self._function = None

    def __str__(self):
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.kind}{tag} {self.pattern}"

    def matches(self, xaf, warn):
        if self.kind == "alwaystrue":
            return True
        if self.kind == "python":
            return self._calls(xaf, warn)
        value = xaf.tags.get(self.tag)
        text = NOT_FOUND if value is None else value.decode("utf-8", "surrogateescape")
        return TESTS[self.kind](text, self.pattern)

    def _calls(self, xaf, warn):
        if self._function is None:
            self._function = load_function(self.pattern, self.owner)
        begun = time.monotonic()
        answer = bool(self._function(xaf))
        if time.monotonic() - begun > SLOW:
            warn("the rule %s took %.1f seconds", self, time.monotonic() - begun)
        return answer


def load_function(name, owner):
    """`module.function` of the plugin, or `/directory:module.function`."""
    directory, separator, dotted = name.rpartition(":")
    if not separator:
        own = owner == os.environ.get("MFDATA_CURRENT_PLUGIN_NAME") and os.environ.get("MFDATA_CURRENT_PLUGIN_DIR")
        directory = own or os.path.join(MFMODULE_RUNTIME_HOME, "var", "plugins", owner)
    module_name, _, function_name = dotted.partition(".")
    path = os.path.join(directory, f"{module_name}.py")
    # Modules of two plugins may have one name.
    spec = importlib.util.spec_from_file_location(f"_rules_of_{owner}_{module_name}", path)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, directory)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(directory)
    return getattr(module, function_name)


def read_rules(path, prefix, own_plugin, warn):
    """The rules of a file; none where there is none. Bad ones are told to `warn`."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().split("\n")
    except FileNotFoundError:
        return []
    rules, bad = [], set()
    for section, number, key, value in _entries(lines):
        head, _, rest = section.partition(":")
        if not fnmatch.fnmatchcase(head, prefix):
            continue
        owner = _owner(head, own_plugin)
        try:
            rules.append(_rule(owner, rest, key, value))
        except BadRule as error:
            bad.add(owner)
            warn("%s:%i: [%s]: %s: the rules of the plugin %s do not count", path, number, section, error, owner)
    return [rule for rule in rules if rule.owner not in bad]


def _owner(head, own_plugin):
    name = head.partition("@")[0]
    name = name[len("switch_rules_") :] if name.startswith("switch_rules_") else ""
    return name or own_plugin


def _filled(text):
    return _VARIABLE.sub(lambda found: os.environ.get(found.group(1), ""), text)


def _entries(lines):
    """(section, line, key, value) of each line with a value."""
    section, entry = None, None
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if entry is not None and line[:1] in " \t":
            entry[3] += "," + text
            continue
        if entry is not None:
            yield (*entry[:3], _filled(entry[3]))
            entry = None
        if text.startswith("[") and text.endswith("]"):
            section = _filled(text[1:-1])
        elif section is not None:
            key, separator, value = text.partition("=")
            entry = [section, number, key.strip(), value.strip()] if separator else None
    if entry is not None:
        yield (*entry[:3], _filled(entry[3]))


def _rule(owner, kind_and_tag, key, value):
    kind, _, tag = kind_and_tag.partition(":")
    kind = kind.strip().lower()
    tag = tag.strip()
    if kind not in (*TESTS, "alwaystrue", "python"):
        allowed = ", ".join([*TESTS, "alwaystrue", "python"])
        raise BadRule(f"found the type `{kind}`; {allowed} are allowed")
    if (kind in TESTS) != bool(tag) or "," in tag:
        raise BadRule(f"found the parameter `{tag}`; {'one tag is' if kind in TESTS else 'none is'} allowed with {kind}")
    pattern = key.replace("@@@@@@", "=").replace("~~~~~~", "#")
    if kind == "python" and pattern.rpartition(":")[2].count(".") != 1:
        raise BadRule(f"found `{pattern}`; module.function is allowed")
    return Rule(owner, kind, tag, pattern, _targets(owner, value))


def _targets(owner, value):
    targets = {}
    for text in filter(None, (part.strip() for part in value.split(","))):
        allows_link = text.endswith("*")
        name = text[:-1].strip() if allows_link else text
        plugin, separator, step = name.partition("/")
        target = (plugin, step) if separator else (owner, plugin)
        if not all(map(is_name, target)):
            raise BadRule(f"found the target `{text}`; STEP and PLUGIN/STEP are allowed, with a * at the end or not")
        targets[target] = targets.get(target, True) and allows_link
    if not targets:
        raise BadRule("found no target; at least one is required")
    return targets


def evaluate(rules, xaf, step):
    """All that the rules want for a file: (plugin, step) → whether a hard link will do."""
    wanted = {}
    for rule in rules:
        try:
            matches = rule.matches(xaf, step.warning)
        except Exception:
            step.exception("the rule %s of %s failed", rule, rule.owner)
            continue
        if matches:
            step.debug("the rule %s of %s matches", rule, rule.owner)
            for target, allows_link in rule.targets.items():
                wanted[target] = wanted.get(target, True) and allows_link
    return wanted
