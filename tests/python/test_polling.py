"""Descriptors: with select, selectors, asyncio, and pyzmq's own poller."""

import asyncio
import resource
import select
import selectors

import pytest

import bzmq

from conftest import PATIENCE, eventually, run


def ready(what, timeout=0):
    return bool(select.select([what], [], [], timeout)[0])


def test_readable_while_messages_wait_and_not_before_or_after():
    with bzmq.Endpoint() as node:
        subscriber = node.make_subscriber("/t")
        assert not ready(subscriber)
        node.publish_many([("/t", 1), ("/t", 2)])
        eventually(lambda: subscriber.available() == 2)
        assert ready(subscriber) and ready(subscriber)  # level-triggered
        subscriber.get()
        assert ready(subscriber)
        subscriber.get()
        assert not ready(subscriber)
        node.shutdown()
        assert ready(subscriber, PATIENCE)  # the end can be seen


def sources(node):
    master = node.attach_master("s")
    events, proxy = master.events(), master.proxy()
    subscriber, statuses = node.make_subscriber("/t"), node.make_status_subscriber(True)
    other = bzmq.Endpoint()
    node.listen("127.0.0.1", 0)

    def stir():
        node.publish("/t", 1)
        master.put("k", 1)
        proxy.get("k")
        other.peer_url(node.listeners()[0])
    return [subscriber, statuses, events, proxy], stir, other


def test_selectors_take_every_kind():
    with bzmq.Endpoint() as node, selectors.DefaultSelector() as selector:
        kinds, stir, other = sources(node)
        for each in kinds:
            selector.register(each, selectors.EVENT_READ)
        assert selector.select(0) == []
        stir()
        eventually(lambda: len(selector.select(1)) == len(kinds))
        other.shutdown()


def test_pyzmqs_poller_takes_every_kind_beside_its_sockets():
    zmq = pytest.importorskip("zmq")
    with bzmq.Endpoint() as node, zmq.Context() as context:
        kinds, stir, other = sources(node)
        left, right = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
        port = left.bind_to_random_port("tcp://127.0.0.1")
        right.connect(f"tcp://127.0.0.1:{port}")
        poller = zmq.Poller()
        for each in (*kinds, left):
            poller.register(each, zmq.POLLIN)
        assert poller.poll(0) == []
        stir()
        right.send(b"x")
        wanted = {each.fileno() for each in kinds} | {left}
        eventually(lambda: set(dict(poller.poll(1000))) == wanted)
        assert left.recv() == b"x"
        left.close(), right.close()
        other.shutdown()


def test_asyncio_readers_take_them():
    async def main():
        with bzmq.Endpoint() as node, node.make_subscriber("/t") as subscriber:
            called = asyncio.Event()
            loop = asyncio.get_running_loop()
            loop.add_reader(subscriber, called.set)
            node.publish("/t", 1)
            await called.wait()
            loop.remove_reader(subscriber)
            assert subscriber.poll() == [("/t", 1)]
    run(main())


def test_waiting_does_not_spin():
    with bzmq.Endpoint() as node:
        subscriber = node.make_subscriber("/t")
        before = resource.getrusage(resource.RUSAGE_SELF)
        assert subscriber.get(1.0) is None
        after = resource.getrusage(resource.RUSAGE_SELF)
        assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.2
        node.shutdown()
