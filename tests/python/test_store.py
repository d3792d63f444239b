"""Stores in Python."""

import datetime
import threading

import pytest

import bzmq
from bzmq import Backend, Count

from conftest import PATIENCE, eventually


@pytest.fixture
def stores(pair):
    """A master, and a clone that has its state."""
    master = pair[0].attach_master("s")
    clone = pair[1].attach_clone("s")
    assert clone.await_sync(PATIENCE)
    return master, clone


@pytest.mark.parametrize("which", [0, 1], ids=["master", "clone"])
def test_every_operation(stores, which):
    store = stores[which]
    store.put("n", Count(5))
    store.increment("n")
    store.decrement("n", Count(2)).wait()
    assert store.get("n") == 4 and isinstance(store["n"], Count)
    assert store.increment("i", 2).wait().value == 2
    store.append("text", "ab")
    store.append("text", "c").wait()
    assert store["text"] == "abc"
    store.insert_into("set", 0)
    store.insert_into("set", "").wait()
    store.insert_into("table", 0, False)
    store.insert_into("table", "k", None).wait()
    store.push("vector", 1)
    store.push("vector", None).wait()
    assert store["set"] == {0, ""} and store["table"] == {0: False, "k": None}
    assert store["vector"] == (1, None)
    assert store.get_index_from_value("set", 0) is True
    assert store.get_index_from_value("set", 1) is False
    assert store.get_index_from_value("table", 0) is False
    assert store.get_index_from_value("vector", Count(0)) == 1
    store.remove_from("set", 0)
    store.remove_from("table", "k")
    store.pop("vector").wait()
    assert store["set"] == {""} and store["table"] == {0: False} and store["vector"] == (1,)
    assert store.put_unique("u", 0) is True and store.put_unique("u", 1) is False
    with pytest.raises(bzmq.errors.KeyExists):
        store.put_unique_nosync("u", 1).wait()
    entry = store.get_entry("u")
    assert entry.value == 0 and entry.expiry is None
    assert store.compare_and_put("u", entry.revision, 2).wait().value == 2
    with pytest.raises(bzmq.errors.RevisionMismatch):
        store.compare_and_put("u", entry.revision, 3).wait()
    with pytest.raises(bzmq.errors.TypeClash):
        store.push("n", 1).wait()
    assert store.exists("n") is True and "zz" not in store
    assert store.keys() == {"n", "i", "text", "set", "table", "vector", "u"}
    assert store.size() == len(store) == 7
    assert store.snapshot()["u"] == 2
    assert [key for key, _ in store.range("t", "u")] == ["table", "text"]
    assert [entry.value for _, entry in store.prefix("te")] == ["abc"]
    batch = bzmq.Batch()
    batch.put("b", 1)
    batch.insert_into("bs", 1)
    batch.put_unique("bu", 1)
    assert len(batch) == 3
    store.apply(batch).wait()
    assert store["b"] == store["bu"] == 1
    store.apply(batch)
    with pytest.raises(bzmq.errors.KeyExists):
        store.apply(batch).wait()
    store.erase("n").wait()
    with pytest.raises(KeyError) as told:
        store["n"]
    assert told.value.code() == bzmq.EC.NoSuchKey
    assert store.get("n", 7) == 7 and store.get("n") is None
    store.clear().wait()
    assert store.size() == 0 and bool(store)
    assert store.await_idle(PATIENCE)


def test_entries_expire(stores):
    master, clone = stores
    clone.put("k", 1, 0.05).wait()
    eventually(lambda: not clone.exists("k") and not master.exists("k"))
    master.put("k", 1, datetime.timedelta(hours=1)).wait()
    left = master.get_entry("k").expiry - bzmq.now()
    assert datetime.timedelta(minutes=50) < left <= datetime.timedelta(hours=1)


def test_events_tell_what_happened(stores):
    master, clone = stores
    events = clone.events()
    master.put("k", 1)
    master.put("k", 2)
    master.erase("k")
    master.clear()
    found = [events.get(PATIENCE) for _ in range(4)]
    assert [(each.what, each.old_value, each.new_value) for each in found] == [
        ("insert", None, 1), ("update", 1, 2), ("erase", 2, None), ("clear", None, None)]
    assert found[0].store == "s" and found[0].key == "k"
    assert events.get(0.01) is None and events.poll() == []


