"""bzmq.asyncio."""

import asyncio
import datetime
import gc
import os
import threading
import time

import pytest

import bzmq
import bzmq.asyncio
from bzmq import errors
from bzmq.asyncio import Endpoint

from conftest import PATIENCE, eventually, run


async def connect(one, two):
    assert await two.peer("127.0.0.1", one.listen("127.0.0.1", 0), timeout=PATIENCE)


def test_messages_come_by_async_for():
    async def main():
        async with Endpoint() as one, Endpoint() as two:
            await connect(one, two)
            subscriber = one.make_subscriber("/t")
            assert await two.wait_for_subscriber("/t") and await subscriber.wait_ready()
            two.publish_many(("/t", i) for i in range(1000))
            found = []
            async for topic, value in subscriber:
                found.append(value)
                if value == 999:
                    break
            assert found == list(range(1000))
            two.publish_many(("/t", i) for i in range(5))
            assert [m.value for m in await subscriber.get(5)] == list(range(5))
            assert await subscriber.get(timeout=0.01) is None and await subscriber.get(2, 0.01) == []
            two.publish("/t", "x")
            assert await subscriber.get() == ("/t", "x")
    run(main())


def test_the_usual_subscriber_iterates_too():
    async def main():
        with bzmq.Endpoint() as node, node.make_subscriber("/t") as subscriber:
            node.publish_many([("/t", 1), ("/t", 2)])
            async for message in subscriber:
                if message.value == 2:
                    break
    run(main())


def test_tasks_that_wait_at_what_is_closed_find_its_end():
    from bzmq import _loop

    async def next_of(source):
        return await anext(source, "end")

    async def main():
        at = _loop._waiting.setdefault(asyncio.get_running_loop(), {})
        async with Endpoint() as node:
            statuses, events = node.make_status_subscriber(True), (await node.attach_master("s")).events()
            patient = [asyncio.create_task(statuses.get()), asyncio.create_task(next_of(statuses)),
                       asyncio.create_task(next_of(events))]
            while sum(map(len, at.values())) < 3:
                await asyncio.sleep(0)
            statuses.reset()
            await asyncio.get_running_loop().run_in_executor(None, events.reset)  # On another thread.
            ended = await asyncio.gather(*patient, return_exceptions=True)
            assert isinstance(ended[0], errors.ShuttingDown) and ended[1:] == ["end", "end"]
            assert not at
            # The numbers are free, and good for others.
            del statuses, events, patient, ended
            gc.collect()
            pipes = [os.pipe() for _ in range(4)]
            waiting = [asyncio.create_task(bzmq.asyncio.readable(get)) for get, _ in pipes]
            for _, put in pipes:
                os.write(put, b"x")
            await asyncio.wait_for(asyncio.gather(*waiting), PATIENCE)
            for each in sum(pipes, ()):
                os.close(each)
    run(main())


def test_a_cancelled_get_loses_nothing():
    async def main():
        async with Endpoint() as node:
            subscriber = node.make_subscriber("/t")
            task = asyncio.create_task(subscriber.get(5))
            node.publish_many(("/t", i) for i in range(3))
            while subscriber._own.available() or task.done():
                await asyncio.sleep(0)
            await asyncio.sleep(0.02)  # lets the task take what is there; correct without it, too
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            node.publish("/t", 3)
            found = []
            for i in range(4):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0):
                        await asyncio.sleep(0.001)
                        await subscriber.get()
                found.append((await subscriber.get()).value)
            assert found == [0, 1, 2, 3]
    run(main())


def test_several_tasks_share_a_subscriber():
    async def main():
        async with Endpoint() as node:
            subscriber = node.make_subscriber("/t")
            tasks = [asyncio.create_task(subscriber.get()) for _ in range(10)]
            await asyncio.sleep(0)
            node.publish_many(("/t", i) for i in range(10))
            assert sorted([(await task).value for task in tasks]) == list(range(10))
    run(main())


