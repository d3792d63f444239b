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
from zeek_samples import make_json, make_tsv

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

    def supervise(self, line):
        self.file.write_text(self.file.read_text().replace("[supervise]", "[supervise]\n" + line))
        return self

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


NODES = (("manager", "manager"), ("proxy", "proxy"),
         ("worker-1", "worker", 'peers = ["proxy", "manager"]'),
         ("worker-2", "worker", 'peers = ["proxy", "manager", "worker-1"]'))
ROTATE = 256 << 10
PACKED = (f'rotate_size = "{ROTATE}"', "gzip = true")
JSON = ('format = "json"', 'json_time = "iso8601"')


def real_logs(_):
    return sorted(LOGS.glob("*.log.gz"))


def real_json_logs(_):
    return sorted(LOGS.glob("*.json.gz"))


def made_logs(folder):
    return [make_tsv(folder / f"{name}.log.gz", name, records)
            for name, records in (("many", 20_000), ("few", 50))]


def made_json_logs(folder):
    return [make_json(folder / f"{name}.json.gz", name, records)
            for name, records in (("many", 20_000), ("few", 50))]


def is_dated(path):
    return re.search(r"\.\d{4}(-\d\d){5}", path.name) is not None


def progress(folder):
    """About how many bytes of records the logger has written, what is rotated and packed included."""
    try:
        return sum(ROTATE if is_dated(path) else path.stat().st_size for path in folder.glob("*.log*"))
    except FileNotFoundError:
        return 0  # Renamed meanwhile.


def records_of(paths):
    return sorted(line for path in paths for line in canonical(path) if not line.startswith(b"#"))


@pytest.mark.parametrize("logs, logger", [
    pytest.param(logs, logger, id=logs.__name__, marks=pytest.mark.skipif(
        logs.__name__.startswith("real") and not (LOGS / "dns.log.gz").exists(),
        reason="BZMQ_ZEEK_LOGS names no folder of logs"))
    for logs, logger in ((real_logs, ()), (real_json_logs, JSON + PACKED), (made_logs, PACKED),
                         (made_json_logs, JSON + PACKED))])
def test_logs_go_through_a_cluster_whose_nodes_die_and_come_out_equal(cluster, start, logs, logger):
    cluster.nodes(*NODES, ("logger", "logger", 'logs = "logs"', *logger)).start()
    files = logs(cluster.folder)
    # A tool that sees the workers only.
    config = cluster.folder / "tool.toml"
    lines = (cluster.folder / "site.state/operator.toml").read_text().splitlines(keepends=True)
    config.write_text("".join(line for line in lines if "url" not in line or "/worker-" in line))
    rate = sum(read(file).count(b"\n") for file in files) // 7
    sender = start("replay", "--logs", "--config", config, "--wait", "--rate", rate, *WAIT, *files)
    out = cluster.folder / "logs"
    for name in ("worker-1", "proxy", "worker-2"):
        size = progress(out)
        await_that(lambda: progress(out) > size + 100_000)
        assert sender.process.poll() is None, sender.error_text()
        cluster.kill(name)
    assert sender.process.poll() is None, "the nodes are to die on the way"
    assert sender.wait(120) == OK, sender.error_text()
    status = cluster.status()
    assert all(node["state"] == "running" for node in status.values())
    assert status["worker-1"]["restarts"] == status["proxy"]["restarts"] == 1
    assert set(status["worker-1"]["peers"]) == {"manager", "proxy", "worker-2"}
    cluster.stop()
    for file in files:
        name = file.name.split(".")[0]
        assert records_of(out.glob(f"{name}.*")) == records_of([file]), name
        if not logger:
            assert canonical(out / f"{name}.log") == canonical(file), name
    if logger:
        packed = [path for path in out.glob("*.log.gz")]
        assert len(packed) >= 5
        assert not [path for path in out.glob("*.log") if is_dated(path)], "all that is rotated is packed"
    assert not (out / "rejected.log").exists()


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
    assert cluster.status()["w"]["pid"] is None


def test_one_node_is_shown_and_not_stopped(cluster):
    cluster.nodes(("m", "manager"), ("w", "worker")).start()
    refused = cluster.run("stop", "w")
    assert refused.returncode == USAGE and b"NODE is for status and diag only" in refused.stderr
    shown = cluster.run("status", "w", "--json")
    assert shown.returncode == OK
    assert [(node["name"], node["state"]) for node in map(json.loads, shown.stdout.splitlines())] == [
        ("w", "running")]
    assert cluster.run("status", "nobody").returncode == USAGE


