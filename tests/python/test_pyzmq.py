"""The pyzmq face as a module: `import bzmq.zmq as zmq`."""

import errno
import os
import socket
import threading
import time

import pytest

pytest.importorskip("zmq")

import bzmq  # noqa: E402
import bzmq.zmq as zmq  # noqa: E402
from zmq import Context as LibzmqContext  # noqa: E402
from bzmq._pyzmq.messages import HEAD_MAX  # noqa: E402
from conftest import PATIENCE, eventually, interrupt_when  # noqa: E402

LOCAL = "tcp://127.0.0.1"
MS = PATIENCE * 1000


@pytest.fixture
def context():
    with zmq.Context() as made:
        made.sockopts[zmq.RCVTIMEO] = MS
        made.sockopts[zmq.LINGER] = 0
        yield made
        for each in list(made._sockets):
            each.close()


def bound(made, kind=zmq.PUB, address=LOCAL):
    """A bound socket and its address."""
    one = made.socket(kind)
    one.bind(f"{address}:*" if "tcp" in address or "bzmq" in address else address)
    return one, one.last_endpoint.decode()


def connected(made, *addresses, topics=(b"",), kind=zmq.SUB):
    one = made.socket(kind)
    for each in topics:
        one.subscribe(each)
    for each in addresses:
        one.connect(each)
    return one


def known(pub, prefix=b"", count=1):
    """Waits until `pub` knows `count` subscribers of exactly this much."""
    assert pub.bzmq_endpoint.wait_for_subscriber(b"zmq/" + prefix[:HEAD_MAX], count, PATIENCE)


def nothing(sub):
    with pytest.raises(zmq.Again):
        sub.recv(zmq.NOBLOCK)


def drained(pub, *subs):
    """What has been published until now has come to every one that wants it: a last message follows it."""
    pub.send(b"\xffend")
    for each in subs:
        got = each.recv_multipart()
        assert got == [b"\xffend"], got


MESSAGES = [[b""], [b"a"], [b"", b""], [b"a", b""], [b"", b"b", b"c"], [b"\xff\x00", b"\xff"],
            [b"x" * (HEAD_MAX - 1)], [b"x" * HEAD_MAX], [b"x" * (HEAD_MAX + 1), b"y"], [b"z" * 100_000],
            [b"t", b"z" * 1_000_000], [b"p%d" % i for i in range(200)]]


@pytest.mark.parametrize("address", [LOCAL, "ipc", "inproc://here", "bzmq://127.0.0.1"])
def test_messages_arrive_as_they_were_sent(context, tmp_path, address):
    pub, at = bound(context, address=f"ipc://{tmp_path}/s" if address == "ipc" else address)
    sub = connected(context, at)
    known(pub)
    for each in MESSAGES:
        pub.send_multipart(each)
    assert [sub.recv_multipart() for _ in MESSAGES] == MESSAGES
    frames = []
    pub.send_multipart([b"a", b"b"])
    while not frames or frames[-1].more:
        frames.append(sub.recv(copy=False))
    assert [each.bytes for each in frames] == [b"a", b"b"] and sub.getsockopt(zmq.RCVMORE) == 0


def test_every_form_of_send_and_recv(context):
    pub, at = bound(context)
    sub = connected(context, at)
    known(pub)
    pub.send_string("tést")
    pub.send_json({"a": [1, None]})
    pub.send_pyobj({1, 2})
    pub.send_serialized((1, 2), lambda pair: [b"%d" % each for each in pair])
    assert pub.send(b"tracked", copy=False, track=True).done
    pub.send(zmq.Frame(b"frame"))
    pub.send(bytearray(b"array"), zmq.SNDMORE)
    pub.send(memoryview(b"view"), copy=False)
    assert sub.recv_string() == "tést" and sub.recv_json() == {"a": [1, None]}
    assert sub.recv_pyobj() == {1, 2}
    assert sub.recv_serialized(lambda parts: tuple(map(int, parts))) == (1, 2)
    assert sub.recv() == b"tracked" and sub.recv() == b"frame" and sub.recv_multipart() == [b"array", b"view"]
    with pytest.raises(TypeError):
        pub.send("text")
    with pytest.raises(ValueError):
        pub.send(zmq.Frame(b"x", track=False), copy=False, track=True)
    for wrong in (pub.recv, lambda: sub.send(b"x")):
        with pytest.raises(zmq.ZMQError) as why:
            wrong()
        assert why.value.errno == zmq.ENOTSUP


