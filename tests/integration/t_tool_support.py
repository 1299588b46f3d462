# SPDX-License-Identifier: MIT OR Apache-2.0
"""What the tests of the tool share: a sandbox with a token, ways to run keyladder, and a sentence for each test."""
import ctypes
import fcntl
import json
import os
import pty
import re
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time
import traceback

sys.dont_write_bytecode = True
here = os.path.dirname(os.path.abspath(__file__))
top = os.path.dirname(os.path.dirname(here))
build = os.environ.get("BUILD") or os.environ.get("builddir") or os.path.join(top, "build")
TOOL = os.environ.get("KEYLADDER_TOOL") or os.environ.get("KEYLADDER") or os.path.join(build, "keyladder")
MODULE = os.environ.get("P11_MODULE") or os.environ.get("KEYLADDER_MODULE") or os.path.join(build, ".libs", "keyladder-pkcs11.so")
os.environ["P11_MODULE"] = MODULE
sys.path.insert(0, here)

PR_CAPBSET_DROP, CAP_IPC_LOCK = 24, 14
PIN, SO_PIN = "user-pin-1111", "so-pin-0000"
DONE, FAILED, USAGE, ATTENTION = 0, 1, 2, 3

work = tempfile.mkdtemp(prefix="kl-tool.", dir=os.environ.get("TMPDIR", "/tmp"))
said = []  # everything the tool ever printed, to be searched for secrets
secrets = {PIN, SO_PIN, "correct horse battery staple"}
tests = []
failures = 0


class Result:
    def __init__(self, status, out, err, most_memory=0):
        self.status, self.raw, self.most_memory = status, out, most_memory
        self.out, self.err = out.decode("utf-8", "replace"), err.decode("utf-8", "replace")

    def __str__(self):
        return f"status {self.status}\n--- stdout\n{self.out[:2000]}\n--- stderr\n{self.err[:2000]}"

    def json(self):
        return json.loads(self.out)

    def error(self):
        return json.loads(self.err)["error"]


