# SPDX-License-Identifier: MIT OR Apache-2.0
"""Runs a client's own unittest tests and prints NAME OUTCOME, one a line.

own_tests.py FOLDER [--apart] [--default CAPABILITY...]
  --apart    each test in a process of its own
  --default  python-pkcs11: what an AES key can do for which nothing else is asked
"""
import argparse
import os
import subprocess
import sys
import unittest

parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("--apart", action="store_true")
parser.add_argument("--only")
parser.add_argument("--default", nargs="+", default=[])
options = parser.parse_args()


class Outcomes(unittest.TestResult):
    outcome = "ended"

    def startTest(self, test):
        super().startTest(test)
        self.outcome = "passed"

    def addError(self, test, err):
        self.outcome = "failed"
        print(test.id(), err[1], file=sys.stderr)

    addFailure = addError

    def addSubTest(self, test, subtest, err):
        if err:
            self.addError(test, err)

    def addSkip(self, test, reason):
        self.outcome = "skipped"
        print(test.id(), reason, file=sys.stderr)

    def addUnexpectedSuccess(self, test):
        self.outcome = "failed"

    def stopTest(self, test):
        super().stopTest(test)
        # The parameters of a parametrized test are no part of its name.
        print(test.id().removeprefix("tests.").split(" ")[0], self.outcome, flush=True)
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

# A package's tests import each other by its name.
above = "." if os.path.exists(os.path.join(options.folder, "__init__.py")) else None
tests = list(each(unittest.TestLoader().discover(options.folder, top_level_dir=above)))
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
