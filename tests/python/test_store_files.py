"""Care for a store's files, beside bzmq-cli's."""

import json
import os
import signal
import threading

import pytest

import bzmq
from bzmq import Backend, store_file

from conftest import PATIENCE, SOURCE, finish


def make_store(folder, count, text="value"):
    with bzmq.Endpoint() as node:
        store = node.attach_master("s", Backend.LMDB, path=str(folder))
        for at in range(0, count, 1000):
            batch = bzmq.Batch()
            for i in range(at, min(at + 1000, count)):
                batch.put(f"key{i:06}", f"{text}{i}")
            store.apply(batch).wait(PATIENCE)
        store.put("going", None, expiry=3600).wait(PATIENCE)
        store.detach()


@pytest.fixture
def folder(tmp_path):
    make_store(tmp_path / "s", 100)
    return tmp_path / "s"


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """One whose work takes long enough to be told of several times."""
    folder = tmp_path_factory.mktemp("large") / "s"
    make_store(folder, 30_000, text="v" * 200)
    return folder


def values(folder):
    lines = []
    store_file.dump(folder, lines.append)
    return {bzmq.Data.to_py(bzmq.Data.from_json(json.dumps(each["key"]))):
            bzmq.Data.to_py(bzmq.Data.from_json(json.dumps(each["value"])))
            for each in map(json.loads, lines)}


def test_check_tells_what_a_store_holds(folder, start):
    got = store_file.check(folder)
    assert (got.values, got.expiring) == (101, 1)
    assert 0 < got.bytes_used <= got.bytes_of_file == os.stat(folder / "data.mdb").st_size
    assert got == store_file.check(str(folder))
    told = json.loads(start("tools/bzmq-cli", "store-file", folder, "check", "--json").rest()[0])
    assert {"action": "check", **vars(got)} == told


def test_dump_gives_each_value_as_a_line_of_json(folder, start):
    lines = []
    assert store_file.dump(folder, lines.append).values == 101
    assert lines == [each.decode() for each in start("tools/bzmq-cli", "store-file", folder, "dump").rest()]
    assert "expiry" in json.loads(lines[0]) and len(lines) == 101
    assert values(folder)["key000007"] == "value7"


def test_compact_leaves_no_unused_page(large, tmp_path):
    store_file.backup(large, tmp_path / "s")
    with bzmq.Endpoint() as node:
        store = node.attach_master("s", Backend.LMDB, path=str(tmp_path / "s"), log_bytes=1)
        store.clear().wait(PATIENCE)
    before = store_file.check(tmp_path / "s")
    after = store_file.compact(tmp_path / "s")
    assert after.values == before.values == 0
    assert after.bytes_of_file < before.bytes_of_file / 2


def test_backup_and_restore(folder, tmp_path):
    copied = store_file.backup(folder, tmp_path / "copy")
    assert copied.store == store_file.check(folder).store and values(tmp_path / "copy") == values(folder)
    with pytest.raises(bzmq.errors.CannotWriteFile):
        store_file.backup(folder, tmp_path / "copy")
    with pytest.raises(OSError, match="holds a store already"):
        store_file.restore(folder, tmp_path / "copy")
    restored = store_file.restore(folder, tmp_path / "copy", overwrite=True)
    assert restored.store != copied.store and restored.values == copied.values
    with bzmq.Endpoint() as node:
        assert node.attach_master("s", Backend.LMDB, path=str(folder))["key000099"] == "value99"


def test_check_dump_and_backup_work_beside_a_master_and_the_others_do_not(folder, tmp_path, start):
    from cli_processes import Node
    start("tools/bzmq-cli", "master", "--master", f"s={folder}", kind=Node)
    assert store_file.check(folder).values == 101
    assert values(folder)["key000001"] == "value1"
    assert store_file.backup(folder, tmp_path / "copy").values == 101
    with pytest.raises(bzmq.errors.CannotOpenFile):
        store_file.compact(folder)
    with pytest.raises(bzmq.errors.CannotOpenFile):
        store_file.restore(folder, tmp_path / "copy", overwrite=True)


