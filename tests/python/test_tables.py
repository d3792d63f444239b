"""Tables that follow stores, and pools."""

import threading

import pytest

import bzmq
from bzmq import Pool, StoreTable
from conftest import PATIENCE, eventually


@pytest.fixture
def stores(pair):
    master, clone = pair[0].attach_master("hosts"), pair[1].attach_clone("hosts")
    assert clone.await_sync(PATIENCE)
    return master, clone


def test_a_mapping_on_both_sides(stores):
    here, there = map(StoreTable, stores)
    there["ann"] = 3
    assert here["ann"] == there["ann"] == 3 and "ann" in here and len(here) == 1
    here.update({"bob": 4, "cid": 0})
    eventually(lambda: set(there) == {"ann", "bob", "cid"})
    assert there.get("nobody") is None and there.pop("bob") == 4 and there.snapshot() == {"ann": 3, "cid": 0}
    with pytest.raises(KeyError):
        del there["bob"]
    there.clear()
    assert len(there) == 0
    with pytest.raises(TypeError):
        StoreTable(stores[0], create_expire=1, read_expire=1)


def test_changes_are_told(stores):
    told = []
    with StoreTable(stores[0], on_change=lambda *what: told.append(what)) as here:
        here["ann"] = 3
        here["ann"] = 4
        del here["ann"]
        StoreTable(stores[1], write_expire=0.05)["bob"] = 5
        eventually(lambda: len(told) == 5)
    assert told == [("created", "ann", None, 3), ("changed", "ann", 3, 4), ("removed", "ann", 4, None),
                    ("created", "bob", None, 5), ("expired", "bob", 5, None)]
    assert not any(each.name == "bzmq-table" for each in threading.enumerate())


def test_expiry_counts_from_creation_write_or_read(stores):
    store = stores[0]
    created, read = StoreTable(store, create_expire=3600), StoreTable(store, read_expire=3600)
    created["c"] = 1
    first = store.get_entry("c").expiry
    created["c"] = 2
    assert abs((store.get_entry("c").expiry - first).total_seconds()) < 1
    store.put("r", 1, 600).wait()
    soon = store.get_entry("r").expiry
    assert created["r"] == 1 and store.get_entry("r").expiry == soon
    assert read["r"] == 1
    eventually(lambda: (store.get_entry("r").expiry - soon).total_seconds() > 2400)
    revision = store.get_entry("r").revision
    assert read["r"] == 1 and store.get_entry("r").revision == revision


def test_pools(endpoints):
    first, second = endpoints(name="worker-1"), endpoints(name="worker-2")
    pool = Pool(first, "worker")
    assert second.peer("127.0.0.1", first.listen("127.0.0.1", 0), timeout=PATIENCE)
    assert pool.wait_for(2, PATIENCE)
    assert [pool.next().name for _ in range(3)] == ["worker-1", "worker-2", "worker-1"]
    assert pool.members()[1] == ("worker-2", second.node_id(), "/zeek/node/worker-2/")
    second.shutdown()
    eventually(lambda: len(pool.members()) == 1)
    assert pool.for_key("x").name == "worker-1" and Pool(first, "proxy").next() is None


def test_owners_are_the_same_as_in_cpp():
    names = [f"worker-{i}" for i in range(1, 6)]
    assert bzmq.owner_of("192.0.2.1", names) == "worker-4"   # tests/zeek/table_test.cpp
    assert bzmq.owner_of("x", []) is None
    for i in range(200):
        owner = bzmq.owner_of(str(i), names)
        if owner != "worker-5":
            assert bzmq.owner_of(str(i), names[:4]) == owner
