"""Python peers beside C++ ones, in processes of their own, with keys."""

import datetime
import os
import subprocess

import pytest

import bzmq

from conftest import PATIENCE, finish


@pytest.fixture
def keys(tmp_path):
    """Key pairs whose owners let each other in."""
    allowed = tmp_path / "allowed"
    allowed.mkdir()

    def make(name):
        made = bzmq.Certificate.generate({"owner": name})
        made.write(tmp_path / name)
        bzmq.Certificate(made.public_key).write(allowed / name)
        return str(tmp_path / f"{name}.key_secret")

    make.allowed = str(allowed)
    make.public = lambda name: str(tmp_path / f"{name}.key")
    return make


@pytest.fixture
def node(start, keys):
    """A bzmq-cli node with keys; yields (url, public key file, options of a Python peer)."""
    from cli_processes import Node
    mine, theirs = keys("python"), keys("node")
    process = start("tools/bzmq-cli", "hub", "--cert", theirs, "--allow", keys.allowed, kind=Node)
    return process.url, dict(cert=mine, server_key=keys.public("node"))


def test_python_and_the_command_line_talk_with_keys(node, start, endpoints):
    url, options = node
    endpoint = endpoints(**options)
    endpoint.peer_url(url, timeout=PATIENCE)
    assert endpoint.peers()[0].public_key == bzmq.Certificate.load(options["server_key"]).public_key
    subscriber = endpoint.make_subscriber("/from/cli")
    assert subscriber.wait_ready(PATIENCE)
    more = ("--peer", url, "--cert", options["cert"], "--server-key", options["server_key"])
    start("tools/bzmq-cli", "pub", *more, "/from/cli", "hello", "5", "80/tcp", "{a -> 5s}", "--wait",
          "--reliable", "--timeout", "60")
    assert [m.value for m in subscriber.get(4, PATIENCE)] == [
        "hello", bzmq.Count(5), bzmq.Port(80, bzmq.Port.TCP), {"a": datetime.timedelta(seconds=5)}]
    reader = start("tools/bzmq-cli", "sub", *more, "/from/python", "-n", "3", "--timeout", "60")
    assert endpoint.wait_for_subscriber("/from/python", timeout=PATIENCE)
    endpoint.publish_many([("/from/python", v) for v in ("hi", bzmq.Count(7), {"k": (1, None)})],
                          reliable=True)
    assert reader.rest() == [b"/from/python hi", b"/from/python 7",
                             b'/from/python {"k" -> (int(1), nil)}']


def test_a_peer_without_an_allowed_key_is_told(node, endpoints, keys, tmp_path):
    url, options = node
    stranger = bzmq.Certificate.generate()
    stranger.write(tmp_path / "stranger")
    outside = endpoints(**{**options, "cert": str(tmp_path / "stranger.key_secret")}, log_level="off")
    with pytest.raises(bzmq.errors.PeerNotAuthenticated):
        outside.peer_url(url, retry=0, timeout=PATIENCE)


PEER = """
import sys, bzmq
url, cert, key, name = sys.argv[1:]
with bzmq.Endpoint(cert=cert, server_key=key, name=name) as node:
    subscriber = node.make_subscriber("/all/")
    node.peer_url(url, timeout=60)
    assert subscriber.wait_ready(60) and node.wait_for_subscriber("/all/", 2, 60)
    node.publish_many([(f"/all/{name}", i) for i in range(1000)], reliable=True)
    found = {}
    while len(found) < 3 or min(map(len, found.values())) < 1000:
        topic, value = subscriber.get()
        found.setdefault(topic, []).append(value)
    assert all(values == list(range(1000)) for values in found.values()), found
    print(*sorted(found))
    sys.stdin.read()  # until all are done: nobody leaves before the others have all
"""


def test_python_processes_meet_over_a_cpp_relay(node, program):
    url, options = node
    peers = [program(PEER, url, options["cert"], options["server_key"], name, stdin=subprocess.PIPE)
             for name in ("a", "b", "c")]
    # Also through the local delivery of their own.
    lines = [each.stdout.readline() for each in peers]
    assert lines == ["/all/a /all/b /all/c\n"] * 3, [each.stderr.read() for each in peers]
    for each in peers:
        finish(each)


def test_a_python_clone_follows_a_cpp_master(start, endpoints):
    master = start("examples/example_store_master", "tcp://127.0.0.1:0")
    url = master.line().decode().split()[-1]
    endpoint = endpoints()
    endpoint.peer_url(url, timeout=PATIENCE)
    clone = endpoint.attach_clone("inventory")
    assert clone.await_sync(PATIENCE)
    assert clone["apples"] == 3
    assert clone.increment("apples", bzmq.Count(2)).wait(PATIENCE).value == 5
    clone.put("bye", None).wait(PATIENCE)
    assert b"update apples 5" in master.rest()
    assert master.wait() == 0


def test_a_cpp_clone_follows_a_python_master(start, endpoints):
    endpoint = endpoints()
    endpoint.listen("127.0.0.1", 0)
    store = endpoint.attach_master("inventory")
    store.put("apples", bzmq.Count(3))
    store.put("pears", bzmq.Count(5)).wait()
    clone = start("examples/example_store_clone", endpoint.listeners()[0])
    lines = clone.rest()
    assert clone.wait() == 0, clone.error_text()
    assert lines[:3] == [b"apples = 3", b"apples = 5", b"pears = 6: written"]
    assert store["pears"] == 6 and "bye" in store


# -- pyzmq's certificates -------------------------------------------------------------------------

def test_certificates_of_pyzmq_are_read_and_ours_by_pyzmq(tmp_path, endpoints):
    zmq = pytest.importorskip("zmq")
    auth = pytest.importorskip("zmq.auth")
    public_file, secret_file = auth.create_certificates(tmp_path, "theirs")
    theirs = bzmq.Certificate.load(secret_file)
    assert (theirs.public_key.encode(), theirs.secret_key.encode()) == auth.load_certificate(secret_file)
    assert theirs.secret_key not in repr(theirs)
    ours = bzmq.Certificate.generate({"owner": "tests"})
    ours.write(tmp_path / "ours")
    assert auth.load_certificate(tmp_path / "ours.key") == (ours.public_key.encode(), None)
    assert auth.load_certificate(tmp_path / "ours.key_secret") == (
        ours.public_key.encode(), ours.secret_key.encode())
    assert zmq.curve_public(ours.secret_key.encode()) == ours.public_key.encode()
    assert os.stat(tmp_path / "ours.key_secret").st_mode & 0o777 == 0o600
    assert bzmq.Certificate.load(tmp_path / "ours.key").metadata == {"owner": "tests"}
    with pytest.raises(bzmq.errors.CannotWriteFile):
        ours.write(tmp_path / "ours")
    server = endpoints(cert=secret_file, allow=str(tmp_path / "ours.key"))
    client = endpoints(cert=str(tmp_path / "ours.key_secret"), server_key=public_file)
    server.listen("127.0.0.1", 0)
    assert client.peer_url(server.listeners()[0], timeout=PATIENCE) == server.node_id()