def test_no_subscriber_has_a_thread():
    async def main():
        async with Endpoint() as node:
            before = len(os.listdir("/proc/self/task"))
            subscribers = [node.make_subscriber(f"/{i}/") for i in range(50)]
            tasks = [asyncio.create_task(each.get()) for each in subscribers]
            await asyncio.sleep(0)
            # The endpoint's own may still be starting.
            assert len(os.listdir("/proc/self/task")) < before + 10
            node.publish_many((f"/{i}/", i) for i in range(50))
            assert [(await each).value for each in tasks] == list(range(50))
    run(main())


def test_dialling_can_be_cancelled():
    async def main():
        async with Endpoint(log_level="off") as node:
            statuses = node.make_status_subscriber()
            task = asyncio.create_task(node.peer("127.0.0.1", 1))
            assert (await statuses.get()).code() == bzmq.EC.PeerUnavailable
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            while node.peers():
                await asyncio.sleep(0.001)
            assert not await node.peer("127.0.0.1", 1, retry=0)
            assert node.last_error() == bzmq.EC.PeerUnavailable
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await node.wait_for_subscriber("/t", timeout=None)
    run(main())


def test_giving_up_a_dial_leaves_those_of_other_tasks():
    async def main():
        async with Endpoint() as one, Endpoint(log_level="off", retry_min=0.01) as two:
            port = one.listen("127.0.0.1", 0)
            one.stop_listening(one.listeners()[0])
            news = two.make_status_subscriber()
            tasks = [asyncio.create_task(two.peer("127.0.0.1", port)) for _ in range(3)]
            await news.get()
            tasks[0].cancel()
            with pytest.raises(asyncio.CancelledError):
                await tasks[0]
            # Nor does another's time, or its only attempt.
            assert not await two.peer("127.0.0.1", port, timeout=0.05)
            assert two.last_error() == bzmq.EC.PeerTimeout
            assert not any(each.done() for each in tasks[1:])
            assert one.listen("127.0.0.1", port) == port
            assert await asyncio.gather(*tasks[1:]) == [True, True]
            # Who wants one attempt only gets it, and the others theirs.
            one.stop_listening(one.listeners()[0])
            dead = f"tcp://127.0.0.1:{port}"
            await two.unpeer_url(dead)
            with pytest.raises(bzmq.errors.PeerUnavailable):
                await asyncio.gather(*(two.peer_url(dead, retry=0) for _ in range(3)))
            once = asyncio.create_task(two.peer_url(dead, retry=0))
            await asyncio.sleep(0)
            patient = [asyncio.create_task(two.peer_url(dead)) for _ in range(2)]
            with pytest.raises(bzmq.errors.PeerUnavailable):
                await once
            assert one.listen("127.0.0.1", port) == port
            assert await asyncio.gather(*patient) == [one.node_id()] * 2
            # The last one ends the attempts, as one alone does.
            lonely = [asyncio.create_task(two.peer("127.0.0.1", 1)) for _ in range(2)]
            await asyncio.sleep(0)
            for each in lonely:
                each.cancel()
            await asyncio.gather(*lonely, return_exceptions=True)
            while len(two.peers()) > 1:
                await asyncio.sleep(0.001)
    run(main())


def test_giving_up_a_dial_leaves_a_peering_that_stands():
    async def main():
        async with Endpoint() as one, Endpoint() as two:
            await connect(one, two)
            port = int(one.listeners()[0].rpartition(":")[2])
            again = asyncio.create_task(two.peer("127.0.0.1", port))
            await asyncio.sleep(0)
            again.cancel()
            await asyncio.gather(again, return_exceptions=True)
            subscriber = one.make_subscriber("/t")
            assert await two.wait_for_subscriber("/t", timeout=PATIENCE)
            two.publish("/t", 1)
            assert await subscriber.get() == ("/t", 1)
            assert await two.peer("127.0.0.1", port, timeout=PATIENCE)
            # One that began without a task goes on, too.
            two.peer_nosync("127.0.0.1", 1)
            again = asyncio.create_task(two.peer("127.0.0.1", 1))
            await asyncio.sleep(0.01)
            again.cancel()
            await asyncio.gather(again, return_exceptions=True)
            assert len(two.peers()) == 2
    run(main())


