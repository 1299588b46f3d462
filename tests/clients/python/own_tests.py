# SPDX-License-Identifier: MIT OR Apache-2.0
"""Runs a client's own unittest tests and prints NAME OUTCOME, one a line, and for a failed one what it failed with.

own_tests.py FOLDER [--apart] [--of FILE...] [--default CAPABILITY...] [--library-version MAJOR MINOR]
  --apart            each test in a process of its own
  --of               the tests of these files alone
  --default          python-pkcs11: what an AES key can do for which nothing else is asked
  --library-version  PyKCS11: what C_GetInfo is made to say, for tests that are skipped where it is below SoftHSM's 2
"""
import argparse
import os
import re
import subprocess
import sys
import unittest

parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("--apart", action="store_true")
parser.add_argument("--only")
parser.add_argument("--default", nargs="+", default=[])
parser.add_argument("--library-version", nargs=2, type=int)
parser.add_argument("--of", nargs="+", default=[])
options = parser.parse_args()


def seen(error):
    """One word: the CKR in its text, an assertion's first words, else its class."""
    text = str(error)
    code = re.search(r"CKR_\w+", text)
    if code:
        return code[0]
    if not isinstance(error, AssertionError) or not text:
        return type(error).__name__
    # Lists and sets have addresses in them, and their order.
    return re.sub(r"\W+", "-", re.split(r"[\[{\n]", text)[0]).strip("-")


class Outcomes(unittest.TestResult):
    outcome = "ended"

    def startTest(self, test):
        super().startTest(test)
        self.outcome = "passed"
        self.seen = []

    def addError(self, test, err):
        self.outcome = "failed"
        if seen(err[1]) not in self.seen:
            self.seen.append(seen(err[1]))
        print(test.id(), repr(err[1]), file=sys.stderr)

    addFailure = addError

    def addSubTest(self, test, subtest, err):
        if err:
            self.addError(test, err)

    def addSkip(self, test, reason):
        self.outcome = "skipped"
        print(test.id(), reason, file=sys.stderr)

    def addUnexpectedSuccess(self, test):
        self.outcome = "failed"
        self.seen.append("unexpected-success")

    def stopTest(self, test):
        super().stopTest(test)
        # The parameters of a parametrized test are no part of its name.
        print(test.id().removeprefix("tests.").split(" ")[0], " ".join([self.outcome, "+".join(self.seen)]).strip(), flush=True)
        # Where setUp failed nobody has closed the session, and the next test could not log in.
        session = getattr(test, "session", None)
        if self.outcome == "failed" and hasattr(session, "close"):
            try:
                session.close()
            except Exception as error:
                print(test.id(), "close:", repr(error), file=sys.stderr)


def each(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from each(test)
        else:
            yield test


if options.default:
    import pkcs11

    capabilities = pkcs11.MechanismFlag(0)
    for name in options.default:
        capabilities |= pkcs11.MechanismFlag[name]
    pkcs11.defaults.DEFAULT_KEY_CAPABILITIES[pkcs11.KeyType.AES] = capabilities

if options.library_version:
    import PyKCS11

    get_info = PyKCS11.PyKCS11Lib.getInfo

    def as_version(lib):
        info = get_info(lib)
        info.libraryVersion = tuple(options.library_version)
        return info

    PyKCS11.PyKCS11Lib.getInfo = as_version

# A package's tests import each other by its name.
above = "." if os.path.exists(os.path.join(options.folder, "__init__.py")) else None
tests = list(each(unittest.TestLoader().discover(options.folder, top_level_dir=above)))
if options.of:
    tests = [test for test in tests if test.id().split(".")[0] in options.of]
if options.only:
    unittest.TestSuite(test for test in tests if test.id() == options.only).run(Outcomes())
elif options.apart:
    for test in tests:
        command = [sys.executable, *sys.argv, "--only", test.id()]
        done = subprocess.run(command, stdout=subprocess.PIPE, timeout=60, text=True, check=False)
        # What the client's library prints comes before.
        lines = done.stdout.strip().splitlines()
        print(lines[-1] if lines and lines[-1].startswith(f"{test.id()} ") else f"{test.id()} ended", flush=True)
else:
    unittest.TestSuite(tests).run(Outcomes())
