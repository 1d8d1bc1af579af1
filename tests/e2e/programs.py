"""Clients in other languages: programs that `cargo xtask test` builds, and what they say.

They talk in lines. `used SERVICE OPERATION` goes to the page of what was used (see compat.py), by
an audit event, as the commands that tests start do.
"""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from support import PATIENCE, eventually

# What xtask built; absent where it could not, which it says why.
JAVA, GO = os.environ.get("PANGEA_JAVA_CLASSES"), os.environ.get("PANGEA_GO_CLIENT")
JAVASCRIPT = os.environ.get("PANGEA_JAVASCRIPT")

needs_java = pytest.mark.skipif(
    not JAVA, reason="the Java clients are not built: that needs java, mvn and Maven Central")
needs_go = pytest.mark.skipif(
    not GO, reason="the Go client is not built: that needs go and its module proxy")
needs_javascript = pytest.mark.skipif(
    not JAVASCRIPT,
    reason="the JavaScript clients are not installed: that needs node, npm and its registry")


def java(name, *arguments):
    """The command of a Java program; small, because several run beside the regions."""
    return ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-Dorg.apache.commons.logging.Log=org.apache.commons.logging.impl.SimpleLog",
            "-Dorg.apache.commons.logging.simplelog.defaultlog=warn",
            "-cp", JAVA, f"pangea.{name}", *arguments]


def javascript(name, *arguments):
    """The command of a JavaScript program; what the SDK says of Node's version is no news here."""
    return ["node", "--no-warnings", Path(JAVASCRIPT) / f"{name}.js", *arguments]


class Program:
    """A client that runs beside the test; ends when its input is closed."""

    # Those that run, for the test's end.
    running = []

    def __init__(self, client, argv, log):
        self.client, self.log, self.lines = client, log, []
        self._begun, self._errors = time.monotonic(), open(log, "w", encoding="utf-8")
        self.process = subprocess.Popen(
            [str(word) for word in argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self._errors, text=True)
        self.running.append(self)
        # An audit event counts for the test whenever it comes: writers in threads do, too.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            words = line.split()
            if words[:1] == ["used"] and len(words) == 3:
                sys.audit("pangea.used", self.client, words[1], words[2])
            self.lines.append(words)
            self._errors.write(f"{time.monotonic() - self._begun:8.3f} {line}")
            self._errors.flush()

    def told(self, kind):
        return [words[1:] for words in list(self.lines) if words[:1] == [kind]]

    def alive(self):
        """Whether it runs; one that ended by itself is a failure with its last words."""
        assert self.process.poll() is None, self.ending()
        return True

    def close(self, timeout=PATIENCE):
        """Ends it by the end of its input; its exit code must be 0."""
        self.process.stdin.close()
        self._wait(timeout)
        assert self.process.returncode == 0, self.ending()

    def kill(self):
        self.process.kill()
        self._wait(PATIENCE)

    def _wait(self, timeout):
        self.process.wait(timeout)
        self._reader.join(timeout)
        self._errors.close()
        if self in self.running:
            self.running.remove(self)

    def ending(self):
        text = Path(self.log).read_text(encoding="utf-8", errors="replace")
        return f"ended with {self.process.poll()}:\n{text[-4000:]}"


@pytest.fixture
def programs():
    """Programs that a test leaves behind are killed."""
    yield Program
    for program in list(Program.running):
        program.kill()


def until(program, check, what, timeout=PATIENCE):
    """Waits for `check`, or for the program's early end."""
    return eventually(lambda: check() if program.alive() else None, what, timeout, pause=0.1)
