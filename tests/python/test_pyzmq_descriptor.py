"""The descriptor that pyzmq's programs watch, and polls over sockets of both kinds."""

import asyncio
import os
import select
import selectors
import threading
import time

import pytest

pytest.importorskip("zmq")

import zmq as stock  # noqa: E402

import bzmq.zmq as zmq  # noqa: E402
import bzmq.zmq.asyncio  # noqa: E402
from conftest import PATIENCE, eventually, run  # noqa: E402

MS = PATIENCE * 1000


@pytest.fixture
def context():
    with zmq.Context() as made:
        yield made
        for each in list(made._sockets):
            each.close()


@pytest.fixture
def pair(context):
    return connect(context, context.socket(zmq.PUB), context.socket(zmq.SUB))


def connect(context, pub, sub, prefix=""):
    pub.bind("tcp://127.0.0.1:*")
    sub.connect(pub.last_endpoint.decode())
    sub.subscribe(prefix)
    assert pub.bzmq_endpoint.wait_for_subscriber("zmq/", timeout=PATIENCE)
    return pub, sub


def readable(fd, timeout=0):
    return bool(select.select([fd], [], [], timeout)[0])


def arrived(sub, count):
    """Waits until so many messages are there, without a look that the socket would notice."""
    eventually(lambda: sub._carrier._subscriber.available() == count)


@pytest.mark.parametrize("attach_first", [True, False])
def test_it_signals_changes_and_a_look_takes_the_signal_back(context, attach_first):
    sub = context.socket(zmq.SUB)
    early = None if attach_first else sub.fd
    pub, sub = connect(context, context.socket(zmq.PUB), sub)
    fd = sub.fd
    assert early in (None, fd) and fd == sub.fileno() == sub.getsockopt(zmq.FD)
    assert sub.events == 0 and not readable(fd)
    for look in (lambda: sub.events, lambda: sub.recv(zmq.NOBLOCK)):
        pub.send(b"1")
        assert readable(fd, PATIENCE)
        assert readable(fd)                 # It stays until somebody looks.
        look()
        assert not readable(fd)             # Even though the message may still be there.
    assert sub.events == zmq.POLLIN and sub.recv() == b"1"
    assert sub.events == 0
    with pytest.raises(zmq.Again):
        sub.recv(zmq.NOBLOCK)
    pub.send(b"2")
    assert readable(fd, PATIENCE)
    sub.setsockopt(zmq.RCVTIMEO, 0)
    assert sub.recv() == b"2" and not readable(fd)
    pub_fd = pub.fd
    pub.events, pub.send(b"3")
    assert not readable(pub_fd)             # A PUB may always send: no change, no signal.


def test_a_burst_is_few_signals(pair):
    """A reader that takes all each time is woken once for each time that something came to nothing."""
    pub, sub = pair
    fd, wakes, got = sub.fd, 0, 0
    sub.events
    for _ in range(20):
        for _ in range(500):
            pub.send(b"x" * 64)
        arrived(sub, 500)
        while readable(fd):
            wakes += 1
            while sub.events & zmq.POLLIN:
                sub.recv(zmq.NOBLOCK)
                got += 1
    assert got == 10_000 and 20 <= wakes <= 40


def test_an_idle_socket_costs_no_time(pair):
    pub, sub = pair
    sub.fd, sub.events
    waits = {
        "select": lambda: select.select([sub.fd], [], [], 0.5),
        "poll": lambda: sub.poll(500),
        "recv": lambda: with_timeout(sub, 500),
    }
    for name, wait in waits.items():
        cpu, began = time.process_time(), time.monotonic()
        wait()
        assert time.monotonic() - began > 0.45, name
        assert time.process_time() - cpu < 0.1, name


def with_timeout(sub, milliseconds):
    sub.rcvtimeo = milliseconds
    with pytest.raises(zmq.Again):
        sub.recv()


def test_a_message_that_waits_does_not_make_asyncio_spin():
    async def main():
        with zmq.asyncio.Context() as made:
            pub, sub = connect(made, made.socket(zmq.PUB), made.socket(zmq.SUB))
            await pub.send(b"waits")
            assert await sub.poll(MS)
            cpu = time.process_time()
            await asyncio.sleep(0.5)
            assert time.process_time() - cpu < 0.1
            assert await sub.recv() == b"waits"
            pub.close(), sub.close()
    run(main())


