"""Runs the commands of docs/cli.md, "Composing in a shell", in one shell: what one prints another reads."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

from support import CLI, SOURCE

TEXT = (SOURCE / "docs/cli.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
EXPECTED = """\
{"topic":"/b/x","data":{"@data-type":"count","data":1}
{"topic":"/b/x","data":{"@data-type":"port","data":"80/tcp"}
/a/y 2
/a/y 3s
{"written":2}
3 entries
{"written":3}
0
ONE
TWO
"data":{"@data-type":"string","data":"THREE"}}
1.500000\texample.org
"""


def test_what_one_command_prints_another_one_reads():
    assert len(BLOCKS) == 1
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bz"))  # Short: paths of sockets are.
    try:
        (folder / "bin").mkdir()
        (folder / "bin/bzmq-cli").symlink_to(CLI)
        # Fixed ports would keep two of these from running at a time.
        script = re.sub(r"tcp://127\.0\.0\.1:(97\d\d)", f"ipc://{folder}/\\1", BLOCKS[0])
        environment = {k: v for k, v in os.environ.items() if not k.startswith("BZMQ_")}
        environment["PATH"] = f"{folder}/bin:{environment['PATH']}"
        shell = subprocess.Popen(["bash", "-euo", "pipefail", "-c", script], cwd=folder, env=environment,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                 start_new_session=True)
        try:
            out, errors = shell.communicate(timeout=200)
        finally:
            try:
                os.killpg(shell.pid, signal.SIGKILL)  # What a failure left in the background.
            except ProcessLookupError:
                pass
        assert shell.returncode == 0, errors
        told = [line for line in out.splitlines() if not line.startswith("2 messages")]
        assert told == EXPECTED.splitlines(), errors
    finally:
        shutil.rmtree(folder)