def default_signals():
    """Whatever a caller in the background ignored."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def run(*args, conf=None, stdin=b"", env=None, umask=None, limits=(), drop=None, tty=False, stdout=None, pass_fds=()):
    """Runs keyladder without a terminal of its own; `limits` are (which, value), `drop` is a capability to do without."""
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **{k: v for k, v in os.environ.items() if k.startswith(("ASAN_", "LSAN_", "UBSAN_"))}}
    if conf:
        environment["KEYLADDER_CONF"] = conf if isinstance(conf, str) else conf.file
    environment.update(env or {})

    def prepare():
        if not tty:
            os.setsid()
        if umask is not None:
            os.umask(umask)
        for which, value in limits:
            resource.setrlimit(which, (value, value))
            if which == resource.RLIMIT_FSIZE:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        if drop is not None and os.getuid() == 0:
            ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, drop, 0, 0, 0)

    handle = stdin if hasattr(stdin, "fileno") else subprocess.PIPE
    child = subprocess.Popen([TOOL, *map(str, args)], stdin=handle, stdout=stdout or subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
                             preexec_fn=prepare, restore_signals=True, pass_fds=pass_fds, cwd=work)
    out, err = child.communicate(None if handle is stdin else stdin)
    result = Result(child.returncode, out or b"", err)
    said.append((args, result.err + (result.out if "generate" not in args else "")))
    return result


def most_memory(*args, conf, source):
    """Peak resident memory in KiB of a run that has read all of `source` and still waits for more; then its status."""
    child = subprocess.Popen([TOOL, *map(str, args)], stdin=subprocess.PIPE, env={"PATH": os.environ["PATH"], "KEYLADDER_CONF": conf.file})
    with open(source, "rb") as file:
        shutil.copyfileobj(file, child.stdin, 1 << 20)
    child.stdin.flush()
    end = time.monotonic() + 60
    left = bytearray(4)
    while time.monotonic() < end:
        fcntl.ioctl(child.stdin, termios.FIONREAD, left)
        if int.from_bytes(left, sys.byteorder) == 0:
            break
        time.sleep(0.01)
    with open(f"/proc/{child.pid}/status", encoding="ascii") as file:
        peak = int(re.search(r"VmHWM:\s+(\d+) kB", file.read())[1])
    child.stdin.close()
    return peak, child.wait()


class Terminal:
    """keyladder on a terminal, as a person sees it."""

    def __init__(self, *args, conf=None, stdin=None, stdout=None):
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TERM": "dumb"}
        if conf:
            environment["KEYLADDER_CONF"] = conf.file
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                default_signals()
                if stdin is not None:
                    os.dup2(stdin, 0)
                if stdout is not None:
                    os.dup2(stdout, 1)
                os.chdir(work)
                os.execve(TOOL, [TOOL, *map(str, args)], environment)
            finally:
                os._exit(127)
        self.seen = ""

    def read(self, seconds):
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
        self.seen += data.decode("utf-8", "replace")
        return bool(data)

    def expect(self, text, seconds=20):
        end = time.monotonic() + seconds
        while text not in self.seen:
            if time.monotonic() > end or not self.read(end - time.monotonic()):
                raise AssertionError(f"the terminal never showed {text!r}:\n{self.seen}")

    def type(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        while self.read(20):
            pass
        done, status = os.waitpid(self.pid, os.WNOHANG)
        end = time.monotonic() + 20
        while done == 0 and time.monotonic() < end:
            time.sleep(0.05)
            done, status = os.waitpid(self.pid, os.WNOHANG)
        if done == 0:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            raise AssertionError(f"it never ended; the terminal shows\n{self.seen}")
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


class Token:
    """A folder with a configuration, and a token if `make`."""

    def __init__(self, name, make=True, generated=False, passphrase="correct horse battery staple", token_lines=(), lines=()):
        self.dir = os.path.join(work, name)
        self.name = "demo"
        os.mkdir(self.dir, 0o700)
        self.file = self.path("keyladder.conf")
        self.write("passphrase", passphrase + "\n")
        self.write("keyladder.conf", "\n".join(
            [*lines, "[log]", f"target = file:{self.path('log')}", '[token "demo"]', f"store = sqlite:{self.path('demo.db')}", "roots = local",
             "pin_memory = 8MiB", *token_lines, '[root "local"]', "type = local", f"passphrase = file:{self.path('passphrase')}",
             "passphrase_memory = 8MiB", ""]))
        self.pin_text = run("pin", "generate").out.strip() if generated else PIN
        secrets.add(self.pin_text)
        self.write("pin", self.pin_text + "\n")
        self.write("so", SO_PIN + "\n")
        self.pin = f"file:{self.path('pin')}"
        self.so = f"file:{self.path('so')}"
        if make:
            expect(run("init", "--so-pin", self.so, "--pin", self.pin, conf=self), DONE)

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def write(self, name, text, mode=0o600):
        with open(self.path(name), "w" if isinstance(text, str) else "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
        return self.path(name)

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def run(self, *args, **options):
        return run(*args, "--pin", self.pin, conf=self, **options)


def expect(result, status, *texts, where="both"):
    """The status, and texts that must have been printed."""
    assert result.status == status, f"expected status {status}, got {result}"
    heap = {"both": result.out + result.err, "out": result.out, "err": result.err}[where]
    for text in texts:
        assert text in heap, f"expected {text!r} in {where}, got {result}"
    return result


def test(function):
    tests.append(function)
    return function


def the_tool_never_printed_a_secret():
    for args, text in said:
        for secret in secrets:
            assert secret not in text, f"keyladder {args} printed a PIN or passphrase"


def main():
    global failures
    if not os.path.exists(TOOL):
        print(f"FAIL there is no tool at {TOOL}")
        sys.exit(1)
    only = sys.argv[1:]
    ran = 0
    for function in tests + [the_tool_never_printed_a_secret]:
        name = function.__name__.replace("_", " ")
        if only and not any(word in name for word in only):
            continue
        ran += 1
        try:
            function()
            print(f"ok - {name}", flush=True)
        except Exception:  # pylint: disable=broad-except
            failures += 1
            print(f"FAIL - {name}\n{traceback.format_exc()}", flush=True)
    print(f"{ran} tests, {failures} failed")
    if not os.environ.get("KEEP"):
        shutil.rmtree(work, ignore_errors=True)
    sys.exit(1 if failures else 0)
