"""What the process tests of bzmq-cli share. BZMQ_CLI names the program."""

import os
import pathlib
import re
import subprocess
import sys
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tools/dev"))

from cli_processes import Node, Process  # noqa: E402, F401

CLI = os.environ.get("BZMQ_CLI", str(SOURCE / "build/dev/tools/bzmq-cli"))
OK, FAILURE, USAGE, TIMEOUT, UNAVAILABLE, AUTHENTICATION, NO_KEY, CLASH, CONFLICT, NO_MASTER = range(10)
WAIT = ("--timeout", "60")


def run_full(*arguments, **more):
    """The same with a full disk behind standard output."""
    with open("/dev/full", "wb") as full:
        return run(*arguments, stdout=full, **more)


def run(*arguments, data=None, timeout=120, **more):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BZMQ_")}
    return subprocess.run([CLI, *map(str, arguments)], input=data, timeout=timeout, env=environment,
                          **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | more)


def await_error_text(process, pattern, timeout=30):
    """Waits until what a process says on standard error has `pattern` in it; the match."""
    deadline = time.monotonic() + timeout
    while not (found := re.search(pattern, process.error_text())):
        assert time.monotonic() < deadline, f"no {pattern} within {timeout} s from {process}"
        time.sleep(0.01)
    return found
