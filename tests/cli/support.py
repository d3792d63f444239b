"""What the process tests of bzmq-cli share. BZMQ_CLI names the program."""

import os
import pathlib
import subprocess
import sys

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