def test_prefixes_are_counted_and_may_be_longer_than_a_topic(context):
    pub, at = bound(context)
    long = b"p" * (HEAD_MAX + 10)
    sub = connected(context, at, topics=(long + b"yes", b"\xff", b"a", b"a"))
    for each in (long, b"a"):
        known(pub, each)
    pub.send(long + b"no")
    pub.send(long + b"yes, and more")
    assert sub.recv() == long + b"yes, and more"
    sub.unsubscribe(b"a")
    pub.send(b"abc")
    assert sub.recv() == b"abc"         # One of two subscriptions is left.
    pub.send(b"a waits")
    pub.send(b"\xff waits")
    assert sub.poll(MS)
    eventually(lambda: sub._carrier._subscriber.available() + len(sub._carrier._inbox) == 2)
    sub.unsubscribe(b"a")
    assert sub.recv() == b"\xff waits"  # What matches no more is not seen, though it had come.
    sub.unsubscribe(b"never subscribed")
    drained(pub, sub)


def test_a_message_goes_only_where_sockets_are_connected(context):
    """Two publishers and a forwarder in one context, as in libzmq: nobody hears who he is not connected to."""
    (one, at_one), (two, at_two) = bound(context), bound(context)
    front = connected(context, at_one, kind=zmq.XSUB, topics=())
    back, at_back = bound(context, zmq.XPUB)
    ended = threading.Event()

    def forward():
        with pytest.raises(zmq.ContextTerminated):
            zmq.proxy(front, back)
        front.close(), back.close()
        ended.set()
    threading.Thread(target=forward, daemon=True).start()
    behind, directly = connected(context, at_back), connected(context, at_one)
    both = connected(context, at_one, at_two)
    known(one, count=3)
    known(two)
    one.send(b"1")
    two.send(b"2")
    assert behind.recv() == directly.recv() == b"1"
    assert {both.recv(), both.recv()} == {b"1", b"2"}
    drained(one, behind, directly, both)   # Once each, also for who could hear it twice.
    drained(two, both)
    for each in (one, two, behind, directly, both):
        each.close()
    context.term()
    assert ended.wait(PATIENCE)


@pytest.mark.parametrize("kind", [zmq.SUB, zmq.XPUB], ids=["sub_binds", "xpub_binds"])
def test_what_an_xpub_sends_when_it_hears_a_subscription_arrives(context, kind):
    for _ in range(10):
        one, at = bound(context, kind)
        other = context.socket(zmq.SUB if kind == zmq.XPUB else zmq.XPUB)
        sub, xpub = (other, one) if kind == zmq.XPUB else (one, other)
        sub.subscribe("")
        other.connect(at)
        assert xpub.recv() == b"\x01"
        xpub.send(b"first")
        xpub.send(b"second")
        assert sub.recv() == b"first"


def test_an_xpub_hears_those_whom_it_is_connected_with(context):
    (one, at_one), (two, at_two) = bound(context, zmq.XPUB), bound(context, zmq.XPUB)
    both = connected(context, at_one, at_two, topics=(b"both",))
    far = connected(context, at_two, topics=(b"far",))
    assert {two.recv(), two.recv()} == {b"\x01both", b"\x01far"}
    assert one.recv() == b"\x01both"
    # It knows that there is a link to where the far one is,
    eventually(lambda: any(len(each.links) == 2 for each in one.bzmq_endpoint.topology()))
    both.subscribe("last")
    assert one.recv() == b"\x01last"  # and does not hear it.
    far.close()


def test_many_publishers_connect_to_a_bound_subscriber(context):
    sub, at = bound(context, zmq.SUB)
    sub.subscribe("")
    pubs = [connected(context, at, kind=zmq.PUB, topics=()) for _ in range(3)]
    for i, each in enumerate(pubs):
        known(each)
        each.send(b"%d" % i)
    assert {sub.recv() for _ in pubs} == {b"0", b"1", b"2"}
    other, elsewhere = bound(context)
    sub.connect(elsewhere)                 # Binds and connects.
    known(other)
    other.send(b"other")
    assert sub.recv() == b"other"


