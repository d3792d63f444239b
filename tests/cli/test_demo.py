"""The demo as a process that is told to end before it is through. BZMQ_CLI names the program."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

from support import CLI, SOURCE


def started_from(folder):
    """The processes that name something in `folder`."""
    found = []
    for file in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if os.fsencode(folder) in file.read_bytes():
                found.append(int(file.parent.name))
        except OSError:
            pass  # Gone meanwhile.
    return found


@pytest.mark.parametrize("until", ["logs:", "Topology before", "Replaying"])
@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_demo_that_is_ended_early_leaves_nothing_behind(tmp_path, until, number, code):
    demo = subprocess.Popen(
        [sys.executable, SOURCE / "tools/dev/demo.py", CLI], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
        # Where the tests run in the background it would not hear Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        env=os.environ | {"TMPDIR": str(tmp_path), "BZMQ_ZEEK_LOGS": str(tmp_path)})
    try:
        assert any(line.startswith(until) for line in demo.stdout)
        demo.send_signal(number)
        _, told = demo.communicate(timeout=60)
    finally:
        demo.kill()
    assert demo.returncode == code, told
    assert "Traceback" not in told
    assert not list(tmp_path.iterdir())
    assert not started_from(tmp_path)