def test_diag_advises_by_what_still_holds(cluster):
    cluster.nodes(("m", "manager"), ("l", "logger"))
    log = cluster.folder / "site.state/l.log"
    log.parent.mkdir()
    full, looks = "logs/x.log: No space left on device\n", '{"event":"peer_added","id":"1"}\n' * 20

    def diag(text):
        log.write_text(text)
        return json.loads(cluster.run("diag", "l", "--json").stdout)

    told = diag('{"event":"ready"}\n' + full + looks)
    assert "the disk is full" in told["suggestions"][0]
    assert told["log"] == ['{"event":"ready"}', full.strip()]
    assert diag(full + looks + "bzmq-cli: writing again\n")["suggestions"] == []
    assert diag(full + looks + '{"event":"ready"}\n')["suggestions"] == []


def test_a_frozen_node_is_unreachable(cluster):
    cluster.nodes(("m", "manager"), ("w", "worker")).supervise('stop_timeout = "300ms"').start()
    pid = cluster.state()["w"]["process"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    await_that(lambda: cluster.status()["w"]["state"] == "unreachable")
    assert cluster.run("status", "w").returncode == UNAVAILABLE
    assert cluster.run("status", "m").returncode == OK
    assert f"kill -9 {pid}" in cluster.run("diag", "w").stdout.decode()


def test_a_mistake_in_the_file_keeps_nobody_from_stopping(cluster):
    cluster.nodes(("m", "manager"), ("w", "worker")).start()
    pids = [cluster.state()[name]["process"]["pid"] for name in "mw"]
    cluster.file.write_text(cluster.file.read_text().replace('"worker"', '"wrker"'))
    for action in ("status", "diag", "stop"):
        done = cluster.run(action)
        assert done.returncode == OK, done.stderr
        assert b"role: expected worker, manager" in done.stderr
    assert not any(is_alive(pid) for pid in pids)
    assert cluster.run("start").returncode == USAGE


def test_start_and_stop_tell_in_json_what_they_did(cluster):
    cluster.nodes(("m", "manager"))
    started = cluster.run("start", "--generate-keys", "--json", *WAIT)
    assert json.loads(started.stdout) == {"cluster": "site", "state": "running", "nodes": 1}
    assert json.loads(cluster.run("stop", "--json").stdout) == {"cluster": "site", "state": "stopped"}


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
    cluster.supervise("restarts = 2")
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
    text = (SOURCE / "examples/cluster.toml").read_text()
    named = '["example_cluster_node"]'
    assert text.count(f"command = {named}") == 3
    text = text.replace(named, str(command[manager]), 1).replace(named, str(command[worker]))
    text = re.sub(r"tcp://127\.0\.0\.1:\d+", lambda at: f"IPC/{at[0][-4:]}", text)
    cluster.write(text).start()
    log = cluster.folder / "site.state/manager.log"
    await_that(lambda: "all done" in log.read_text())
    did = dict(re.findall(r"(worker-\d) did (\d+) jobs", log.read_text()))
    assert sorted(did) == ["worker-1", "worker-2"]
    assert sum(map(int, did.values())) == 20


def test_a_frozen_node_is_killed_after_the_deadline(cluster):
    cluster.nodes(("m", "manager"), ("w", "worker")).supervise('stop_timeout = "300ms"').start()
    pid = cluster.state()["w"]["process"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    cluster.stop()
    assert not is_alive(pid)
    assert "w: killed, as it did not end in time" in (
        cluster.folder / "site.state/supervisor.log").read_text()


def test_a_worker_that_hangs_takes_no_time_from_the_logger(cluster):
    cluster.nodes(("m", "manager"), ("w", "worker"), ("l", "logger", 'logs = "logs"'))
    cluster.supervise('stop_timeout = "2s"').start()
    sent = run("pub", "/zeek/logs/mine", "--config", cluster.folder / "site.state/operator.toml",
               "--format", "json", "--wait", "--reliable", *WAIT,
               data="".join(f'{{"n":{i}}}\n' for i in range(5000)).encode())
    assert sent.returncode == OK, sent.stderr
    os.kill(cluster.state()["w"]["process"]["pid"], signal.SIGSTOP)
    cluster.stop()
    told = (cluster.folder / "site.state/supervisor.log").read_text()
    assert "w: killed, as it did not end in time" in told
    assert "m: killed" not in told and "l: killed" not in told
    assert "l: ended with exit code 0" in told
    lines = read(cluster.folder / "logs/mine.log").splitlines()
    assert [line for line in lines if not line.startswith(b"#")] == [b"%d" % i for i in range(5000)]
    assert lines[-1].startswith(b"#close")


def test_stop_finds_what_a_supervisor_that_hangs_has_not_written_down(cluster):
    cluster.nodes(("m", "manager"), ("w", "worker")).start()
    state = cluster.state()
    os.kill(state["supervisor"]["pid"], signal.SIGSTOP)
    file = cluster.folder / "site.state/state.json"
    written = json.loads(file.read_text())
    for node in written["nodes"]:  # As before it started them.
        node["process"], node["state"] = {"pid": 0, "start": 0}, "waiting"
    file.write_text(json.dumps(written))
    stopped = cluster.run("stop", "--timeout", "0.2")
    assert stopped.returncode == OK, stopped.stderr
    assert b"the supervisor does not end, and is killed" in stopped.stderr
    await_that(lambda: not any(is_alive(state[name]["process"]["pid"]) for name in "mw"))
    assert b'"event":"stopped"' in (cluster.folder / "site.state/m.log").read_bytes()
    await_that(lambda: not is_alive(state["supervisor"]["pid"]))


CHILD = """command = ["sh", "-c", "sleep 4321 & echo $! > kid; wait"]"""


def child(cluster, before=None):
    """The process that the node's own program started, once there is a new one."""
    file = cluster.folder / "kid"
    await_that(lambda: file.exists() and file.read_text().strip() not in ("", str(before)))
    return int(file.read_text())


def test_what_a_node_started_ends_with_it(cluster):
    cluster.nodes(("m", "manager"), ("w", "worker", CHILD)).start()
    first = child(cluster)
    cluster.kill("w")
    await_that(lambda: not is_alive(first))
    second = child(cluster, first)
    assert is_alive(second)
    cluster.stop()
    assert not is_alive(second)


def test_what_a_node_started_ends_with_it_without_a_supervisor(cluster):
    cluster.nodes(("m", "manager"), ("w", "worker", CHILD)).start()
    kid, supervisor = child(cluster), cluster.state()["supervisor"]["pid"]
    os.kill(supervisor, signal.SIGKILL)
    await_that(lambda: not is_alive(supervisor))
    cluster.stop()
    assert not is_alive(kid)


def test_a_node_comes_back_after_an_upgrade_of_the_program(cluster):
    program = cluster.folder / "bzmq-cli"
    try:
        program.hardlink_to(CLI)
    except OSError:  # On another file system.
        shutil.copy(CLI, program)
    cluster.nodes(("m", "manager"))
    done = subprocess.run([program, "cluster", "start", cluster.file, "--generate-keys", *WAIT],
                          capture_output=True, timeout=120)
    assert done.returncode == OK, done.stderr
    newer = cluster.folder / "newer"
    newer.write_text(f'#!/bin/sh\necho upgraded\nexec {CLI} "$@"\n')
    newer.chmod(0o755)
    newer.rename(program)
    for _ in range(2):
        cluster.kill("m")
    assert "upgraded" in (cluster.folder / "site.state/m.log").read_text()


def test_what_nodes_print_is_bounded(cluster):
    lines = 'command = ["sh", "-c", "seq 100000; exec sleep 4321"]'
    cluster.nodes(("m", "manager"), ("w", "worker", lines)).supervise('log_size = "4K"').start()
    state = cluster.folder / "site.state"
    await_that(lambda: (state / "w.log.1").exists() and (state / "w.log").stat().st_size == 0)
    kept = (state / "w.log.1").read_text().splitlines()
    assert kept == [str(number) for number in range(100_001 - len(kept), 100_001)]
    assert 3000 < (state / "w.log.1").stat().st_size <= 4096
    assert "  | 100000\n" in cluster.run("diag", "w").stdout.decode()


def test_a_stores_standbys_elect_a_master_when_theirs_dies(cluster):
    cluster.nodes(("m", "manager"), ("a", "worker"), ("b", "worker"))
    cluster.file.write_text(cluster.file.read_text() + '''
[stores.known]
master = "m"
folder = "known"
standbys = ["a", "b"]
sync_replicas = 1
electors = ["m", "a", "b"]
failover_timeout = "1s"
durability = "sync"
''')
    cluster.start()
    config = ("--config", cluster.folder / "site.state/operator.toml", *WAIT)
    for key in "xyz":
        put = run("store", "known", "put", key, "1", *config)
        assert put.returncode == OK, put.stderr
    cluster.kill("m")  # Comes back as a standby; a write counts again when there is a new master.
    put = run("store", "known", "put", "x", "2", *config)
    assert put.returncode == OK, put.stderr
    assert run("store", "known", "get", "x", "y", *config).stdout == b"x\t2\ny\t1\n"
    roles = re.findall('"role":"(.*?)"', (cluster.folder / "site.state/m.log").read_text())
    assert roles == ["master", "standby"]
    assert all((cluster.folder / f"known{end}/data.mdb").exists() for end in ("", ".a", ".b"))


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
    public = secret.with_suffix(".key")
    def content():
        return [line for line in public.read_text().splitlines() if not line.startswith("#")]  # A date.
    same = content()
    cluster.stop()
    public.unlink()
    cluster.start()
    assert content() == same and secret.read_bytes() == before
    cluster.stop()
    kept = secret.rename(secret.with_name("kept"))
    refused = cluster.run("start", "--generate-keys")
    assert refused.returncode == FAILURE and b"bring the secret half back" in refused.stderr
    kept.rename(secret)
    cluster.start()
    stranger = run("ping", "--peer", f"ipc://{cluster.folder}/m", "--timeout", "2")
    assert stranger.returncode != OK


def flaws(cluster, text):
    checked = cluster.write(text).run("check")
    assert checked.returncode == USAGE
    return checked.stderr.decode().replace(str(cluster.file), "F").replace(str(cluster.folder), "FOLDER")


NODE = '[[node]]\nname = "a"\nrole = "worker"\nlisten = "IPC/a"\n'
OTHER = NODE.replace('"a"', '"b"').replace("IPC/a", "IPC/b")
STANDBY = '[stores.s]\nmaster = "a"\nfolder = "f"\nstandbys = ["b"]\n'


@pytest.mark.parametrize("text, expected", [
    ("", "F: no nodes; add a table [[node]]"),
    ("name = \n", "F:1: "),
    ("nme = 1\n" + NODE, "F:1: cluster: unknown key nme; did you mean name?"),
    (NODE + "lsten = 1\n", "F:5: node a: unknown key lsten; did you mean listen?"),
    (NODE.replace("worker", "werker"), "F:3: node a: role: expected worker, manager, proxy"),
    (NODE + NODE, "F:6: node a: line 1 has this name already"),
    (NODE + NODE.replace('"a"', '"b"'), "F:8: node b: listen: a listens there already"),
    (NODE.replace("IPC/a", "tcp://127.0.0.1:0"), "F:4: node a: listen: the others must know the port"),
    (NODE.replace("IPC/a", "ipc:///" + "x" * 120), "F:4: node a: listen: the path is longer than 107"),
    (NODE.replace("IPC/a", "udp://x"), "F:4: node a: listen: expected tcp://HOST:PORT"),
    (NODE + 'peers = ["b"]\n', 'F:5: node a: peers: no node is called "b"'),
    (NODE + 'peers = ["a"]\n', "F:5: node a: peers: it cannot peer with itself"),
    (NODE + 'peers = "b"\n', 'F:5: peers: expected a list of texts, peers = ["..."]'),
    (NODE + OTHER + 'peers = ["a", "a"]\n', "F:9: node b: peers: a is there twice; leave one out"),
    (NODE + 'logs = "x"\n', "F:5: node a: logs is for loggers without a command only"),
    (NODE + 'command = [""]\n', "F:5: node a: command: expected a program and its arguments"),
    (NODE + "command = []\n", "F:5: node a: command: expected a program and its arguments"),
    (NODE.replace("worker", "logger") + 'rotate_size = "abc"\n', "F:5: rotate_size: expected a size"),
    (NODE.replace("worker", "logger") + 'rotate_size = "-5"\n', "F:5: rotate_size: expected a size"),
    (NODE.replace('"a"', '"operator"'), "F:2: name: operator is taken"),
    (NODE.replace('"a"', '"supervisor"'), "F:2: name: supervisor is taken"),
    ('[[node]]\nname = "a"\nrole = "worker"\n', "F:1: node a: it connects to nobody and nobody to it"),
    ("encrypt = false\n" + NODE.replace("IPC/a", "tcp://192.0.2.1:9"),
     "F:5: node a: listen: other machines reach it, and encrypt = false lets everybody in"),
    (NODE.replace("IPC/a", "tcp://*:9999"), "F:4: node a: listen: the others connect to this address"),
    ("settings = 5\n" + NODE, "F:1: settings: expected a table of options"),
    (NODE + '[node.settings]\npeer_timeot = "1s"\n', "F:6: node a: settings:"),
    (NODE + OTHER + '[settings.worker]\nlog_level = "x"\n', "F:10: settings.worker:"),
    (NODE + '[node.settings]\nlisten = "x"\n', "F:6: node a: settings: listen follows from the cluster"),
    ("stores = 3\n" + NODE, "F:1: stores: expected a table for each, [stores.NAME]"),
    (NODE + "[[stores]]\n", "F:5: stores: expected a table for each, [stores.NAME]"),
    (NODE + '[stores.s]\nmaster = "z"\n', 'F:6: store s: master: no node is called "z"'),
    (NODE + '[stores.s]\nmaster = "a"\nclones = ["a"]\n', "F:7: store s: clones: a is its master already"),
    (NODE + OTHER + '[stores.s]\nmaster = "a"\nclones = ["b", "b"]\n', "F:11: store s: clones: b is there twice"),
    (NODE + "".join(f'[stores.{name}]\nmaster = "a"\nfolder = "{folder}"\n'
                    for name, folder in (("s", "f"), ("t", "./f/"))),
     "F:10: store t: folder: store s is in FOLDER/f already; choose another"),
    (NODE + '[stores.s]\nmaster = "a"\ndurability = "sync"\n', "F:7: store s: durability needs a store on disk"),
    (NODE + OTHER + STANDBY + "sync_replicas = 2\n", "F:13: store s: sync_replicas: expected a whole number from 0"),
    (NODE + OTHER + STANDBY + 'electors = ["b"]\n', "F:13: store s: electors: its master, a, must be among them"),
    (NODE + OTHER + STANDBY.replace("standbys", "clones") + 'electors = ["a", "b"]\n',
     "F:13: store s: electors: b is neither its master nor a standby"),
    (NODE + OTHER + NODE.replace('"a"', '"c"').replace("IPC/a", "IPC/c")
     + STANDBY.replace('["b"]', '["b", "c"]') + 'electors = ["a", "b", "c"]\n',
     "F:13: store s: sync_replicas: 3 electors need at least 1"),
    (NODE + OTHER + STANDBY + STANDBY.replace("stores.s", "stores.t").replace('"f"', '"g"') + "sync_replicas = 1\n",
     "F:13: store t: a has store s as well"),
    (NODE + '[supervise]\nrestart_min = 5\n', 'F:6: restart_min: expected a duration'),
    (NODE + '[supervise]\nlog_size = "1"\n', "F:6: log_size: expected 4096 bytes or more"),
    ("encrypt = 1\n" + NODE, "F:1: encrypt: expected true or false"),
])
def test_check_names_the_line_and_how_to_mend_it(cluster, text, expected):
    assert expected in flaws(cluster, text)


def test_check_finds_every_mistake_at_once(cluster):
    told = flaws(cluster, "x = 1\nencrypt = 2\n" + NODE.replace("worker", "w") + "y = 1\n")
    assert [line.split(":")[2] for line in told.splitlines()] == ["1", "2", "5", "7"]


def test_check_tells_a_mistake_of_many_nodes_once(cluster):
    told = flaws(cluster, NODE + OTHER + 'peers = ["a"]\n[settings.worker]\npeer_timeot = "1s"\n')
    assert len(told.splitlines()) == 1


def test_check_finds_a_cluster_that_falls_apart(cluster):
    three = NODE + OTHER + 'peers = ["a"]\n' + NODE.replace('"a"', '"c"').replace("IPC/a", "IPC/c")
    assert flaws(cluster, three) == ("bzmq-cli: F:10: node c: peers: no way leads from c to a; let one of them "
                                     "connect to the others\n")
    agents = cluster.nodes(("a", "agent"), ("b", "agent")).run("check")
    assert agents.returncode == USAGE and b"no way leads from b to a" in agents.stderr
    assert cluster.write(three + 'peers = ["b"]\n').run("check").returncode == OK


def test_check_shows_who_connects_to_whom(cluster):
    good = cluster.nodes(("w", "worker"), ("m", "manager"), ("p", "proxy"), ("l", "logger"),
                         ("a", "agent")).run("check", "--json")
    assert good.returncode == OK, good.stderr
    peers = {node["name"]: node["peers"] for node in map(json.loads, good.stdout.splitlines())}
    assert peers == {"l": [], "m": ["l"], "p": ["l", "m"], "w": ["l", "m", "p"], "a": ["p"]}