def test_bzmq_addresses_reach_the_whole_overlay(context, endpoints):
    hub, far = endpoints(), endpoints()
    url = f"127.0.0.1:{hub.listen('127.0.0.1', 0)}"
    assert far.peer_url(f"tcp://{url}", timeout=PATIENCE)
    pub = connected(context, f"bzmq://{url}", kind=zmq.PUB, topics=())
    sub = connected(context, f"bzmq://{url}")
    native = far.make_bytes_subscriber("zmq/")
    known(pub, count=2)
    pub.send_multipart([b"weather", b"21"])
    assert sub.recv_multipart() == [b"weather", b"21"]
    topic, value = native.get(float(PATIENCE))
    assert (topic, value) == (b"zmq/weather", b"21")
    assert far.wait_for_subscriber("zmq/x", timeout=PATIENCE)
    far.publish("zmq/x", (1, "text", None))
    far.publish("zmq/y", 2.5)
    assert sub.recv_multipart() == [b"x", bzmq.Data(1).to_json().encode(), b"text",
                                    bzmq.Data(None).to_json().encode()]
    assert sub.recv_multipart() == [b"y", bzmq.Data(2.5).to_json().encode()]
    with pytest.raises(zmq.ZMQError, match="bzmq://") as why:
        sub.connect("tcp://127.0.0.1:1")
    assert why.value.errno == zmq.ENOTSUP


def test_ports_are_free_after_unbind_and_close(context):
    pub, at = bound(context)
    sub = connected(context, at)
    known(pub)
    other = context.socket(zmq.PUB)
    with pytest.raises(zmq.ZMQError) as why:
        other.bind(at)
    assert why.value.errno == zmq.EADDRINUSE
    for _ in range(10):
        pub.unbind(at)
        other.bind(at)
        other.unbind(at)
        pub.bind(at)
    pub.unbind(at)
    other.bind(at)
    known(other)                            # It has connected again.
    other.close()
    pub.bind(at)
    known(pub)
    sub.disconnect(at)
    eventually(lambda: not pub.bzmq_endpoint.peers())
    for wrong in (pub.unbind, sub.disconnect):
        with pytest.raises(zmq.ZMQError) as why:
            wrong(at + "0")
        assert why.value.errno == errno.ENOENT
    assert pub.bind_to_random_port(LOCAL) and pub.bind_to_random_port(LOCAL, 20_000, 60_000)


def test_who_connects_first_waits_for_who_binds(context):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        at = f"{LOCAL}:{free.getsockname()[1]}"
    early, inside = connected(context, at), connected(context, "inproc://later")
    pub = context.socket(zmq.PUB)
    pub.bind("inproc://later")
    pub.send(b"at once")                    # As in libzmq: connected when bind returns.
    assert inside.recv() == b"at once"
    with pytest.raises(zmq.ZMQError) as why:
        context.socket(zmq.PUB).bind("inproc://later")
    assert why.value.errno == zmq.EADDRINUSE
    pub.bind(at)
    known(pub, count=2)
    pub.send(b"later")
    assert early.recv() == b"later"


def test_waits_end_by_time_context_and_signal(context):
    sub = connected(context)                # Attached to nothing.
    began = time.monotonic()
    sub.rcvtimeo = 50
    with pytest.raises(zmq.Again):
        sub.recv()
    assert time.monotonic() - began >= 0.05
    pub, at = bound(context)
    sub = connected(context, at)
    waiting = threading.Event()
    thread = interrupt_when(waiting.is_set)
    with pytest.raises(KeyboardInterrupt):
        waiting.set()
        sub.recv()
    thread.join()
    for kind in ("recv", "poll"):
        made = zmq.Context()
        other = connected(made, at)
        ended = []

        def wait():
            try:
                getattr(other, kind)()
            except zmq.ContextTerminated as problem:
                ended.append(problem.errno)
            other.close()
        thread = threading.Thread(target=wait)
        thread.start()
        made.term()
        thread.join()
        assert ended == [zmq.ETERM], kind