def test_no_other_endpoint_of_this_process_may_have_the_store(folder, endpoints):
    endpoints().attach_master("s", Backend.LMDB, path=str(folder))
    with pytest.raises(bzmq.errors.CannotOpenFile, match="this one"):
        store_file.check(folder)


def test_what_is_no_store_or_damaged_is_told(folder, tmp_path):
    with pytest.raises(bzmq.errors.CannotOpenFile):
        store_file.check(tmp_path / "nothing")
    with pytest.raises(TypeError):
        store_file.check(3)
    with open(folder / "data.mdb", "r+b") as file:
        file.seek(3 * 4096)
        file.write(b"\xff" * 4096)
    with pytest.raises(bzmq.Error):
        store_file.check(folder)


# -- Progress, and giving up ------------------------------------------------------------------------

WORKS = {
    "check": lambda store, there, told: store_file.check(store, told),
    "dump": lambda store, there, told: store_file.dump(store, lambda line: None, told),
    "compact": lambda store, there, told: store_file.compact(store, told),
    "backup": lambda store, there, told: store_file.backup(store, there, told),
    "restore": lambda store, there, told: store_file.restore(there, store, progress=told),
}


@pytest.mark.parametrize("work", WORKS)
def test_progress_is_told_and_ends_the_work(large, tmp_path, work):
    before = store_file.check(large)
    calls = []
    WORKS[work](large, tmp_path / "done", lambda *each: calls.append(each))
    assert len(calls) > 8
    assert all(isinstance(what, str) and 0 <= done <= total for what, done, total in calls)
    for after in (0, len(calls) // 2):
        left = [True] * after + [False]
        with pytest.raises(bzmq.errors.Cancelled):
            WORKS[work](large, tmp_path / f"given-up-{after}", lambda *_: left.pop(0))
        assert not (tmp_path / f"given-up-{after}/data.mdb").exists()
    assert store_file.check(large).values == before.values


@pytest.mark.parametrize("work", WORKS)
def test_what_a_callback_raises_comes_out(large, tmp_path, work):
    def told(*_):
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError):
        WORKS[work](large, tmp_path / "other", told)


def test_dump_ends_where_a_line_is_refused_or_raises(folder):
    lines = []

    def one(line):
        lines.append(line)
        return False

    with pytest.raises(bzmq.errors.Cancelled):
        store_file.dump(folder, one)
    assert len(lines) == 1
    with pytest.raises(ValueError, match="enough"):
        store_file.dump(folder, raise_enough)


def raise_enough(line):
    raise ValueError("enough")


def test_other_threads_run_meanwhile(large, tmp_path):
    """Each of the two waits for the other's first word of progress, within its own."""
    meeting = threading.Barrier(2)
    store_file.backup(large, tmp_path / "copy")

    def work(folder):
        met = []
        store_file.check(folder, lambda *_: met or met.append(meeting.wait(PATIENCE)))

    threads = [threading.Thread(target=work, args=(each,)) for each in (large, tmp_path / "copy")]
    for each in threads:
        each.start()
    for each in threads:
        each.join(PATIENCE)
    assert not any(each.is_alive() for each in threads) and not meeting.broken


FOR_EVER = """
import sys
import bzmq
try:
    while True:
        bzmq.store_file.check(sys.argv[1])
        print("once", flush=True)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_ends_the_work(large, program):
    process = program(FOR_EVER, large)
    assert process.stdout.readline() == "once\n"
    process.send_signal(signal.SIGINT)
    assert finish(process).splitlines()[-1] == "interrupted"


DAEMON = """
import sys, threading
import bzmq
begun = threading.Event()
def work():
    while True:
        bzmq.store_file.dump(sys.argv[1], lambda line: begun.set(), lambda *_: None)
threading.Thread(target=work, daemon=True).start()
begun.wait()
"""


def test_a_program_ends_in_the_middle_of_a_daemon_threads_work(folder, program):
    for _ in range(3):
        finish(program(DAEMON, folder))


def test_ctrl_c_within_a_callback_comes_out(large):
    def told(*_):
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        store_file.check(large, told)


def test_the_documents_name_every_function():
    text = (SOURCE / "docs/python.md").read_text()
    assert all(f"`store_file.{name}`" in text or f"{name}(" in text for name in WORKS)
