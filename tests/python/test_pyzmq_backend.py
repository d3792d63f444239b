"""The pyzmq face as a back end: programs that only know pyzmq, in processes of their own."""

import json
import os

import pytest

pytest.importorskip("zmq")

import bzmq  # noqa: E402
from conftest import PATIENCE, finish  # noqa: E402


@pytest.fixture
def pyzmq(program):
    """Runs a program that imports zmq under the back end."""
    def start(text, *arguments, carry="bzmq", **more):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("BZMQ_")}
        environment.update(PYZMQ_BACKEND="bzmq.pyzmq_backend", BZMQ_PYZMQ=carry, **more)
        return program(text, *arguments, env=environment)
    return start


SUBSCRIBER = """
import sys, zmq
context = zmq.Context.instance()
sub = context.socket(zmq.SUB)
sub.rcvtimeo = 60_000
sub.subscribe("")
sub.bind(sys.argv[1]) if sys.argv[2] == "bind" else sub.connect(sys.argv[1])
print(sub.last_endpoint.decode(), flush=True)
for _ in range(3):
    print(sub.recv_multipart(), flush=True)
sub.close(); context.term()
"""

PUBLISHER = """
import sys, zmq
context = zmq.Context()
pub = context.socket(zmq.PUB)
pub.connect(sys.argv[1])
pub.bzmq_endpoint.wait_for_subscriber("zmq/", timeout=60)   # Where libzmq's programs sleep.
pub.send(b"one"); pub.send_multipart([b"two", b"parts"]); pub.send_string("three")
pub.close(); context.term()
"""


@pytest.mark.parametrize("carry, address", [("bzmq", "bzmq://127.0.0.1:*"), ("all", "tcp://127.0.0.1:*")])
def test_processes_talk(pyzmq, carry, address):
    sub = pyzmq(SUBSCRIBER, address, "bind", carry=carry)
    finish(pyzmq(PUBLISHER, sub.stdout.readline().strip(), carry=carry))
    assert finish(sub).splitlines() == ["[b'one']", "[b'two', b'parts']", "[b'three']"]


def test_what_is_not_bzmq_stays_libzmqs(program, pyzmq):
    """A stock PUB without the back end feeds a SUB under it over tcp."""
    sub = pyzmq(SUBSCRIBER, "tcp://127.0.0.1:*", "bind")
    stock = PUBLISHER.replace('pub.bzmq_endpoint.wait_for_subscriber("zmq/", timeout=60)',
                              "pub.recv()").replace("zmq.PUB", "zmq.XPUB")
    finish(program(stock, sub.stdout.readline().strip(),
                   env={k: v for k, v in os.environ.items() if k != "PYZMQ_BACKEND"}))
    assert finish(sub).splitlines() == ["[b'one']", "[b'two', b'parts']", "[b'three']"]


MIXED = """
import zmq
context = zmq.Context()
pub, sub, push, pull = (context.socket(kind) for kind in (zmq.PUB, zmq.SUB, zmq.PUSH, zmq.PULL))
early = sub.fd                                    # Asked for before it is known what carries the socket.
pub.bind("bzmq://127.0.0.1:*"); pull.bind("tcp://127.0.0.1:*")
sub.connect(pub.last_endpoint.decode()); push.connect(pull.last_endpoint.decode())
sub.subscribe("")
assert sub.fd == early
pub.bzmq_endpoint.wait_for_subscriber("zmq/", timeout=60)
poller = zmq.Poller()
poller.register(sub, zmq.POLLIN); poller.register(pull, zmq.POLLIN)
pub.send(b"a"); push.send(b"b")
seen = {}
while len(seen) < 2:
    seen.update(dict(poller.poll(60_000)))
assert sub.recv() == b"a" and pull.recv() == b"b"
assert push.bzmq_endpoint is None
for change in (lambda: sub.connect("tcp://127.0.0.1:1"), lambda: sub.setsockopt(zmq.TOS, 8)):
    try:
        change()
    except zmq.ZMQError as problem:
        assert problem.errno == zmq.ENOTSUP
        print(problem)
late = context.socket(zmq.SUB)
late.setsockopt(zmq.TOS, 8)                       # libzmq's until it is carried.
try:
    late.connect("bzmq://127.0.0.1:1")
except zmq.ZMQError as problem:
    print(problem)
stock = context.socket(zmq.PUB)
stock.bind("inproc://x")
try:
    stock.bind("bzmq://127.0.0.1:*")
except zmq.ZMQError as problem:
    print(problem)
context.destroy()
"""