def test_high_water_marks_and_conflate(context):
    pub, at = bound(context)
    few, last = context.socket(zmq.SUB), context.socket(zmq.SUB)
    few.rcvhwm, last.conflate = 10, 1
    for each in (few, last):
        each.subscribe("")
        each.connect(at)
    known(pub, count=2)
    for i in range(100):
        pub.send(b"%d" % i)
    eventually(lambda: last._carrier._subscriber.dropped() == 99)
    # As in libzmq: a full SUB holds its messages up at the PUB, which has room for them.
    assert [few.recv() for _ in range(100)] == [b"%d" % i for i in range(100)]
    nothing(few)
    assert last.recv() == b"99"
    nothing(last)
    with pytest.raises(zmq.ZMQError, match="CONFLATE"):
        pub.conflate = 1


def test_a_full_subscriber_of_the_overlay_drops_itself(context):
    pub, at = bound(context, address="bzmq://127.0.0.1")
    few = context.socket(zmq.SUB)
    few.rcvhwm = 10
    few.subscribe("")
    few.connect(at)
    known(pub)
    for i in range(100):
        pub.send(b"%d" % i)
    eventually(lambda: few._carrier._subscriber.dropped() == 90)
    assert [few.recv() for _ in range(10)] == [b"%d" % i for i in range(10)]
    nothing(few)


def test_a_publisher_drops_what_a_subscriber_does_not_read(context):
    pub, sub = context.socket(zmq.PUB), context.socket(zmq.SUB)
    pub.sndhwm, sub.rcvhwm = 10, 10
    sub.subscribe("")
    sub.connect(f"{LOCAL}:{pub.bind_to_random_port(LOCAL)}")
    known(pub)
    payload = b"x" * 1_000_000
    for _ in range(100):
        pub.send(payload)                    # Never waits.
    got = 0
    while sub.poll(200):
        sub.recv()
        got += 1
    assert 10 <= got < 100


def test_close_waits_for_a_slow_reader(context):
    pub, sub = context.socket(zmq.PUB), context.socket(zmq.SUB)
    sub.rcvhwm = 10
    sub.subscribe("")
    sub.connect(f"{LOCAL}:{pub.bind_to_random_port(LOCAL)}")
    known(pub)
    count, payload = 300, b"x" * 100_000
    got = []

    def read():
        for _ in range(count):
            got.append(len(sub.recv()))
            time.sleep(0.008)
    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(count):
        pub.send(payload)
    pub.setsockopt(zmq.LINGER, -1)
    pub.close()                              # More than the two seconds of an endpoint's shutdown.
    reader.join(PATIENCE)
    assert len(got) == count
    stuck, deaf = context.socket(zmq.PUB), context.socket(zmq.SUB)
    deaf.rcvhwm = 1
    deaf.subscribe("")
    deaf.connect(f"{LOCAL}:{stuck.bind_to_random_port(LOCAL)}")
    known(stuck)
    for _ in range(count):
        stuck.send(payload)
    began = time.monotonic()
    stuck.close(linger=100)
    assert time.monotonic() - began < PATIENCE / 4


def test_an_xpub_that_drops_nothing_waits_or_says_again(context):
    pub, sub = context.socket(zmq.XPUB), context.socket(zmq.SUB)
    pub.setsockopt(zmq.XPUB_NODROP, 1)
    pub.sndhwm = 10
    sub.subscribe("")
    port = pub.bind_to_random_port(LOCAL)
    sub.connect(f"{LOCAL}:{port}")
    known(pub)
    payload = b"x" * 100_000
    sent = 0
    with pytest.raises(zmq.Again):
        while sent < 10_000:
            pub.send(payload, zmq.NOBLOCK)
            sent += 1
        pytest.fail("1 GB found room")
    pub.sndtimeo = 100
    began = time.monotonic()
    with pytest.raises(zmq.Again):
        while True:
            pub.send(payload)
            sent += 1
    assert time.monotonic() - began >= 0.1
    reader = threading.Thread(target=lambda: [sub.recv() for _ in range(sent + 1)])
    reader.start()
    pub.sndtimeo = MS
    pub.send(b"last")
    reader.join(PATIENCE)
    assert not reader.is_alive()


