"""Drives `bzmq-cli cluster` with real nodes. BZMQ_CLI names the program."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from support import CLI, FAILURE, OK, SOURCE, TIMEOUT, UNAVAILABLE, USAGE, WAIT, Process, run
from test_logger import LOGS, await_that, canonical, read

SUPERVISE = '[supervise]\nrestart_min = "50ms"\nrestart_max = "400ms"\n'


class Cluster:
    """A cluster in a folder of its own, with ipc sockets, whose paths must be short."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bz"))
        self.file = self.folder / "site.toml"

    def write(self, text):
        self.file.write_text(text.replace("IPC", f"ipc://{self.folder}"))
        return self

    def nodes(self, *nodes, top=""):
        text = top + SUPERVISE
        for name, role, *more in nodes:
            text += f'[[node]]\nname = "{name}"\nrole = "{role}"\nlisten = "IPC/{name}"\n'
            text += "".join(line + "\n" for line in more)
        return self.write(text)

    def run(self, action, *arguments):
        return run("cluster", action, self.file, *arguments)

    def start(self, *arguments):
        done = self.run("start", "--generate-keys", *WAIT, *arguments)
        assert done.returncode == OK, done.stderr.decode() + self.run("diag").stdout.decode()
        return self

    def status(self):
        out = self.run("status", "--json").stdout.decode()
        return {node["name"]: node for node in map(json.loads, out.splitlines())}

    def state(self):
        """The state file's nodes, which change without a look into the overlay."""
        state = json.loads((self.folder / "site.state/state.json").read_text())
        return {node["name"]: node for node in state["nodes"]} | {"supervisor": state["supervisor"]}

    def kill(self, name):
        """Kills a node for good and waits until the supervisor has it running again."""
        before = self.state()[name]
        os.kill(before["process"]["pid"], signal.SIGKILL)
        await_that(lambda: (now := self.state()[name])["restarts"] > before["restarts"]
                   and now["state"] == "running")
        assert self.state()[name]["last_exit"] == "signal 9 (Killed)"

    def stop(self):
        done = self.run("stop")
        assert done.returncode == OK, done.stderr
        return done

    def end(self):
        self.run("stop")
        shutil.rmtree(self.folder)


@pytest.fixture
def cluster():
    made = Cluster()
    yield made
    made.end()


def is_alive(pid):
    stat = pathlib.Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


PROOF = (("manager", "manager"), ("proxy", "proxy"),
         ("worker-1", "worker", 'peers = ["proxy", "manager"]'),
         ("worker-2", "worker", 'peers = ["proxy", "manager", "worker-1"]'),
         ("logger", "logger", 'logs = "logs"'))


@pytest.mark.skipif(not (LOGS / "dns.log.gz").exists(), reason="BZMQ_ZEEK_LOGS names no folder of logs")
def test_real_logs_go_through_a_cluster_whose_nodes_die_and_come_out_equal(cluster, start):
    cluster.nodes(*PROOF).start()
    # A tool that sees the workers only.
    config = cluster.folder / "tool.toml"
    lines = (cluster.folder / "site.state/operator.toml").read_text().splitlines(keepends=True)
    config.write_text("".join(line for line in lines if "url" not in line or "/worker-" in line))
    logs = sorted(LOGS.glob("*.log.gz"))
    sender = start("replay", "--logs", "--config", config, "--wait", "--rate", "10000", *WAIT, *logs)
    written = cluster.folder / "logs/dns.log"
    for name in ("worker-1", "proxy", "worker-2"):
        size = written.stat().st_size if written.exists() else 0
        await_that(lambda: written.exists() and written.stat().st_size > size + 100_000)
        assert sender.process.poll() is None, sender.error_text()
        cluster.kill(name)
    assert sender.process.poll() is None, "the nodes are to die on the way"
    assert sender.wait(120) == OK, sender.error_text()
    status = cluster.status()
    assert all(node["state"] == "running" for node in status.values())
    assert status["worker-1"]["restarts"] == status["proxy"]["restarts"] == 1
    assert set(status["worker-1"]["peers"]) == {"manager", "proxy", "worker-2"}
    cluster.stop()
    for log in logs:
        name = log.name.split(".")[0]
        assert canonical(cluster.folder / f"logs/{name}.log") == canonical(log), name
    assert not (cluster.folder / "logs/rejected.log").exists()


def test_status_and_diag_tell_what_happened(cluster):
    cluster.nodes(("m", "manager"), ("w", "worker")).start()
    status = cluster.status()
    assert [status[name]["state"] for name in ("m", "w")] == ["running", "running"]
    assert status["w"]["peers"] == ["m"]
    assert status["m"]["pid"] != status["w"]["pid"]
    table = cluster.run("status")
    assert table.returncode == OK
    assert table.stdout.decode().splitlines()[0].split() == [
        "NAME", "ROLE", "STATE", "PID", "UPTIME", "RESTARTS", "PEERS"]
    cluster.kill("w")
    diag = {one["name"]: one for one in map(json.loads, cluster.run(
        "diag", "--json").stdout.decode().splitlines())}
    assert diag["w"]["restarts"] == 1
    assert diag["w"]["last_exit"] == "signal 9 (Killed)"
    assert "killed from outside" in diag["w"]["suggestions"][0]
    assert any('"event":"ready"' in line for line in diag["w"]["log"])
    assert cluster.run("diag", "nobody").returncode == USAGE
    cluster.stop()
    stopped = cluster.run("status")
    assert stopped.returncode == UNAVAILABLE
    assert b"the cluster is stopped" in stopped.stderr