def held_up(**options):
    """An endpoint whose publishers find no room from some message on, and who holds them up: for good,
    once the first message has come."""
    node = Endpoint(publish_queue_bytes=4096, log_level="off", **options)
    return node, node.make_subscriber("/t", 1, overflow="block")


def fill(node, subscriber, publish):
    """Publishes until there is no room any more, once the subscriber is full."""
    if not subscriber.available():
        node.publish("/t", "first")
        eventually(subscriber.available)
    for _ in range(10_000):
        try:
            publish()
        except bzmq.errors.QueueFull:
            return
    raise AssertionError("never full")


@pytest.mark.parametrize("reliable", [False, True])
def test_publish_never_holds_the_loop_up(reliable):
    async def main():
        node, subscriber = held_up()
        async with node:
            publisher, text = node.make_publisher("/t", reliable), "x" * 500
            longest = 0

            def timed(call):
                def publish():
                    nonlocal longest
                    began = time.monotonic()
                    try:
                        call()
                    finally:
                        longest = max(longest, time.monotonic() - began)
                return publish
            fill(node, subscriber, timed(lambda: node.publish("/t", text, reliable)))
            fill(node, subscriber, timed(lambda: publisher.publish(text)))
            fill(node, subscriber, timed(lambda: node.publish_batch(("/t", text), reliable=reliable)))
            fill(node, subscriber, timed(lambda: node.publish_to(node.node_id(), "/t", text, reliable)))
            with pytest.raises(bzmq.errors.QueueFull) as told:
                node.publish_many((("/t", text) for _ in range(100)), reliable)
            assert told.value.accepted < 100
            assert longest < 5  # for ever, with a wait
    run(main())


def test_awaitable_publishing_waits_for_room_without_the_loop():
    async def main():
        node, subscriber = held_up()
        async with node:
            publisher, text = node.make_publisher("/t"), "x" * 500
            sent = asyncio.create_task(node.publish_many_async(
                ("/t", (i, text)) for i in range(500)))
            ticks = 0
            while node.metrics()["publish_queue_bytes"] < 3000:
                ticks += 1
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.05)
            assert not sent.done()
            others = [asyncio.create_task(each) for each in (
                node.publish_async("/t", (500, text)), publisher.publish_async((501, text)),
                publisher.publish_many_async([(502, text), (503, text)]),
                node.publish_to_async(node.node_id(), "/t", (504, text)))]
            found = [each.value[0] for each in await subscriber.get(505)]
            assert await sent == 500 and await others[2] == 2
            await asyncio.gather(*others)
            assert found == list(range(505))
    run(main())


def test_awaitable_publishing_can_be_cancelled_and_raises_what_publish_does():
    async def main():
        node, subscriber = held_up()
        async with node:
            fill(node, subscriber, lambda: node.publish("/t", "x" * 500))
            threads = len(os.listdir("/proc/self/task"))
            for _ in range(20):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.001):
                        await node.publish_async("/t", "x" * 500)
            while len(os.listdir("/proc/self/task")) > threads:
                await asyncio.sleep(0.001)
            with pytest.raises(bzmq.errors.InvalidTopic):
                await node.publish_async("", 1)
            waiting = asyncio.create_task(node.publish_async("/t", "x" * 500))
            await asyncio.sleep(0.01)
        with pytest.raises(bzmq.errors.ShuttingDown):
            await waiting
        node, subscriber = held_up(publish_timeout=0.05)
        async with node:
            with pytest.raises(bzmq.errors.NoPathToPeer):
                await node.publish_to_async("0f8fad5b-d9cb-469f-a165-70867728950e", "/t", 1)
            fill(node, subscriber, lambda: node.publish("/t", "x" * 500))
            with pytest.raises(bzmq.errors.QueueFull):
                await node.publish_async("/t", "x" * 500)
            with pytest.raises(bzmq.errors.QueueFull) as told:
                await node.publish_many_async(("/t", "x" * 500) for _ in range(10))
            assert told.value.accepted < 10
    run(main())