def test_high_water_marks_bound_all_that_is_on_the_way(context):
    """At both ends, in the peer's queue, ahead of it and behind it."""
    pub, sub = context.socket(zmq.XPUB), context.socket(zmq.SUB)
    pub.setsockopt(zmq.XPUB_NODROP, 1)
    pub.sndhwm = sub.rcvhwm = 5
    sub.subscribe("")
    sub.connect(f"{LOCAL}:{pub.bind_to_random_port(LOCAL)}")
    known(pub)
    pub.sndtimeo = 300
    sent = 0
    with pytest.raises(zmq.Again):
        while sent < 100_000:
            pub.send(b"x" * 1000)
            sent += 1
    assert 10 <= sent <= 1000                # libzmq: some 4000, in the kernel's buffers


def test_a_message_that_is_too_long_says_so(context):
    pub, _ = bound(context)
    long = b"x" * ((64 << 20) + 1024)
    for parts in ([long], [b"t", long], [b"t", long, b"y"], [b"t", long[1024:], b"y"]):
        with pytest.raises(zmq.ZMQError) as told:
            pub.send_multipart(parts)
        assert told.value.errno == errno.EMSGSIZE
    pub.send_multipart([b"t", long[2048:]])


def test_an_xpub_hears_who_subscribes(context):
    xpub, at = bound(context, zmq.XPUB)
    sub = connected(context, at, topics=(b"a", b"\xff"))
    assert {xpub.recv(), xpub.recv()} == {b"\x01a", b"\x01\xff"}
    xsub = connected(context, at, topics=(), kind=zmq.XSUB)
    xsub.send(b"\x01b")
    assert xpub.poll(MS) and xpub.recv() == b"\x01b"
    xsub.send(b"\x00b")
    assert xpub.recv() == b"\x00b"
    xpub.send(b"abc")
    assert sub.recv() == b"abc"
    sub.close()
    assert {xpub.recv(), xpub.recv()} == {b"\x00a", b"\x00\xff"}
    with pytest.raises(zmq.ZMQError, match="XSUB") as why:
        xsub.send(b"hello")
    assert why.value.errno == zmq.ENOTSUP


def test_a_monitor_tells_what_happens(context):
    from zmq.utils.monitor import recv_monitor_message
    pub, sub = context.socket(zmq.PUB), context.socket(zmq.SUB)
    at_pub, at_sub = pub.get_monitor_socket(), sub.get_monitor_socket()

    def until(monitor, last):
        seen = []
        while last not in seen:
            seen.append(recv_monitor_message(monitor)["event"])
        return seen
    pub.bind(f"{LOCAL}:*")
    sub.connect(pub.last_endpoint.decode())
    assert until(at_sub, zmq.EVENT_HANDSHAKE_SUCCEEDED) == [
        zmq.EVENT_CONNECT_DELAYED, zmq.EVENT_CONNECTED, zmq.EVENT_HANDSHAKE_SUCCEEDED]
    assert until(at_pub, zmq.EVENT_HANDSHAKE_SUCCEEDED) == [
        zmq.EVENT_LISTENING, zmq.EVENT_ACCEPTED, zmq.EVENT_HANDSHAKE_SUCCEEDED]
    pub.close()
    assert until(at_sub, zmq.EVENT_DISCONNECTED) == [zmq.EVENT_DISCONNECTED]
    sub.disable_monitor()
    assert zmq.EVENT_MONITOR_STOPPED in until(at_sub, zmq.EVENT_MONITOR_STOPPED)


def test_addresses_that_cannot_be_say_so_as_in_libzmq(context, tmp_path):
    one = context.socket(zmq.PUB)
    for address, code in (("ftl://a", zmq.EPROTONOSUPPORT), ("tcp://", errno.EINVAL), ("tcp:*", errno.EINVAL),
                          ("tcp://127.0.0.1", errno.EINVAL), ("tcp://127.0.0.1:70000", errno.EINVAL),
                          ("udp://127.0.0.1:1", zmq.ENOTSUP), (f"ipc://{tmp_path}/no/s", errno.ENOENT),
                          ("ipc://" + "a" * 200, errno.ENAMETOOLONG)):
        with pytest.raises(zmq.ZMQError) as why:
            one.bind(address)
        assert why.value.errno == code, address
    with pytest.raises(zmq.ZMQError) as why:
        one.connect("tcp://*:1")
    assert why.value.errno == errno.EINVAL
    one.bind("tcp://lo:*")
    assert one.last_endpoint.startswith(b"tcp://127.0.0.1:")
    one.bind("tcp://*:*")
    assert one.last_endpoint.startswith(b"tcp://0.0.0.0:")
    one.bind("ipc://*")
    assert os.path.exists(one.last_endpoint.decode()[len("ipc://"):])
    path = one.last_endpoint.decode()[len("ipc://"):]
    one.close()
    assert not os.path.exists(path)
    for use in (one.bind, one.connect):
        with pytest.raises(zmq.ZMQError) as why:
            use(f"{LOCAL}:1")
        assert why.value.errno == zmq.ENOTSOCK