def test_both_kinds_in_one_program(pyzmq):
    lines = finish(pyzmq(MIXED)).splitlines()
    assert [line.split(":")[0] for line in lines] == ["tcp", "TOS", "TOS", "bzmq"]


TOOLS = """
import asyncio, logging, zmq, zmq.asyncio
from zmq import devices
from zmq.decorators import context, socket
from zmq.log.handlers import PUBHandler

@context()
@socket(zmq.PUB)
@socket(zmq.SUB)
def decorated(made, pub, sub):
    port = pub.bind_to_random_port("bzmq://127.0.0.1")
    sub.connect(f"bzmq://127.0.0.1:{port}")
    sub.subscribe("log")
    pub.bzmq_endpoint.wait_for_subscriber("zmq/log", timeout=60)
    handler = PUBHandler(pub)
    handler.root_topic = "log"
    logger = logging.getLogger("x"); logger.setLevel(logging.INFO); logger.addHandler(handler)
    logger.info("hello")
    print(sub.recv_multipart())
    logger.removeHandler(handler)

async def main():
    made = zmq.asyncio.Context()
    pub, sub = made.socket(zmq.PUB), made.socket(zmq.SUB)
    port = pub.bind_to_random_port("bzmq://127.0.0.1")
    sub.connect(f"bzmq://127.0.0.1:{port}")
    sub.subscribe("")
    pub.bzmq_endpoint.wait_for_subscriber("zmq/", timeout=60)
    waiting = asyncio.ensure_future(sub.recv_multipart())
    await asyncio.sleep(0)
    await pub.send_multipart([b"x", b"y"])
    print(await asyncio.wait_for(waiting, 60))
    made.destroy()

decorated()
asyncio.run(main())
queue = devices.ThreadMonitoredQueue(zmq.PAIR, zmq.PAIR, zmq.PUB, b"in", b"out")
made = zmq.Context()
watch = made.socket(zmq.SUB); watch.subscribe(""); watch.bind("bzmq://127.0.0.1:*")
left, right = made.socket(zmq.PAIR), made.socket(zmq.PAIR)
for each, connect in ((left, queue.connect_in), (right, queue.connect_out)):
    connect(f"tcp://127.0.0.1:{each.bind_to_random_port('tcp://127.0.0.1')}")
queue.connect_mon(watch.last_endpoint.decode())
queue.start()
while not watch.bzmq_endpoint.peers() or watch.bzmq_endpoint.peers()[0].state != 2:
    watch.poll(5)
watch.bzmq_endpoint.await_filter_entry("zmq/", timeout=60)  # The queue's end knows what we want.
left.send(b"through")
print(right.recv(), watch.recv_multipart())
made.destroy()
queue.context_factory().term()
"""


def test_what_pyzmq_brings_works_on_top(pyzmq):
    lines = finish(pyzmq(TOOLS)).splitlines()
    assert lines == ["[b'log.INFO', b'hello\\n']", "[b'x', b'y']",
                     "b'through' [b'in', b'through']"]


def test_a_wrong_switch_is_told(pyzmq):
    process = pyzmq("import zmq", carry="everything")
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1 and "BZMQ_PYZMQ" in errors and "everything" in errors