def test_no_wake_up_is_lost_under_stress(context):
    """Publishers that stop and go; an edge-triggered reader that sleeps for ever would miss the end."""
    sub = context.socket(zmq.SUB)
    sub.bind("tcp://127.0.0.1:*")
    sub.subscribe("")
    writers, count = 3, 3000

    def write(number):
        pub = context.socket(zmq.PUB)
        pub.connect(sub.last_endpoint.decode())
        assert pub.bzmq_endpoint.wait_for_subscriber("zmq/", timeout=PATIENCE)
        for i in range(count):
            pub.send_multipart([b"%d" % number, b"%d" % i])
            if i % 7 == number:
                time.sleep(0)
            if i % 500 == number:
                time.sleep(0.002)
        done.wait(PATIENCE)
        pub.close()
    done = threading.Event()
    threads = [threading.Thread(target=write, args=(i,)) for i in range(writers)]
    for each in threads:
        each.start()
    selector = selectors.DefaultSelector()
    selector.register(sub.fd, selectors.EVENT_READ)
    got = {b"%d" % i: [] for i in range(writers)}
    left = writers * count
    while left:
        while sub.events & zmq.POLLIN:      # Before the wait, as libzmq's manual has it.
            who, what = sub.recv_multipart(zmq.NOBLOCK)
            got[who].append(int(what))
            left -= 1
        if left:
            assert selector.select(PATIENCE), f"a wake-up was lost: {left} more are to come"
    done.set()
    for each in threads:
        each.join()
    assert all(each == list(range(count)) for each in got.values())


def test_asyncio_reads_all_under_stress():
    count = 20_000

    async def main():
        with zmq.asyncio.Context() as made:
            pub, sub = connect(made, made.socket(zmq.PUB), made.socket(zmq.SUB))

            async def write():
                for i in range(count):
                    await pub.send(b"%d" % i)
                    if i % 100 == 0:
                        await asyncio.sleep(0)
            writer = asyncio.ensure_future(write())
            for i in range(count):
                assert await sub.recv() == b"%d" % i
            await writer
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(sub.recv(), 0.01)
            await pub.send(b"after a cancelled recv")
            assert await sub.recv() == b"after a cancelled recv"
            poller = zmq.asyncio.Poller()
            poller.register(sub, zmq.POLLIN)
            polled = asyncio.ensure_future(poller.poll(MS))
            await asyncio.sleep(0)
            await pub.send(b"x")
            assert dict(await polled) == {sub: zmq.POLLIN}
            pub.close(), sub.close()
    run(main())


def test_a_poll_over_both_kinds(pair, context):
    """Overlay sockets, libzmq's, descriptors and bzmq's own objects in one poller."""
    pub, sub = pair
    push, pull = context.socket(zmq.PUSH), context.socket(zmq.PULL)
    pull.bind("inproc://pull")
    push.connect("inproc://pull")
    reader, writer = os.pipe()
    poller = zmq.Poller()
    for each in (sub, pull, reader):
        poller.register(each, zmq.POLLIN)
    poller.register(pub, zmq.POLLOUT)
    assert poller.poll(0) == [(pub, zmq.POLLOUT)]
    poller.unregister(pub)
    assert poller.poll(0) == [] and poller.poll(20) == []
    pub.send(b"a")
    assert poller.poll(MS) == [(sub, zmq.POLLIN)]
    push.send(b"b")
    os.write(writer, b"c")
    eventually(lambda: dict(poller.poll(0)) == {sub: zmq.POLLIN, pull: zmq.POLLIN, reader: zmq.POLLIN})
    assert sub.recv() == b"a" and pull.recv() == b"b" and os.read(reader, 1) == b"c"
    for send, source in ((lambda: pub.send(b"1"), sub), (lambda: push.send(b"2"), pull),
                         (lambda: os.write(writer, b"3"), reader)):
        timer = threading.Timer(0.05, send)
        timer.start()
        assert poller.poll(MS) == [(source, zmq.POLLIN)]
        os.read(source, 1) if source == reader else source.recv()
        timer.join()
    assert zmq.select([sub, reader], [pub], [], 0) == ([], [pub], [])
    os.close(reader), os.close(writer)


def test_a_real_pollers_raw_descriptors(context, endpoints):
    """bzmq's own subscribers beside carried sockets in either poller; stock sockets in ours."""
    node = endpoints()
    messages = node.make_subscriber("/t/")
    with stock.Context() as other:
        pull = other.socket(stock.PULL)
        pull.bind_to_random_port("tcp://127.0.0.1")
        for kind in (zmq.Poller, stock.Poller):
            poller = kind()
            poller.register(messages, zmq.POLLIN)
            poller.register(pull, zmq.POLLIN)
            assert poller.poll(0) == []
            node.publish("/t/", 1)
            assert dict(poller.poll(MS)) == {messages.fileno(): zmq.POLLIN}
            assert messages.get().value == 1
        pull.close()
