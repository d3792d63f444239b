"""Runs examples/python, beside each other and beside those in C++."""

import signal
import subprocess
import sys

import pytest

from conftest import BUILD, SOURCE, finish

EXAMPLES = SOURCE / "examples/python"
CPP = {f"{name}.py": f"examples/example_{name}" for name in ("store_master", "store_clone", "status", "pubsub")}


@pytest.fixture
def example():
    running = []

    def start(name, *arguments, cpp=False):
        if cpp and not (BUILD / CPP[name]).exists():
            pytest.skip("the C++ examples are not built")
        command = [BUILD / CPP[name]] if cpp else [sys.executable, EXAMPLES / name]
        running.append(subprocess.Popen([str(each) for each in (*command, *arguments)],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return running[-1]

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_every_cpp_example_is_here_in_python():
    for each in (SOURCE / "examples").glob("*.cpp"):
        assert (EXAMPLES / f"{each.stem}.py").exists(), each.stem


@pytest.mark.parametrize("cpp_status, cpp_pubsub", [(0, 0), (1, 0), (0, 1)])
def test_pubsub_and_status(example, cpp_status, cpp_pubsub):
    status = example("status.py", "--bzmq.listen=tcp://127.0.0.1:0", cpp=cpp_status)
    url = status.stdout.readline().split()[-1]
    said = finish(example("pubsub.py", url, cpp=cpp_pubsub))
    topics = [line.split(" = ")[0] for line in said.splitlines()]
    assert topics == ["/example/greeting", "/example/answer", "/example/list"]
    if not cpp_pubsub:
        assert said == ("/example/greeting = hello\n/example/answer = 42\n"
                        "/example/list = (Count(1), 'two', 3.0)\n")
    lines = [status.stdout.readline() for _ in range(2)]
    assert "discovered" in lines[0].lower()
    assert all(line.startswith("status ") for line in lines)
    status.send_signal(signal.SIGINT)
    if not cpp_status:  # The other is just ended by it.
        finish(status)


def test_a_wrong_option_is_told(example):
    wrong = example("status.py", "--bzmq.bogus=1", cpp=True)
    _, told = wrong.communicate(timeout=60)
    assert wrong.returncode == 2 and "bogus" in told and "terminate" not in told


@pytest.mark.parametrize("cpp_master, cpp_clone", [(0, 0), (1, 0), (0, 1)])
def test_the_store_pair_twice_on_disk(example, tmp_path, cpp_master, cpp_clone):
    for turn in (1, 2):
        master = example("store_master.py", "tcp://127.0.0.1:0", tmp_path / "store", cpp=cpp_master)
        url = master.stdout.readline().split()[-1]
        lines = finish(example("store_clone.py", url, cpp=cpp_clone)).splitlines()
        assert lines[:3] == ["apples = 3", "apples = 5", "pears = 6: written"]
        assert f"starts = {turn}" in lines
        assert "update apples 5\n" in finish(master)


def test_agents(example):
    lines = finish(example("agents.py")).splitlines()
    assert sorted(lines[:-1]) == sorted([f"/agents/answer/agent-{i}: who is there?" for i in range(5)]
                                        + ["/agents/answer/agent-3: and you?"])
    assert lines[-1] == "the manager sees 2 endpoints, an agent 2"


def test_asyncio_echo(example):
    out = finish(example("asyncio_echo.py"))
    assert sorted(out.splitlines()) == [f"{name} got HELLO FROM {name.upper()}"
                                        for name in ("ann", "bob", "cid")]


@pytest.mark.parametrize("name, lines", [
    ("events.py", {"pong hello 2", "finished, here", "finished, there"}),
    ("requests.py", {"3", "TypeClash: expected vector, got string",
                     "NoPathToPeer: nobody serves /calc/subtract"}),
    ("table.py", {"created ann 3", "created bob 4", "expired bob 0"}),
])
def test_the_zeek_layer(example, name, lines):
    assert set(finish(example(name)).splitlines()) == lines
