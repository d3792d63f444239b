"""Subscriptions whose messages go to a callback, and stores that change their master."""

import threading

import pytest

import bzmq
import bzmq.asyncio

from conftest import PATIENCE, eventually, run


class Log(list):
    """What the callbacks were called with, in order; all on one thread."""

    def note(self, name):
        def callback(*arguments):
            self.append((name, *arguments, threading.current_thread().name))
        return callback


def test_messages_come_in_order_between_init_and_end(pair):
    publisher, subscriber = pair
    log = Log()
    worker = subscriber.subscribe("/t/", log.note("next"), log.note("init"), log.note("end"))
    assert publisher.wait_for_subscriber("/t/", timeout=PATIENCE)
    publisher.publish_many(("/t/", i) for i in range(100))
    eventually(lambda: len(log) == 101)
    worker.stop()
    assert worker.wait(PATIENCE)
    assert [each[0] for each in log] == ["init"] + ["next"] * 100 + ["end"]
    assert [each[1].value for each in log[1:-1]] == list(range(100))
    assert log[-1][1] is None or log[-1][1].code() == bzmq.EC.NoError
    assert {each[-1] for each in log} == {"bzmq-worker"}


def test_what_a_callback_raises_ends_the_subscription(endpoints):
    node, log = endpoints(), Log()

    def fail(message):
        raise RuntimeError(message.value)
    worker = node.subscribe("/t/", fail, on_end=log.note("end"))
    node.publish_many([("/t/", "first"), ("/t/", "second")])
    assert worker.wait(PATIENCE)
    assert len(log) == 1 and str(log[0][1]) == "first"


def test_it_may_be_stopped_from_its_callback_and_ends_with_the_endpoint(endpoints):
    node, log = endpoints(), Log()
    holder = []

    def stop(message):
        holder[0].stop()
        log.append(holder[0].wait())         # At once: it cannot wait for itself.
    ready = threading.Event()
    holder.append(node.subscribe("/t/", stop, ready.wait))
    node.publish("/t/", 1)
    ready.set()
    assert holder[0].wait(PATIENCE) and log == [False]
    ended = Log()
    worker = node.subscribe("/t/", lambda message: None, on_end=ended.note("end"))
    assert not worker.wait(0.01)
    node.shutdown()
    assert worker.wait(PATIENCE) and ended[0][1].code() == bzmq.EC.ShuttingDown


def test_a_standby_takes_the_masters_place(endpoints, tmp_path):
    first, second, third = endpoints(name="first"), endpoints(name="second"), endpoints(name="third")
    master = first.attach_master("s", bzmq.Backend.LMDB, path=str(tmp_path / "first"), sync_replicas=1)
    port = first.listen("127.0.0.1", 0)
    assert second.peer("127.0.0.1", port, timeout=PATIENCE)
    standby = second.attach_clone("s", standby={"path": str(tmp_path / "second")})
    assert standby.await_sync(PATIENCE)
    told = master.info()
    assert not told.standby and [(each.at, each.standby) for each in told.clones] == [(second.node_id(), True)]
    assert standby.info().standby and not standby.info().master
    master.put("key", "value").wait()
    assert standby.await_sync(PATIENCE)
    # It has the write on disk, and is told a moment later that it counts.
    eventually(lambda: standby.get("key", None) == "value")
    assert third.peer("127.0.0.1", second.listen("127.0.0.1", 0), timeout=PATIENCE)
    first.shutdown()
    assert third.promote_store("s", second.node_id(), PATIENCE) == second.node_id()
    eventually(standby.is_master)
    standby.put("key", "new").wait()
    copy = third.attach_clone("s")
    assert copy.await_sync(PATIENCE) and copy.get("key") == "new"


