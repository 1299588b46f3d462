# SPDX-License-Identifier: MIT OR Apache-2.0
"""Reading C well enough for the checks beside this file: comments and text
blanked out (line numbers stay), functions found by their braces."""

import os
import re
import sys

sys.dont_write_bytecode = True

ROOMS = ["base", "crypto", "audit", "store", "root", "ladder", "token", "p11"]

TOKEN = re.compile(
    r"""(?P<block>/\*.*?\*/) | (?P<line>//[^\n]*) |
        (?P<text>"(?:\\.|[^"\\\n])*") | (?P<char>'(?:\\.|[^'\\\n])*')""",
    re.S | re.X,
)


def blank(text):
    return re.sub(r"[^\n]", " ", text)


def strip_comments(text):
    """Comments become spaces."""
    return TOKEN.sub(lambda m: blank(m[0]) if m["block"] or m["line"] else m[0], text)


def strip_all(text):
    """Comments and the insides of strings become spaces."""
    def blanked(match):
        if match["block"] or match["line"]:
            return blank(match[0])
        return match[0][0] + blank(match[0][1:-1]) + match[0][-1]
    return TOKEN.sub(blanked, text)


def comments(text):
    """(line, comment) of every comment."""
    for match in TOKEN.finditer(text):
        if match["block"] or match["line"]:
            yield text.count("\n", 0, match.start()) + 1, match[0]


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def files(root, folders, endings):
    """Paths below root, sorted, with one of the endings (any, if there are none)."""
    for folder in folders:
        for where, names, found in os.walk(os.path.join(root, folder)):
            names[:] = sorted(n for n in names if not n.startswith("."))
            for name in sorted(found):
                if not endings or name.endswith(endings):
                    yield os.path.relpath(os.path.join(where, name), root)


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        return file.read()


def without_directives(code):
    """Preprocessor lines, with their continuations, become spaces."""
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: blank(m[0]), code, flags=re.M)


class Function:
    def __init__(self, name, head, params, line, body, body_line):
        self.name, self.head, self.params, self.line = name, head, params, line
        self.body, self.body_line = body, body_line

    @property
    def lines(self):
        return self.body.count("\n") - 1 if "\n" in self.body else 1


HEAD = re.compile(r"([A-Za-z_]\w*)\s*\(((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)\s*(?:__attribute__\s*\(\(.*\)\)\s*|KL_\w+\s*)*$", re.S)


def blocks(code):
    """(start, open, close) of every top-level { } and the text before it."""
    depth, start, opened = 0, 0, 0
    for position, char in enumerate(code):
        if char == "{":
            if depth == 0:
                opened = position
            depth += 1
        elif char == "}" and depth > 0:
            depth -= 1
            if depth == 0:
                yield start, opened, position
                start = position + 1
        elif char == ";" and depth == 0:
            start = position + 1


def functions(code):
    """The functions defined in code, which strip_all() has been over."""
    code = without_directives(code)
    for start, opened, closed in blocks(code):
        head = code[start:opened]
        if "=" in re.sub(r"\(.*\)", "", head, flags=re.S):
            continue
        found = HEAD.search(head)
        if not found:
            continue
        before = head[: found.start()].strip()
        if not before or before.split()[-1] in ("struct", "enum", "union"):
            continue
        yield Function(found[1], before, split_params(found[2]),
                       line_of(code, start + found.start()),
                       code[opened: closed + 1], line_of(code, opened))


def split_params(text):
    """The parameters between the outer commas."""
    parts, depth, last = [], 0, 0
    for position, char in enumerate(text):
        depth += char in "([{"
        depth -= char in ")]}"
        if char == "," and depth == 0:
            parts.append(text[last:position].strip())
            last = position + 1
    parts.append(text[last:].strip())
    return [] if parts in ([""], ["void"]) else parts


class Report:
    """One line a finding, file:line first, and the exit status."""

    def __init__(self):
        self.findings = 0

    def say(self, path, line, sentence):
        self.findings += 1
        print(f"{path}:{line}: {sentence}")

    def status(self):
        return 1 if self.findings else 0


def root_of(arguments):
    """The tree to look at: the argument, or the one this file is in."""
    if len(arguments) > 1:
        return arguments[1]
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