def test_a_proxy_answers_later(stores):
    master, clone = stores
    master.put("k", 0).wait()
    proxy = master.proxy()
    asked = {proxy.get("k"): 0, proxy.exists("zz"): False, proxy.put_unique("u", 1): True,
             proxy.keys(): None, proxy.get_index_from_value("k", 1): bzmq.errors.TypeClash,
             proxy.get("zz"): bzmq.errors.NoSuchKey}
    for response in proxy.receive(len(asked), PATIENCE):
        wanted = asked.pop(response.id)
        if isinstance(wanted, type):
            assert isinstance(response.error, wanted)
        elif wanted is not None:
            assert response.answer == wanted and type(response.answer) is type(wanted)
    assert asked == {} and proxy.receive(timeout=0.01) is None


def test_a_durable_store_comes_back(endpoints, tmp_path):
    for turn in (1, 2):
        endpoint = endpoints()
        store = endpoint.attach_master("d", Backend.LMDB, {"path": str(tmp_path / "d")},
                                       durability="sync", log_bytes=1 << 20)
        assert store.increment("starts").wait(PATIENCE).value == turn
        info = store.info()
        assert info.master and info.backend == Backend.LMDB == Backend.SQLite
        endpoint.shutdown()


def test_what_cannot_be_attached_is_told(pair, tmp_path):
    first, second = pair
    first.attach_master("one")
    eventually(lambda: _refused(second, "one"))
    with pytest.raises(bzmq.errors.InvalidConfiguration):
        first.attach_master("two", Backend.LMDB, {"nonsense": 1})
    (tmp_path / "file").write_text("")
    with pytest.raises(bzmq.errors.CannotOpenFile):
        first.attach_master("three", Backend.LMDB, path=tmp_path / "file")
    for number in (-1, 2, 7):
        with pytest.raises(ValueError):
            first.attach_master("three", number)
    with pytest.raises(TypeError):
        first.attach_clone("four", nonsense=1)


def _refused(endpoint, name):
    try:
        endpoint.attach_master(name).detach()
        return False
    except bzmq.errors.MasterExists:
        return True


def test_a_clone_without_master_says_that_it_is_stale(endpoints):
    clone = endpoints().attach_clone("nobody", get_delay=0.05)
    with pytest.raises(bzmq.errors.StaleData):
        clone.get("k")
    assert not clone.await_sync(0.01)


def test_a_handle_outlives_its_endpoint(endpoints):
    endpoint = endpoints()
    store = endpoint.attach_master("s")
    events = store.events()
    endpoint.shutdown()
    with pytest.raises(bzmq.errors.ShuttingDown):
        store.get("k")
    with pytest.raises(bzmq.errors.ShuttingDown):
        store.put("k", 1).wait()
    assert events.get() is None and list(events) == []


def test_threads_share_a_store(stores):
    master, clone = stores
    threads = [threading.Thread(target=lambda: [clone.increment("n") for _ in range(200)])
               for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert clone.await_idle(PATIENCE) and clone["n"] == 800


def test_what_cannot_be_done_to_a_value_is_told_in_words(endpoints):
    store = endpoints().attach_master("s")
    store.put("text", "a").wait()
    for write, kind in ((store.increment("text"), bzmq.errors.TypeClash),
                        (store.append("n", "a"), None), (store.increment("n"), bzmq.errors.TypeClash)):
        if kind is None:
            write.wait()
            continue
        with pytest.raises(kind) as why:
            write.wait()
        assert why.value.message()


def test_times_that_differ_by_nanoseconds_are_different_entries(endpoints):
    store = endpoints().attach_master("s")
    for i in range(3):
        store.put(bzmq.Timestamp(1_700_000_000_000_000_000 + i), i).wait()
    assert len(store.keys()) == store.size() == 3
    assert {key.nanoseconds % 10: value for key, value in store.snapshot().items()
            if isinstance(key, bzmq.Timestamp)} == {1: 1, 2: 2}
