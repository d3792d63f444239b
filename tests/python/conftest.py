import asyncio
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BZMQ_BUILD", SOURCE / "build/dev"))
PATIENCE = 60
# The package of the build tree, here and in the programs that tests start.
sys.path[:0] = [str(BUILD / "python"), str(SOURCE / "tools/dev")]
os.environ["PYTHONPATH"] = str(BUILD / "python")

import bzmq  # noqa: E402


def pytest_configure(config):
    # Whatever hangs shows where, and ends before ctest loses patience.
    import faulthandler
    faulthandler.dump_traceback_later(280, exit=True)


@pytest.fixture
def endpoints():
    """Makes endpoints and ends them with the test."""
    made = []

    def make(**options):
        made.append(bzmq.Endpoint(**options))
        return made[-1]

    make.made = made
    yield make
    for each in made:
        each.shutdown()


@pytest.fixture
def pair(endpoints):
    """Two endpoints, the second connected to the first."""
    first, second = endpoints(), endpoints()
    assert second.peer("127.0.0.1", first.listen("127.0.0.1", 0), timeout=PATIENCE)
    return first, second


@pytest.fixture
def program():
    """Runs Python programs as processes; ends them with the test."""
    running = []

    def start(text, *arguments, **more):
        process = subprocess.Popen([sys.executable, "-c", text, *map(str, arguments)],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
        running.append(process)
        return process

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def start():
    """Starts programs of the build tree by path."""
    from cli_processes import Process
    running = []

    def starter(path, *arguments, kind=Process):
        if not (BUILD / path).exists():
            pytest.skip(f"{path} is not built")
        running.append(kind(BUILD / path, *arguments))
        return running[-1]

    yield starter
    for process in reversed(running):
        process.end()


def finish(process, code=0, timeout=PATIENCE):
    """A program's output; its end with `code` in time."""
    out, err = process.communicate(timeout=timeout)
    assert process.returncode == code, err
    return out


def eventually(condition, timeout=PATIENCE):
    """Waits until a condition holds that has no event of its own."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "never came true"
        threading.Event().wait(0.005)


def interrupt_when(ready):
    """Sends this process what Ctrl-C sends, once `ready()`; its thread ends with that."""
    def run():
        eventually(ready)
        os.kill(os.getpid(), signal.SIGINT)
    thread = threading.Thread(target=run)
    thread.start()
    return thread


def run(coroutine):
    async def limited():
        async with asyncio.timeout(PATIENCE):
            return await coroutine
    return asyncio.run(limited())
