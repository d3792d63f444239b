"""Tables that follow stores, and pools."""

import datetime
import gc
import os
import threading
import time

import pytest

import bzmq
from bzmq import Count, Pool, StoreTable
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


def test_changes_are_told_where_python_calls_the_values_equal(stores):
    told = []
    nan = float("nan")
    with StoreTable(stores[0], on_change=lambda *what: told.append(what[:2] + (repr(what[3]),))) as here:
        for value in (0, False, 0.0, Count(0), (1,), (True,), nan, nan, "end"):
            here["x"] = value
        eventually(lambda: told and told[-1][2] == "'end'")
    assert told == [("created" if after == "0" else "changed", "x", after) for after in (
        "0", "False", "0.0", "Count(0)", "(1,)", "(True,)", "nan", "'end'")], "NaN is NaN"


@pytest.mark.parametrize("expiry, problem", [
    (0, ValueError), (-1, ValueError), (float("nan"), ValueError), (datetime.timedelta(), ValueError),
    ("1", TypeError), (True, TypeError), ([1], TypeError)])
@pytest.mark.parametrize("kind", ["create_expire", "write_expire", "read_expire"])
def test_an_expiry_is_a_time_above_0(stores, kind, expiry, problem):
    with pytest.raises(problem, match="expected an expiry"):
        StoreTable(stores[0], **{kind: expiry})


def test_closing_after_the_end_of_the_endpoint_touches_no_other_descriptor(endpoints):
    node = endpoints()
    with StoreTable(node.attach_master("hosts"), on_change=lambda *_: None) as table:
        thread = table._thread
        node.shutdown()
        thread.join(PATIENCE)
        assert not thread.is_alive()
        strangers = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(8)]
    for each in strangers:
        with pytest.raises(BlockingIOError):
            os.eventfd_read(each)
        os.close(each)
    table.close()


def test_a_table_may_be_closed_by_its_own_callback_or_not_at_all(endpoints):
    before = len(os.listdir("/proc/self/fd"))
    node = endpoints()
    here = StoreTable(node.attach_master("hosts"), on_change=lambda *_: here.close())
    thread = here._thread
    here["ann"] = 1
    thread.join(PATIENCE)
    assert not thread.is_alive()
    forgotten = StoreTable(node.attach_master("others"), on_change=lambda *_: None)
    thread = forgotten._thread
    node.shutdown()
    thread.join(PATIENCE)
    del here, forgotten, thread, node
    endpoints.made.clear()
    gc.collect()
    eventually(lambda: len(os.listdir("/proc/self/fd")) <= before)


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


def test_what_shows_all_of_it_is_one_moment_and_no_read(stores):
    store = stores[0]
    table = StoreTable(store, read_expire=3600)
    for key in ("a", "b"):
        store.put(key, 1, 600).wait()
    revision = store.info().revision
    assert dict(table.items()) == {"a": 1, "b": 1} and list(table.values()) == [1, 1]
    assert table == {"a": 1, "b": 1} and table != {"a": 1} and table == StoreTable(store) and table != 5
    assert {"a": 1, "b": 1} == table and table.copy() == table.snapshot()
    assert store.info().revision == revision
    # What goes while it is walked does not break the walk.
    seen = []
    for key, value in table.items():
        table.clear()
        seen.append((key, value))
    assert sorted(seen) == [("a", 1), ("b", 1)] and table == {}
    with pytest.raises(TypeError):
        hash(table)


def test_setdefault_and_pop_are_one_endpoints_only(stores):
    tables = [StoreTable(each, write_expire=3600) for each in stores]
    assert tables[0].setdefault("a", 1) == 1 and tables[1].setdefault("a", 2) == 1
    assert stores[0].get_entry("a").expiry is not None
    won, taken = [], []

    def race(table, mine):
        for i in range(50):
            won.append((i, table.setdefault(i, mine) == mine))
            if (got := table.pop(("job", i), None)) is not None:
                taken.append((i, got))
    for i in range(50):
        tables[0]["job", i] = i
    eventually(lambda: len(tables[1]) == 51)
    racers = [threading.Thread(target=race, args=(each, name)) for each, name in zip(tables, "xy")]
    for each in racers:
        each.start()
    for each in racers:
        each.join(PATIENCE)
    assert sorted(i for i, mine in won if mine) == list(range(50)), "one of both put each"
    assert sorted(taken) == [(i, i) for i in range(50)], "one of both got each"
    with pytest.raises(KeyError):
        tables[0].pop("nobody")
    assert tables[0].pop("nobody", None) is None
    tables[0].clear()
    tables[0]["last"] = 1
    assert tables[0].popitem() == ("last", 1)
    with pytest.raises(KeyError):
        tables[0].popitem()