def test_a_standby_is_promoted_where_it_is(endpoints, tmp_path):
    first, second = endpoints(log_level="off"), endpoints()
    master = first.attach_master("s", bzmq.Backend.LMDB, path=str(tmp_path / "first"), sync_replicas=1)
    first.attach_master("plain").promote(PATIENCE)  # It is master already.
    assert second.peer("127.0.0.1", first.listen("127.0.0.1", 0), timeout=PATIENCE)
    with pytest.raises(bzmq.errors.InvalidConfiguration):
        second.attach_clone("plain").promote(PATIENCE)
    standby = second.attach_clone("s", standby={"path": str(tmp_path / "second"), "durability": "sync"})
    assert standby.await_sync(PATIENCE)
    master.put("key", "value").wait()
    first.shutdown()
    news = second.make_status_subscriber(receive_statuses=True)
    standby.promote(PATIENCE)
    assert standby.is_master() and standby.info().commits > 0
    while (told := news.get(float(PATIENCE))).code() != bzmq.SC.StorePromoted:
        pass
    assert "store s: " in told.message() and "store s: " in str(told)
    standby.put("key", "new").wait()
    assert standby.get("key") == "new"


def test_a_standby_is_promoted_with_asyncio(tmp_path):
    async def main():
        async with bzmq.asyncio.Endpoint() as first, bzmq.asyncio.Endpoint() as second:
            master = await first.attach_master("s", bzmq.Backend.LMDB, path=str(tmp_path / "first"),
                                               sync_replicas=1)
            assert await second.peer("127.0.0.1", first.listen("127.0.0.1", 0), timeout=PATIENCE)
            standby = await second.attach_clone("s", standby={"path": str(tmp_path / "second")})
            await master.promote(PATIENCE)  # It is master already.
            assert await standby.await_sync(PATIENCE)
            await master.put("key", "value")
            await first.shutdown()
            await standby.promote(PATIENCE)
            assert standby.is_master() and await standby.get("key") == "value"
            await standby.put("key", "new")
    run(main())


def test_electors_elect_a_master_among_them(endpoints, tmp_path):
    """Of three, when the first master ends."""
    names = ["a", "b", "c"]
    nodes = [endpoints(name=name, log_level="off") for name in names]
    ports = [each.listen("127.0.0.1", 0) for each in nodes]
    assert nodes[1].peer("127.0.0.1", ports[0], timeout=PATIENCE)
    assert nodes[2].peer("127.0.0.1", ports[0], timeout=PATIENCE)
    assert nodes[2].peer("127.0.0.1", ports[1], timeout=PATIENCE)

    def how(name):
        return {"path": str(tmp_path / name), "electors": names, "elector": name, "failover_timeout": 0.5,
                "sync_replicas": 1}

    master = nodes[0].attach_master("s", bzmq.Backend.LMDB, how("a"))
    others = [node.attach_clone("s", standby=how(name)) for node, name in zip(nodes[1:], names[1:])]
    assert all(each.await_sync(PATIENCE) for each in others)
    eventually(master.is_master)
    master.put("key", "value").wait(PATIENCE)
    nodes[0].shutdown()
    eventually(lambda: any(each.is_master() for each in others))
    heir = next(each for each in others if each.is_master())
    assert heir.get("key") == "value"


def test_options_that_a_master_does_not_have_are_told(endpoints, tmp_path):
    node = endpoints()
    with pytest.raises(bzmq.errors.InvalidConfiguration, match="colour"):
        node.attach_clone("s", standby={"colour": "red"})
    with pytest.raises(bzmq.errors.InvalidConfiguration, match="durability"):
        node.attach_master("s", bzmq.Backend.LMDB, path=str(tmp_path), durability="some")


def test_a_callback_that_exits_ends_its_subscription(endpoints):
    log = Log()
    node = endpoints()

    def leave(_message):
        raise SystemExit(3)

    worker = node.subscribe("/t", leave, on_end=log.note("end"), queue_messages=2, overflow="block")
    node.publish_many(("/t", i) for i in range(100))   # Nobody waits for a reader that is gone.
    assert worker.wait(PATIENCE)
    assert len(log) == 1 and isinstance(log[0][1], SystemExit)