def test_stores():
    async def main():
        async with Endpoint() as one, Endpoint() as two:
            await connect(one, two)
            master, clone = await one.attach_master("s"), await two.attach_clone("s")
            assert await clone.await_sync(PATIENCE)
            events = master.events()
            assert (await clone.put("k", 1)).value == 1
            assert await clone.get("k") == 1 and await clone.get("zz", None) is None
            for _ in range(100):
                clone.increment("n")  # begun, not awaited
            assert await clone.get("n") == 100
            assert (await events.__anext__()).key == "k"
            assert await clone.put_unique("u", 1) and not await clone.put_unique("u", 1)
            with pytest.raises(bzmq.errors.TypeClash):
                await clone.push("k", 1)
            with pytest.raises(KeyError):
                await clone.get_entry("zz")
            write = clone.put("cancelled", 1)
            write.cancel()
            batch = bzmq.Batch()
            batch.put("b", 1)
            await clone.apply(batch)
            assert await clone.keys() == {"k", "n", "u", "b", "cancelled"} and await clone.size() == 5
            assert (await clone.snapshot())["b"] == 1 and await clone.exists("b")
            assert [key for key, _ in await clone.range("b", "l")] == ["b", "cancelled", "k"]
            proxy = clone.proxy()
            asked = proxy.get("k")
            response = await proxy.__anext__()
            assert (response.id, response.answer) == (asked, 1)
            assert await clone.await_idle(PATIENCE)
    run(main())


def test_a_read_waits_for_a_clones_first_state_without_the_loop():
    async def main():
        async with Endpoint() as one, Endpoint() as two:
            clone = await two.attach_clone("s", get_delay=PATIENCE)
            task = asyncio.create_task(clone.get("k"))
            await asyncio.sleep(0.01)
            assert not task.done()
            master = await one.attach_master("s")
            await master.put("k", 1)
            await connect(one, two)
            assert await task == 1
    run(main())


def test_the_end_of_an_endpoint_ends_async_for():
    async def main():
        node = Endpoint()
        subscriber, statuses = node.make_subscriber("/t"), node.make_status_subscriber(True)
        node.publish("/t", 1)

        async def collect(source):
            return [each async for each in source]

        tasks = [asyncio.create_task(collect(each)) for each in (subscriber, statuses)]
        await asyncio.sleep(0)
        await node.shutdown()
        assert await tasks[0] == [("/t", 1)]
        await tasks[1]
        with pytest.raises(bzmq.errors.ShuttingDown):
            await subscriber.get()
    run(main())


def test_loops_of_several_threads_and_one_after_another():
    async def main():
        async with Endpoint() as node:
            subscriber = node.make_subscriber("/t")
            node.publish("/t", 1)
            return (await subscriber.get()).value
    threads = [threading.Thread(target=lambda: found.append(run(main()))) for _ in range(4)]
    found = []
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert found == [1] * 4 and run(main()) == 1


def test_ping():
    async def main():
        async with Endpoint() as one, Endpoint() as two:
            await connect(one, two)
            assert await one.await_peer(two.node_id())
            round_trip, path = await one.ping(two.node_id())
            assert round_trip > datetime.timedelta(0) and path == [two.node_id()]
            assert await two.unpeer("127.0.0.1", int(one.listeners()[0].rpartition(":")[2]))
    run(main())