CTRL_C = """
import os, signal, threading, zmq
sub = zmq.Context().socket(zmq.SUB)
sub.connect("bzmq://127.0.0.1:1")
threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    sub.recv()
except KeyboardInterrupt:
    print("interrupted")
sub.close()
"""


def test_ctrl_c_ends_a_wait(pyzmq):
    assert finish(pyzmq(CTRL_C)) == "interrupted\n"


# -- Keys: pyzmq's certificates, C++ peers --------------------------------------------------------

CURVE_SUB = """
import sys, zmq, zmq.auth
url, own, server = sys.argv[1:]
sub = zmq.Context().socket(zmq.SUB)
sub.curve_publickey, sub.curve_secretkey = zmq.auth.load_certificate(own)
sub.curve_serverkey = zmq.auth.load_certificate(server)[0]
sub.rcvtimeo = 60_000
sub.subscribe("")
sub.connect(url)
print(sub.recv_multipart(), flush=True)
"""

CURVE_PUB = """
import sys, zmq, zmq.auth
pub = zmq.Context().socket(zmq.PUB)
pub.curve_server = True
pub.curve_publickey, pub.curve_secretkey = zmq.auth.load_certificate(sys.argv[1])
pub.bind("bzmq://127.0.0.1:*")
print(pub.last_endpoint.decode(), flush=True)
pub.bzmq_endpoint.wait_for_subscriber("zmq/", 2, timeout=60)
pub.send_multipart([b"secret", b"news"])
while len(pub.bzmq_endpoint.peers()) == 2:     # Until somebody has it and goes.
    pub.poll(5, zmq.POLLIN)
pub.close()
"""


@pytest.fixture
def certificates(tmp_path):
    """Made by pyzmq ("server") and by bzmq ("client", "stranger")."""
    import zmq.auth
    zmq.auth.create_certificates(tmp_path, "server")
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    for name in ("client", "stranger"):
        bzmq.Certificate.generate({"name": name}).write(tmp_path / name)
    (allowed / "client.key").write_bytes((tmp_path / "client.key").read_bytes())
    assert zmq.auth.load_certificate(tmp_path / "client.key_secret")[1]
    assert bzmq.Certificate.load(str(tmp_path / "server.key_secret")).public_key.encode() == \
        zmq.auth.load_certificate(tmp_path / "server.key")[0]
    return tmp_path


def test_keys_between_pyzmq_programs_and_the_command_line(pyzmq, start, certificates):
    at = str(certificates)
    pub = pyzmq(CURVE_PUB, f"{at}/server.key_secret", BZMQ_ALLOW=f"{at}/allowed")
    url = pub.stdout.readline().strip()
    stranger = pyzmq(CURVE_SUB.replace("60_000", "500"), url, f"{at}/stranger.key_secret", f"{at}/server.key")
    cli = start("tools/bzmq-cli", "sub", "--peer", url.replace("bzmq://", "tcp://"), "--cert",
                f"{at}/client.key_secret", "--server-key", f"{at}/server.key", "zmq/", "-n", "1",
                "--format", "json", "--timeout", "60")
    sub = pyzmq(CURVE_SUB, url, f"{at}/client.key_secret", f"{at}/server.key")
    assert finish(sub) == "[b'secret', b'news']\n"
    got = json.loads(cli.line(PATIENCE))
    assert got["topic"] == "zmq/secret" and "news" in json.dumps(got)
    _, errors = stranger.communicate(timeout=PATIENCE)
    assert "zmq.error.Again" in errors      # It never got in.


def test_the_command_line_publishes_to_a_pyzmq_program(pyzmq, start):
    sub = pyzmq(SUBSCRIBER, "bzmq://127.0.0.1:*", "bind")
    url = sub.stdout.readline().strip().replace("bzmq://", "tcp://")
    start("tools/bzmq-cli", "pub", "--peer", url, "--wait", "--timeout", "60", "zmq/weather/rome", "mild",
          "21", "{a -> 1s}")
    first, second, third = finish(sub).splitlines()
    assert first == "[b'weather/rome', b'mild']"
    assert second.startswith("[b'weather/rome', b'") and third.startswith("[b'weather/rome', b'{")