def test_stop_ends_all_and_only_what_it_started(cluster):
    cluster.nodes(("m", "manager"), ("w", "worker"), ("l", "logger")).start()
    state = cluster.state()
    pids = [node["process"]["pid"] for name, node in state.items() if name != "supervisor"]
    cluster.stop()
    assert not any(is_alive(pid) for pid in [*pids, state["supervisor"]["pid"]])
    assert b'"event":"stopped"' in (cluster.folder / "site.state/m.log").read_bytes()
    # The number of a node is another process's by now: not the one that was started.
    other = subprocess.Popen(["sleep", "600"])
    try:
        node = state.pop("m") | {"process": {"pid": other.pid, "start": 1}}
        (cluster.folder / "site.state/state.json").write_text(json.dumps({
            "version": 1, "ready": True, "supervisor": {"pid": other.pid, "start": 1},
            "nodes": [node]}))
        assert cluster.status()["m"]["state"] == "gone"
        cluster.stop()
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_nodes_outlive_their_supervisor_and_can_be_stopped(cluster):
    cluster.nodes(("m", "manager"), ("w", "worker")).start()
    state = cluster.state()
    os.kill(state["supervisor"]["pid"], signal.SIGKILL)
    await_that(lambda: not is_alive(state["supervisor"]["pid"]))
    status = cluster.run("status")
    assert status.returncode == UNAVAILABLE
    assert b"no supervisor" in status.stderr
    again = cluster.run("start")
    assert again.returncode != OK
    assert b"still runs without a supervisor" in again.stderr
    cluster.stop()
    assert not any(is_alive(state[name]["process"]["pid"]) for name in "mw")
    cluster.start()


def test_a_node_that_keeps_ending_is_given_up_and_diag_says_what_to_do(cluster):
    cluster.nodes(("m", "manager"), ("w", "worker", 'command = ["false"]'))
    cluster.file.write_text(cluster.file.read_text().replace(
        "[supervise]", "[supervise]\nrestarts = 2"))
    cluster.run("start", "--generate-keys")
    await_that(lambda: cluster.state()["w"]["state"] == "failed")
    assert cluster.state()["w"]["restarts"] == 2
    told = cluster.run("diag", "w").stdout.decode()
    assert "failed, 2 restarts, last ended with exit code 1" in told
    assert "mend the cause, then stop and start the cluster" in told
    log = (cluster.folder / "site.state/supervisor.log").read_text()
    assert "w: starts again in 50ms" in log
    assert "w: starts again in 100ms" in log
    assert cluster.state()["m"]["state"] == "running"


def test_a_program_of_ones_own_is_a_node(cluster):
    script = 'echo "$CLUSTER_NODE $CLUSTER_ROLE" > mine; exec "$0" node --json'
    cluster.nodes(("m", "manager"), ("w", "worker", f"command = ['sh', '-c', '{script}', '{CLI}']"))
    cluster.start()
    await_that(lambda: cluster.status()["w"].get("peers") == ["m"])
    assert (cluster.folder / "mine").read_text() == "w worker\n"


@pytest.mark.parametrize("manager, worker", [("cpp", "cpp"), ("python", "python"), ("cpp", "python")])
def test_the_example_spreads_work_over_its_workers(cluster, manager, worker):
    build = pathlib.Path(CLI).parents[1]
    command = {"cpp": [str(build / "examples/example_cluster_node")],
               "python": ["env", f"PYTHONPATH={build / 'python'}", sys.executable,
                          str(SOURCE / "examples/python/cluster_node.py")]}
    if not pathlib.Path(command["cpp"][0]).exists() or not (build / "python/bzmq").exists():
        pytest.skip("the examples or the Python package are not built")
    cluster.nodes(("manager", "manager", f"command = {command[manager]}"),
                  *((f"worker-{i}", "worker", f"command = {command[worker]}") for i in (1, 2)))
    cluster.start()
    log = cluster.folder / "site.state/manager.log"
    await_that(lambda: "all done" in log.read_text())
    did = dict(re.findall(r"(worker-\d) did (\d+) jobs", log.read_text()))
    assert sorted(did) == ["worker-1", "worker-2"]
    assert sum(map(int, did.values())) == 20