def test_reads_of_an_entry_that_is_running_out_are_told_once(stores):
    master, clone = stores
    master.put("hot", 1, 600).wait()
    eventually(lambda: clone.exists("hot"))
    table = StoreTable(clone, read_expire=3600)
    before = master.info().revision
    for _ in range(5000):
        assert table["hot"] == 1
    eventually(lambda: master.info().revision > before)
    assert clone.await_idle(PATIENCE) and master.info().revision == before + 1


def test_a_hot_entry_costs_one_word_per_quarter_of_its_time(stores):
    master, clone = stores
    table = StoreTable(clone, read_expire=4)
    before, begun = master.info().revision, time.monotonic()
    table["hot"] = 1
    while master.info().revision < before + 3:
        for _ in range(100):
            assert table["hot"] == 1
    assert time.monotonic() - begun > 1.9


def test_words_about_reads_are_bounded_without_a_master(stores, pair, monkeypatch):
    monkeypatch.setattr(bzmq.table, "_TOUCHES_MAX", 10)
    master, clone = stores
    for i in range(20):
        master.put(i, i, 600).wait()
    eventually(lambda: clone.size() == 20)
    table = StoreTable(clone, read_expire=3600)
    pair[0].shutdown()
    for _ in range(100):
        assert [table[i] for i in range(20)] == list(range(20))
    assert len(table._touches) == 10 and not any(each.done() for each in table._touches.values())


def test_a_write_just_after_the_end_of_an_entry_makes_a_new_one(stores):
    store = stores[0]
    table = StoreTable(store, create_expire=3600)
    for i in range(100):
        store.put("x", -1, 1e-9)
        table["x"] = i
        entry = store.get_entry("x")
        assert entry.value == i
        assert (entry.expiry - datetime.datetime.now(datetime.timezone.utc)).total_seconds() > 3000


def test_changes_that_were_not_told_are_counted(stores):
    go_on, told = threading.Event(), []

    def slow(*change):
        go_on.wait(PATIENCE)
        told.append(change)

    with StoreTable(stores[0], on_change=slow, changes_max=10) as table:
        for i in range(100):
            table["hot"] = i
        eventually(lambda: table.dropped() >= 50)
        go_on.set()
        eventually(lambda: len(told) + table.dropped() == 100)
    assert StoreTable(stores[0]).dropped() == 0


@pytest.mark.parametrize("backend", [bzmq.Backend.Memory, bzmq.Backend.LMDB])
def test_a_table_in_memory_and_on_disk(endpoints, tmp_path, backend):
    def begin():
        home = endpoints()
        assert home.peer("127.0.0.1", port, timeout=PATIENCE)
        options = {"path": str(tmp_path / "hosts")} if backend == bzmq.Backend.LMDB else {}
        return home, home.attach_master("hosts", backend, **options)

    other = endpoints()
    port = other.listen("127.0.0.1", 0)
    home, master = begin()
    clone = other.attach_clone("hosts")
    assert clone.await_sync(PATIENCE)
    # Entries go by themselves: those that are read later than those that are only written.
    expired = []
    with StoreTable(clone, create_expire=0.5, on_change=lambda what, key, *_: expired.append(key)
                    if what == "expired" else None) as created:
        read = StoreTable(clone, read_expire=1)
        begun = time.monotonic()
        read["read"] = created["written"] = 1
        created["written"] = 2
        while time.monotonic() - begun < 1.5:
            assert read["read"] == 1
        eventually(lambda: expired == ["written"])
        assert "written" not in created
        eventually(lambda: expired == ["written", "read"])
    # And what does not go is there after a restart.
    table = StoreTable(clone, write_expire=3600)
    table.update({"ann": 3, "bob": 4})
    expiry = master.get_entry("ann").expiry
    home.shutdown()
    home, master = begin()
    if backend == bzmq.Backend.Memory:
        assert StoreTable(master) == {}
        return
    assert StoreTable(master) == {"ann": 3, "bob": 4} and master.get_entry("ann").expiry == expiry
    table["ann"] = 5
    assert StoreTable(master)["ann"] == 5