def test_other_sockets_are_libzmqs(context):
    req, rep = context.socket(zmq.REQ), context.socket(zmq.REP)
    rep.bind(f"{LOCAL}:*")
    req.connect(rep.last_endpoint.decode())
    req.send(b"?")
    assert rep.recv() == b"?"
    assert req.bzmq_endpoint is None and isinstance(req, zmq.Socket)


CHILD = """
import os, signal, sys
import bzmq.zmq as zmq
context = zmq.Context()
pub, sub, xpub = (context.socket(kind) for kind in (zmq.PUB, zmq.SUB, zmq.XPUB))
for each in (pub, sub, xpub):
    each.bind("tcp://127.0.0.1:*")
watched = sub.get_monitor_socket()
operations = [
    lambda: pub.send(b"x"), lambda: pub.send_multipart([b"x", b"y"]), lambda: sub.recv(zmq.NOBLOCK),
    lambda: sub.recv_multipart(), lambda: sub.poll(10), lambda: zmq.select([sub], [], [], 0.01),
    lambda: sub.EVENTS, lambda: sub.FD, lambda: sub.subscribe("a"), lambda: xpub.recv(zmq.NOBLOCK),
    lambda: pub.connect("tcp://127.0.0.1:1"), lambda: pub.bind("tcp://127.0.0.1:*"),
    lambda: sub.unbind(sub.LAST_ENDPOINT), lambda: pub.get_monitor_socket(), sub.disable_monitor]
child = os.fork()
if child == 0:
    signal.alarm(30)   # Whoever hangs is ended, and so told.
    for i, each in enumerate(operations):
        try:
            each()
        except zmq.ZMQError as problem:
            if problem.errno == zmq.ENOTSOCK:
                continue
        os._exit(100 + i)
    for each in (pub, sub, xpub):
        each.close()
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
sub.unbind(sub.LAST_ENDPOINT)   # The parent's own go on, its monitor too.
assert watched.poll(30_000)
context.destroy(linger=0)
"""


@pytest.mark.parametrize("address, number", [("tcp://nosuch.invalid:5555", errno.ENODEV),
                                             ("tcp://203.0.113.1:5555", errno.EADDRNOTAVAIL),
                                             ("ipc:///proc/nope", errno.ENOENT)])
def test_a_bind_fails_with_the_systems_number(context, address, number):
    with LibzmqContext() as libzmq:
        for each in (context, libzmq):
            with each.socket(zmq.PUB) as one, pytest.raises(zmq.ZMQError) as why:
                one.bind(address)
            assert why.value.errno == number


def test_times_become_the_endpoints():
    from bzmq._pyzmq.options import _heartbeats
    assert _heartbeats(0, -1) == {}
    assert _heartbeats(1, -1) == {"heartbeat_interval": 0.01, "peer_timeout": 0.03}
    assert _heartbeats(0, 600) == {"heartbeat_interval": 0.2, "peer_timeout": 0.6}
    assert _heartbeats(500, 100) == {"heartbeat_interval": 0.09, "peer_timeout": 0.1}
    for interval, silence in ((1, 1), (10 ** 9, -1), (10 ** 6, 1), (0, 1), (5000, 10 ** 8)):
        bzmq.Endpoint(log_level="off", **_heartbeats(interval, silence)).shutdown()


def test_a_forked_child_is_refused(program):
    out, err = program(CHILD).communicate(timeout=PATIENCE)
    assert out.strip() == "7", err
