"""One object read by `async for` and by the other calls: nothing vanishes between them, and the descriptor
tells what is there."""

import asyncio
import os
import select
import threading

import pytest

import bzmq
import bzmq.asyncio

from conftest import PATIENCE, eventually, run


def ready(what, timeout=0):
    return bool(select.select([what], [], [], timeout)[0])


async def first(source):
    async for each in source:
        return each


def messages(node):
    made = node.make_subscriber("/t")
    node.publish_many(("/t", i) for i in range(6))
    eventually(lambda: made.available() == 6)
    return made, lambda each: each.value


def events(node):
    store = node.attach_master("s")
    made = store.events()
    for i in range(6):
        store.put(i, i).wait()
    eventually(lambda: made.available() == 6)
    return made, lambda each: each.key


def statuses(node):
    made = node.make_status_subscriber()
    for i in range(6):
        node.peer("127.0.0.1", 1, retry=0)
    eventually(lambda: made.available() >= 6)
    return made, lambda each: each.code()


SOURCES = [messages, events, statuses]


@pytest.mark.parametrize("make", SOURCES)
def test_async_for_takes_what_it_yields_and_no_more(endpoints, make):
    source, of = make(endpoints(log_level="off"))
    everything = source.available()
    seen = [of(run(first(source)))]
    assert source.available() == everything - 1 and ready(source)
    seen.append(of(source.get() if make is not events else source.get(PATIENCE)))
    seen.append(of(run(first(source))))
    assert source.available() == everything - 3
    seen.append(of(next(iter(source))))
    seen += [of(each) for each in source.poll()]
    assert len(seen) == everything and source.available() == 0 and not ready(source)
    if make is not statuses:
        assert seen == list(range(6))


def test_async_for_takes_one_answer_of_a_proxy(endpoints):
    store = endpoints().attach_master("s")
    proxy = store.proxy()
    asked = {proxy.get(i) for i in range(4)}
    eventually(lambda: ready(proxy))
    answered = {run(first(proxy)).id}
    answered |= {each.id for each in proxy.receive(3, PATIENCE)}
    assert answered == asked and not ready(proxy)


def test_pyzmqs_poller_sees_what_async_for_left(endpoints):
    zmq = pytest.importorskip("zmq")
    source, _ = messages(endpoints())
    run(first(source))
    poller = zmq.Poller()
    poller.register(source, zmq.POLLIN)
    assert dict(poller.poll(0)) == {source.fileno(): zmq.POLLIN}
    assert len(source.poll()) == 5 and poller.poll(0) == []


def test_the_asyncio_subscriber_counts_what_it_read_ahead():
    async def main():
        async with bzmq.asyncio.Endpoint() as node:
            source = node.make_subscriber("/t")
            assert not ready(source)
            node.publish_many(("/t", i) for i in range(6))
            eventually(lambda: source.available() == 6)
            assert (await first(source)).value == 0
            assert source._own.available() == 0  # read ahead
            assert source.available() == 5 and ready(source)
            assert (await source.get()).value == 1
            assert [each.value for each in await source.get(2)] == [2, 3]
            assert [each.value for each in source.poll(1)] == [4]
            assert ready(source)
            assert [each.value for each in source.poll()] == [5]
            assert source.available() == 0 and not ready(source)
            node.publish("/t", 6)
            eventually(lambda: ready(source))
            assert (await first(source)).value == 6 and not ready(source)
    run(main())


def test_a_loop_reads_it_by_its_descriptor():
    """As programs do that mix `add_reader` with the calls."""
    async def main():
        async with bzmq.asyncio.Endpoint() as node:
            source, found, done = node.make_subscriber("/t"), [], asyncio.Event()
            node.publish_many(("/t", i) for i in range(300))
            eventually(lambda: source.available() == 300)
            found.append((await first(source)).value)

            def read():
                found.extend(each.value for each in source.poll(7))
                if len(found) == 300:
                    done.set()
            asyncio.get_running_loop().add_reader(source, read)
            await done.wait()
            asyncio.get_running_loop().remove_reader(source)
            assert found == list(range(300))
    run(main())


def test_what_a_cancelled_task_had_gathered_is_there_for_every_call():
    async def main():
        async with bzmq.asyncio.Endpoint(log_level="off") as node:
            for source, stir in ((node.make_subscriber("/t"), lambda: node.publish("/t", 1)),
                                 (node.make_status_subscriber(),
                                  lambda: node.peer_nosync("127.0.0.1", 1, 0))):
                task = asyncio.create_task(source.get(1000))
                await asyncio.sleep(0)
                stir()
                eventually(source._own.available)
                while source._own.available():
                    await asyncio.sleep(0.001)
                assert source.available() == 0  # the task has it
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert source.available() >= 1 and ready(source)
                assert len(source.poll()) >= 1 and not source.poll()
    run(main())


def test_what_an_interrupted_get_had_gathered_makes_it_readable(endpoints):
    node = endpoints()
    source = node.make_subscriber("/t")
    assert not ready(source)
    node.publish("/t", 1)
    eventually(lambda: source.available() == 1)

    def interrupt():
        import signal
        eventually(lambda: source.available() == 0)  # get(2) has it
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        source.get(2)
        threading.Event().wait(PATIENCE)
    thread.join()
    assert source.available() == 1 and ready(source)
    assert source.get(1.0) == ("/t", 1) and not ready(source)
    node.publish("/t", 2)
    assert ready(source, PATIENCE) and run(first(source)) == ("/t", 2)


def test_the_end_ends_async_for_of_each(endpoints):
    async def everything(source):
        return [each async for each in source]

    for make in SOURCES:
        node = endpoints(log_level="off")
        source, _ = make(node)
        node.shutdown()
        assert len(run(everything(source))) >= 6