@pytest.fixture
def star(endpoints):
    """A manager, and three whose names tell nothing."""
    manager = endpoints(name="manager")
    port = manager.listen("127.0.0.1", 0)
    others = [endpoints(name=name) for name in ("sniffer-a", "worker-1", "worker-10")]
    for each in others:
        assert each.peer("127.0.0.1", port, timeout=PATIENCE)
    return manager, *others


def work(endpoint):
    return endpoint.make_subscriber([bzmq.role_topic("worker"), bzmq.node_topic(endpoint.name)])


def test_pools_are_those_that_subscribe_to_their_role_whatever_their_names(star):
    manager, sniffer, one, ten = star
    pool = Pool(manager, "worker")
    names = lambda: [each.name for each in pool.members()]  # noqa: E731
    assert names() == [] and pool.next() is None and pool.for_key("x") is None
    assert not pool.wait_for(1, 0.001)
    first, second = work(sniffer), work(one)
    assert pool.wait_for(2, PATIENCE)
    assert [pool.next().name for _ in range(3)] == ["sniffer-a", "worker-1", "sniffer-a"]
    assert pool.members()[1] == ("worker-1", one.node_id(), "/zeek/node/worker-1/")
    # Who watches everything, or another role, is none of them; the endpoint itself may be.
    watches, other = ten.make_subscriber("/"), ten.make_subscriber(bzmq.role_topic("workers"))
    own = work(manager)
    assert names() == ["manager", "sniffer-a", "worker-1"]
    second.close()
    eventually(lambda: names() == ["manager", "sniffer-a"])
    sniffer.shutdown()
    eventually(lambda: names() == ["manager"])
    assert pool.for_key("x").name == "manager"
    for each in (first, watches, other, own):
        each.close()


def test_a_role_reaches_all_of_it_and_a_name_only_its_node(star):
    manager, *others = star
    inboxes = [work(each) for each in others]
    assert all(each.wait_ready(PATIENCE) for each in inboxes)
    for topic, what in ((bzmq.node_topic("worker-10"), 10), (bzmq.node_topic("worker-1"), 1),
                        (bzmq.role_topic("worker"), "for all")):
        manager.publish(topic + "job", what, reliable=True)
    for inbox, wanted in zip(inboxes, (["for all"], [1, "for all"], [10, "for all"])):
        assert [value for _, value in inbox.get(len(wanted), PATIENCE)] == wanted
        assert inbox.available() == 0


def test_names_that_are_not_utf_8_own_keys_too():
    names = [b"caf\xe9".decode("utf-8", "surrogateescape"), "b"]
    assert {bzmq.owner_of(f"key {i}", names) for i in range(100)} == set(names)
    assert bzmq.owner_of("\udce9", names) == bzmq.owner_of(b"\xe9", names)


def test_owners_are_the_same_as_in_cpp():
    workers = [f"worker-{i}" for i in range(1, 6)]
    others = ["sniffer-a", "worker-10", "", "worker-1", "\u00e9dge"]
    # The same in tests/zeek/table_test.cpp.
    for key, worker, other in [
            ("", "worker-5", "\u00e9dge"),
            ("a", "worker-5", "\u00e9dge"),
            ("b", "worker-4", "sniffer-a"),
            ("192.0.2.1", "worker-4", "worker-10"),
            ("192.0.2.2", "worker-4", ""),
            ("192.0.2.7", "worker-4", "sniffer-a"),
            ("2001:db8::1", "worker-2", "worker-10"),
            ("2001:db8::2", "worker-3", "\u00e9dge"),
            ("CHhAvVGS1DHFjwGM9", "worker-3", "worker-10"),
            ("\u043a\u043b\u044e\u0447", "worker-5", "\u00e9dge"),
    ]:
        assert bzmq.owner_of(key, workers) == worker and bzmq.owner_of(key, others) == other
    assert bzmq.owner_of("x", []) is None
    for i in range(200):
        owner = bzmq.owner_of(str(i), workers)
        if owner != "worker-5":
            assert bzmq.owner_of(str(i), workers[:4]) == owner
