"""Runs the commands of docs/tutorial.md, one block after another, in one shell."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

from support import CLI, SOURCE

TEXT = (SOURCE / "docs/tutorial.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)


def test_its_commands_do_what_it_says():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bz"))  # Short: paths of sockets are.
    try:
        (folder / "bin").mkdir()
        (folder / "bin/bzmq-cli").symlink_to(CLI)
        # Fixed ports would keep two of these from running at a time.
        script = re.sub(r"tcp://127\.0\.0\.1:(97\d\d)", f"ipc://{folder}/\\1", "\n".join(BLOCKS))
        environment = {k: v for k, v in os.environ.items() if not k.startswith("BZMQ_")}
        environment["PATH"] = f"{folder}/bin:{environment['PATH']}"
        shell = subprocess.Popen(["bash", "-euo", "pipefail", "-c", script], cwd=folder,
                                 env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 text=True, start_new_session=True)
        try:
            out, errors = shell.communicate(timeout=300)
        finally:
            try:
                os.killpg(shell.pid, signal.SIGKILL)  # What a failure left in the background.
            except ProcessLookupError:
                pass
            subprocess.run([CLI, "cluster", "stop", folder / "site.toml"], capture_output=True,
                           env=environment, timeout=60)
        assert shell.returncode == 0, errors
        for expected in ("/weather/oslo sunny\n/weather/oslo 21.5\n", "hub  ", "\n/weather/bergen rain\nerror forbidden", "\n5\n",
                         "connects to logger manager proxy", "site: 5 nodes run", "\n\"gateway\"\n"
                         if "\n\"gateway\"\n" in out else "\ngateway\n", "2 records in",
                         "1 restarts, last ended with signal 9 (Killed)", "site: stopped",
                         "1521911720.865716\tCqKst53mF3\texample.org\n"
                         "1521911721.000001\tCqKst53mF4\t-\n#close"):
            assert expected in out, (expected, out, errors)
    finally:
        shutil.rmtree(folder)


def test_there_are_blocks():
    assert len(BLOCKS) >= 9