AUTHENTICATED = """
import sys
import bzmq.zmq as zmq
import bzmq.zmq.auth
from bzmq.zmq.auth.thread import ThreadAuthenticator
folder, handler = sys.argv[1:]
context = zmq.Context()
authenticator = ThreadAuthenticator(context)
authenticator.start()
pub = context.socket(zmq.PUB)
pub.curve_server = True
pub.curve_publickey, pub.curve_secretkey = bzmq.zmq.auth.load_certificate(f"{folder}/server.key_secret")
if handler == "silent":
    try:
        pub.bind("tcp://127.0.0.1:*")
    except zmq.ZMQError as problem:
        assert problem.errno == zmq.ENOTSUP
        print(problem)
else:
    authenticator.configure_curve("*", f"{folder}/allowed")
    pub.bind("tcp://127.0.0.1:*")
    def join(name):
        sub = context.socket(zmq.SUB)
        sub.curve_publickey, sub.curve_secretkey = bzmq.zmq.auth.load_certificate(f"{folder}/{name}.key_secret")
        sub.curve_serverkey = bzmq.zmq.auth.load_certificate(f"{folder}/server.key")[0]
        sub.subscribe(name)
        sub.connect(pub.last_endpoint.decode())
        return sub
    stranger, client = join("stranger"), join("client")
    print(pub.bzmq_endpoint.wait_for_subscriber("zmq/client", timeout=60))
    print(pub.bzmq_endpoint.wait_for_subscriber("zmq/stranger", timeout=0.3))
    pub.send(b"client hello")
    print(client.recv())
    for each in (stranger, client):
        each.close()
pub.close()
authenticator.stop()
context.term()
"""


@pytest.mark.parametrize("handler", ["silent", "told"])
def test_an_authenticator_decides_who_comes_in(program, certificates, handler):
    lines = finish(program(AUTHENTICATED, certificates, handler)).splitlines()
    if handler == "silent":
        assert len(lines) == 1 and "ZAP handler" in lines[0]
    else:
        assert lines == ["True", "False", "b'client hello'"]


IRONHOUSE = """
import sys, zmq, zmq.auth
from zmq.auth.thread import ThreadAuthenticator
folder, address = sys.argv[1:]
context = zmq.Context.instance()
auth = ThreadAuthenticator(context)
auth.start()
auth.allow("127.0.0.1")
auth.configure_curve(domain="*", location=folder + "/allowed")
pub = context.socket(zmq.PUB)
pub.curve_publickey, pub.curve_secretkey = zmq.auth.load_certificate(folder + "/server.key_secret")
pub.curve_server = True
try:
    port = pub.bind_to_random_port(address)
    def join(name):
        sub = context.socket(zmq.SUB)
        sub.curve_publickey, sub.curve_secretkey = zmq.auth.load_certificate(f"{folder}/{name}.key_secret")
        sub.curve_serverkey = zmq.auth.load_certificate(folder + "/server.key")[0]
        sub.subscribe(b"")
        sub.connect(f"{address}:{port}")
        return sub
    stranger, client = join("stranger"), join("client")
    while not client.poll(100):
        pub.send(b"Hello")
    print(client.recv(), stranger.poll(300))
    stranger.close(0), client.close(0)
except zmq.ZMQError as problem:
    print(problem)
auth.stop()
pub.close(0)
"""


@pytest.mark.parametrize("address", ["tcp://127.0.0.1", "tcp://*"])
def test_pyzmqs_own_authenticator_decides_who_comes_in(pyzmq, certificates, address):
    """A program that knows nothing of bzmq. What it says of addresses holds at the loopback, or is refused."""
    told = finish(pyzmq(IRONHOUSE, certificates, address, carry="all")).strip()
    if "*" in address:
        assert "loopback" in told
    else:
        assert told == "b'Hello' 0"