def test_a_frozen_node_is_killed_after_the_deadline(cluster):
    cluster.nodes(("m", "manager"), ("w", "worker"))
    cluster.file.write_text(cluster.file.read_text().replace(
        "[supervise]", '[supervise]\nstop_timeout = "300ms"'))
    cluster.start()
    pid = cluster.state()["w"]["process"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    cluster.stop()
    assert not is_alive(pid)
    assert "w: killed, as it did not end in time" in (
        cluster.folder / "site.state/supervisor.log").read_text()


def test_in_the_foreground_it_ends_with_a_signal(cluster, start):
    cluster.nodes(("m", "manager"), ("w", "worker"))
    running = start("cluster", "start", cluster.file, "--foreground", "--generate-keys")
    ready = set()
    while ready != {b"m: ready", b"w: ready"}:
        line = running.line()
        ready |= {line} if line.endswith(b": ready") else set()
    second = cluster.run("start")
    assert second.returncode != OK
    assert b"runs already" in second.stderr
    pids = [cluster.state()[name]["process"]["pid"] for name in "mw"]
    running.signal(signal.SIGINT)
    assert running.wait() == OK
    assert not any(is_alive(pid) for pid in pids)


def test_a_store_has_its_master_and_clones(cluster):
    cluster.nodes(("m", "manager"), ("w", "worker"))
    cluster.file.write_text(cluster.file.read_text()
                            + '[stores.known]\nmaster = "m"\nfolder = "known"\nclones = ["w"]\n')
    cluster.start()
    config = ("--config", cluster.folder / "site.state/operator.toml")
    assert run("store", "known", "put", "a", "1", *config, *WAIT).returncode == OK
    assert run("store", "known", "get", "a", *config, *WAIT).stdout == b"1\n"
    assert '"role":"clone"' in (cluster.folder / "site.state/w.log").read_text()


def test_keys_are_made_only_when_asked(cluster):
    cluster.nodes(("m", "manager"))
    refused = cluster.run("start")
    assert refused.returncode == FAILURE
    assert b"no keys in" in refused.stderr and b"--generate-keys" in refused.stderr
    cluster.start()
    secret = cluster.folder / "site.state/keys/m.key_secret"
    assert secret.stat().st_mode & 0o777 == 0o600
    before = secret.read_bytes()
    cluster.stop()
    cluster.start()
    assert secret.read_bytes() == before
    stranger = run("ping", "--peer", f"ipc://{cluster.folder}/m", "--timeout", "2")
    assert stranger.returncode != OK


def flaws(cluster, text):
    checked = cluster.write(text).run("check")
    assert checked.returncode == USAGE
    return checked.stderr.decode().replace(str(cluster.file), "F")


NODE = '[[node]]\nname = "a"\nrole = "worker"\nlisten = "IPC/a"\n'


@pytest.mark.parametrize("text, expected", [
    ("", "F: no nodes; add a table [[node]]"),
    ("name = \n", "F:1: "),
    ("nme = 1\n" + NODE, "F:1: cluster: unknown key nme; did you mean name?"),
    (NODE + "lsten = 1\n", "F:5: node a: unknown key lsten; did you mean listen?"),
    (NODE.replace("worker", "werker"), "F:3: node a: role: expected worker, manager, proxy"),
    (NODE + NODE, "F:5: node a: line 1 has this name already"),
    (NODE + NODE.replace('"a"', '"b"'), "F:5: node b: listen: a listens there already"),
    (NODE.replace("IPC/a", "tcp://127.0.0.1:0"), "F:4: node a: listen: the others must know the port"),
    (NODE.replace("IPC/a", "udp://x"), "F:4: node a: listen: expected tcp://HOST:PORT"),
    (NODE + 'peers = ["b"]\n', 'F:1: node a: peers: no node is called "b"'),
    (NODE + 'peers = ["a"]\n', "F:1: node a: peers: it cannot peer with itself"),
    (NODE + 'peers = "b"\n', 'F:5: peers: expected a list of texts, peers = ["..."]'),
    (NODE + 'logs = "x"\n', "F:5: node a: logs is for loggers without a command only"),
    (NODE + '[node.settings]\npeer_timeot = "1s"\n', "node a: settings:"),
    (NODE + '[node.settings]\nlisten = "x"\n', "F:6: node a: settings: listen follows from the cluster"),
    (NODE + '[stores.s]\nmaster = "z"\n', 'F:5: store s: master: no node is called "z"'),
    (NODE + '[supervise]\nrestart_min = 5\n', 'F:6: restart_min: expected a duration'),
    ("encrypt = 1\n" + NODE, "F:1: encrypt: expected true or false"),
])
def test_check_names_the_line_and_how_to_mend_it(cluster, text, expected):
    assert expected in flaws(cluster, text)


def test_check_finds_every_mistake_at_once(cluster):
    told = flaws(cluster, "x = 1\nencrypt = 2\n" + NODE.replace("worker", "w") + "y = 1\n")
    assert [line.split(":")[2] for line in told.splitlines()] == ["1", "2", "5", "7"]


def test_check_shows_who_connects_to_whom(cluster):
    good = cluster.nodes(("w", "worker"), ("m", "manager"), ("p", "proxy"), ("l", "logger"),
                         ("a", "agent")).run("check", "--json")
    assert good.returncode == OK, good.stderr
    peers = {node["name"]: node["peers"] for node in map(json.loads, good.stdout.splitlines())}
    assert peers == {"l": [], "m": ["l"], "p": ["l", "m"], "w": ["l", "m", "p"], "a": ["p"]}
