"""Drives `bzmq-cli store` and nodes that carry stores, as processes, over sockets."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from support import (CLASH, CLI, CONFLICT, FAILURE, NO_KEY, NO_MASTER, OK, TIMEOUT, UNAVAILABLE,
                     USAGE, WAIT, Node, Process, run, run_full)


def typed(kind, value):
    return {"@data-type": kind, "data": value}


@pytest.fixture
def hub(start):
    """A node with the masters of s and t, and a way to ask it."""
    node = start("hub", "--master", "s", "--master", "t", kind=Node)

    def ask(*arguments, name="s", expected=OK, **more):
        done = run("store", name, *arguments, "--peer", node.url, *WAIT, **more)
        assert done.returncode == expected, (arguments, done.stdout, done.stderr)
        return done.stdout.decode()

    node.ask = ask
    node.ask_json = lambda *arguments, **more: [
        json.loads(line) for line in ask(*arguments, "--json", **more).splitlines()]
    return node


def watcher(start, node, *arguments):
    """A watch that has begun: it misses nothing from now on."""
    process = start("store", "s", "watch", "--peer", node.url, *arguments)
    deadline = time.monotonic() + 30
    while "watching" not in process.error_text():
        assert time.monotonic() < deadline and process.process.poll() is None, str(process)
        time.sleep(0.01)
    return process


class SlowLine:
    """Passes connections on to a port, so many bytes a second each way."""

    def __init__(self, to, rate):
        self.to, self.rate = to, rate
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.ends = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        try:
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.to))
                self.ends += [near, far]
                for way in ((near, far), (far, near)):
                    threading.Thread(target=self.carry, args=way, daemon=True).start()
        except OSError:
            pass  # Closed.

    def carry(self, source, sink):
        begin, carried = time.monotonic(), 0
        try:
            while some := source.recv(8 * 1024):
                sink.sendall(some)
                carried += len(some)
                time.sleep(max(0.0, begin + carried / self.rate - time.monotonic()))
        except OSError:
            pass
        finally:
            for end in (source, sink):
                end.close()

    def close(self):
        for end in [self.listener, *self.ends]:
            end.close()


# -- Values ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("text, told", [
    ("5", typed("count", 5)), ("80/tcp", typed("port", "80/tcp")), ('"5"', typed("string", "5")),
    ("5s", typed("timespan", "5s")), ("hello", typed("string", "hello")),
    ('(1, "a")', typed("vector", [typed("count", 1), typed("string", "a")]))])
def test_what_is_put_is_got_with_its_type(hub, text, told):
    assert hub.ask("put", "key", text) == "1\n"
    assert hub.ask("get", "key") == text + "\n"
    assert hub.ask_json("get", "key") == [
        {"key": typed("string", "key"), "value": told, "revision": 1}]


def test_values_may_be_json_or_bytes_and_keys_of_any_type(hub):
    hub.ask("put", "80/tcp", '{"a": [1, -2]}', "--format", "json")
    assert hub.ask("get", "80/tcp") == '{"a" -> (1, -2)}\n'
    assert hub.ask("get", "80/tcp", "--index", "a") == "(1, -2)\n"
    hub.ask("put", "7", "5", "--format", "bytes", "--key-format", "bytes")
    assert hub.ask("get", '"7"') == '"5"\n'
    assert hub.ask("get", '"7"', "--format", "json", "--key-format", "json") == \
        '{"@data-type":"string","data":"5"}\n'
    hub.ask("get", "7", expected=NO_KEY)


def test_what_is_printed_as_json_is_put_and_erased(hub):
    hub.ask("put", "a", "1", "80/tcp", "x y")
    hub.ask("put", "t", "5s", "--expiry", "1h")
    lines, keys = hub.ask("get", "a", "80/tcp", "t", "--json"), hub.ask("keys", "--json")
    assert hub.ask_json("erase", data=keys.encode()) == [{"written": 3}]
    assert hub.ask("size") == "0\n"
    assert hub.ask_json("put", data=lines.encode()) == [{"written": 3}]
    def content(text):
        return [(entry["key"], entry["value"], "expiry" in entry) for entry in map(json.loads, text.splitlines())]
    assert content(hub.ask("get", "a", "80/tcp", "t", "--json")) == content(lines)
    plain = b'{"key":"p","value":[1,"x"]}\n'
    assert hub.ask_json("put", "--atomic", data=plain)[0]["written"] == 1
    assert hub.ask("get", "p") == '(1, "x")\n'
    past = re.sub('"expiry":"....', '"expiry":"2001', lines.splitlines()[2])
    assert hub.ask_json("put", data=past.encode()) == [{"written": 0}]
    hub.ask("put", "{}", "1")
    assert hub.ask_json("erase", data=b"{}\n") == [{"written": 1}]  # Text, the empty set.
    for bad in ('{"key":"t"}', '{"value":1}', '{"key":"t","value":1,"expiry":"soon"}'):
        hub.ask_json("put", data=bad.encode(), expected=FAILURE)


def test_an_argument_in_brackets_stays_one(hub):
    hub.ask("put", "1", "one", "2", "two")
    hub.ask("erase", "[1,2]")
    assert hub.ask("size") == "2\n"
    hub.ask("put", "[k]", "v")
    assert hub.ask("append", "[k]", "[tail]") == "v[tail]\n"
    assert hub.ask("get", "[k]") == "v[tail]\n"
    hub.ask("put", "list", "[1,2]", "--format", "json")
    hub.ask("put-unique", "one", '["a"]', "--format", "json")
    assert hub.ask("get", "list", "one") == 'list\t(1, 2)\none\t("a")\n'


def test_several_keys_have_a_line_each_and_a_missing_one_its_exit_code(hub):
    assert hub.ask("put", "a", "1", "b", "x y") == "a\t1\nb\t2\n"
    assert hub.ask("get", "b", "a") == "b\tx y\na\t1\n"
    assert hub.ask("get", "a", "no", "b", expected=NO_KEY) == "a\t1\nb\tx y\n"
    told = hub.ask_json("get", "no", "a", expected=NO_KEY)
    assert told[0] == {"key": typed("string", "no"), "error": "no_such_key"}
    assert told[1]["value"] == typed("count", 1)


def test_values_are_changed_in_place_and_the_new_one_is_told(hub):
    for arguments, told in ((("incr", "n"), "1"), (("incr", "n", "41"), "42"),
                            (("decr", "n", "2"), "40"), (("append", "t", "5"), '"5"'),
                            (("append", "t", "6"), '"56"'), (("insert", "set", "x"), '{"x"}'),
                            (("insert", "set", "3"), '{3, "x"}'), (("remove", "set", "x"), "{3}"),
                            (("insert", "table", "k", "5s"), '{"k" -> 5s}'),
                            (("remove", "table", "k"), "{->}"), (("push", "v", "a"), '("a")'),
                            (("push", "v", "b"), '("a", "b")'), (("remove", "v", "0"), '("b")'),
                            (("pop", "v"), "()")):
        assert hub.ask(*arguments) == told + "\n", arguments
    assert hub.ask_json("incr", "n", "2") == [
        {"key": typed("string", "n"), "value": typed("count", 42), "revision": 15}]
    done = run("store", "s", "incr", "below", "--peer", hub.url, *WAIT, "--", "-5")
    assert done.stdout == b"-5\n", done.stderr
    hub.ask("pop", "nothing", expected=NO_KEY)


def test_a_type_clash_has_its_code_and_changes_nothing(hub):
    hub.ask("put", "key", "text")
    hub.ask("incr", "key", expected=CLASH)
    assert hub.ask_json("push", "key", "1", expected=CLASH) == [
        {"key": typed("string", "key"), "error": "type_clash"}]
    assert hub.ask("get", "key") == "text\n"


def test_a_revision_guards_an_entry(hub):
    revision = hub.ask("put", "key", "1", "--revision=0").strip()
    hub.ask("put", "key", "2", "--revision=0", expected=CONFLICT)
    assert hub.ask("get", "key", "--revision") == f"1\t{revision}\t-\n"
    newer = hub.ask("put", "key", "2", f"--revision={revision}").strip()
    assert hub.ask_json("put", "key", "3", f"--revision={revision}", expected=CONFLICT) == [
        {"key": typed("string", "key"), "error": "revision_mismatch"}]
    assert hub.ask("get", "key", "--revision") == f"2\t{newer}\t-\n"


def test_only_the_first_put_unique_wins(hub):
    assert hub.ask("put-unique", "key", "1") == "T\n"
    assert hub.ask("put-unique", "key", "2", expected=CONFLICT) == "F\n"
    assert hub.ask_json("put-unique", "key", "2", expected=CONFLICT)[0]["created"] is False
    assert hub.ask("get", "key") == "1\n"


def test_an_entry_expires(start, hub):
    hub.ask("put", "key", "1", "--expiry", "1h")
    assert re.fullmatch(r"1\t1\t20\d\d-\S+Z\n", hub.ask("get", "key", "--revision"))
    told = hub.ask_json("get", "key")[0]["expiry"]
    assert 3500 < time.mktime(time.strptime(told[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone \
        - time.time() <= 3601
    events = watcher(start, hub, "-n", "2", *WAIT)
    hub.ask("put", "key", "2", "--expiry", "50ms")
    assert events.rest() == [b"update\tkey\t2", b"expire\tkey\t2"]
    hub.ask("get", "key", expected=NO_KEY)


# -- Many keys ------------------------------------------------------------------------------------

def test_keys_come_in_order_and_as_many_as_are_asked_for(hub):
    hub.ask("put", "b", "1", "ab", "2", "a", "3", "9", "4")
    assert hub.ask("keys") == "9\na\nab\nb\n"
    assert hub.ask("keys", "--max", "2") == "9\na\n"
    assert hub.ask("keys", "--prefix", "a") == "a\nab\n"
    assert hub.ask("keys", "--from", "ab", "--to", "c") == "ab\nb\n"
    assert hub.ask_json("keys", "--to", "a") == [{"key": typed("count", 9)}]
    assert hub.ask("size") == "4\n"
    assert hub.ask_json("size") == [{"size": 4}]
    hub.ask("clear")
    assert hub.ask("size") == "0\n"


def test_lines_of_standard_input_are_put_and_erased(hub):
    lines = "".join(f"key{i}\tvalue {i}\n" for i in range(3000))
    assert hub.ask("put", data=lines.encode()) == "3000 written\n"
    assert hub.ask("get", "key0", "key2999") == "key0\tvalue 0\nkey2999\tvalue 2999\n"
    assert hub.ask_json("erase", data=b"key0\nkey1\n") == [{"written": 2}]
    assert hub.ask("size") == "2998\n"
    # What get prints put reads.
    again = hub.ask("get", "key5", "key6").encode()
    assert hub.ask("put", data=again) == "2 written\n"


def test_a_bad_line_is_named_and_with_atomic_nothing_is_written(hub):
    lines = b"a\t1\nb\t2\nnonsense\n"
    assert hub.ask("put", data=lines, expected=FAILURE) == "2 written\n"
    assert hub.ask("keys") == "a\nb\n"
    hub.ask("clear")
    failed = run("store", "s", "put", "--atomic", "--peer", hub.url, *WAIT, data=lines)
    assert failed.returncode == FAILURE and b"standard input, line 3" in failed.stderr
    assert hub.ask("size") == "0\n"
    told = hub.ask_json("put", "--atomic", data=lines[:8])
    assert told[0]["written"] == 2
    assert {entry["revision"] for entry in hub.ask_json("get", "a", "b")} == {told[0]["revision"]}
    assert hub.ask("erase", "a", "b", "--atomic") == "2 written\n"


# -- dump and load --------------------------------------------------------------------------------

def test_a_dump_is_loaded_into_another_store(hub, tmp_path):
    file = tmp_path / "dump"
    lines = "".join(f"{i}\t(x, {i}s)\n" for i in range(2500))
    hub.ask("put", data=lines.encode())
    hub.ask("put", "soon", "1", "--expiry", "1h")
    assert hub.ask("dump", file) == "2501 entries\n"
    assert hub.ask("dump") == file.read_text()
    assert not list(tmp_path.glob("*.part"))
    told = hub.ask_json("load", file, name="t")[0]
    assert (told["loaded"], told["expired"]) == (2501, 0)
    before, after = (hub.ask_json("dump", name=name) for name in ("s", "t"))
    assert [(e["key"], e["value"]) for e in before] == [(e["key"], e["value"]) for e in after]
    # 1,000 at a time, together.
    assert [e["revision"] for e in after].count(after[0]["revision"]) == 1000
    assert after[-1]["expiry"][:13] == before[-1]["expiry"][:13] or \
        after[-1]["expiry"] > before[-1]["expiry"]
    assert len(hub.ask("dump", "--from", "10", "--to", "20").splitlines()) == 10
    assert json.loads(hub.ask("dump", "--prefix", "so"))["key"] == typed("string", "soon")


def test_a_dump_leaves_what_its_file_is(hub, tmp_path):
    hub.ask("put", "a", "1")
    line = hub.ask("dump")
    private, link, pipe = tmp_path / "private", tmp_path / "link", tmp_path / "pipe"
    private.touch(0o600)
    link.symlink_to("private")
    hub.ask("dump", link)
    assert link.is_symlink() and private.read_text() == line
    hub.ask("dump", private)
    assert private.stat().st_mode & 0o777 == 0o600
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    hub.ask("dump", pipe)
    assert os.read(reader, 1 << 16).decode() == line
    os.close(reader)
    assert pipe.is_fifo() and not list(tmp_path.glob("*.part"))


def test_a_dump_that_cannot_be_written_says_why(hub, tmp_path):
    told = run("store", "s", "dump", tmp_path / "none/x", "--peer", hub.url, *WAIT)
    assert told.returncode == FAILURE
    assert b"none/x: No such file or directory" in told.stderr


@pytest.mark.parametrize("arguments", [("get", "a"), ("keys",), ("dump",), ("put", "a", "2")])
def test_a_full_disk_behind_the_output_is_told(hub, arguments):
    hub.ask("put", "a", "1")
    told = run_full("store", "s", *arguments, "--peer", hub.url, *WAIT)
    assert told.returncode == FAILURE
    assert b"standard output: No space left on device" in told.stderr


def test_load_skips_what_has_expired_and_names_a_bad_line(hub):
    line = '{"key":{"@data-type":"string","data":"%s"},"value":{"@data-type":"count","data":1}%s}\n'
    old = line % ("old", ',"expiry":"2001-01-01T00:00:00Z"')
    assert re.fullmatch(r"1 entries in [\d.]+ s; 1 had expired\n",
                        hub.ask("load", "-", data=(line % ("new", "") + old).encode()))
    assert hub.ask("keys") == "new\n"
    for bad in ("{}", "x", line % ("a", ',"expiry":"soon"')):
        failed = run("store", "s", "load", "-", "--peer", hub.url, *WAIT,
                     data=(line % ("good", "") + bad).encode())
        assert failed.returncode == FAILURE
        assert b"standard input, line 2" in failed.stderr, failed.stderr
        assert failed.stdout.startswith(b"1 entries")
    hub.ask("load", "/nowhere/at/all", expected=FAILURE)
    hub.ask("dump", "/nowhere/at/all", expected=FAILURE)


def test_load_does_again_what_a_file_of_orphans_says(hub):
    key = '"key":{"@data-type":"string","data":"%s"}'
    value = '"value":{"@data-type":"count","data":%d}'
    lines = ['{"revision":5,"change":"put",' + key % "a" + "," + value % 1 + "}",
             '{"revision":6,"change":"put",' + key % "b" + "," + value % 2 + "}",
             '{"revision":7,"change":"erase",' + key % "a" + "}",
             '{"revision":8,"change":"erase",' + key % "never" + "}",
             '{"revision":9,"change":"expire",' + key % "c" + "}",
             '{"revision":10,"change":"clear"}']
    hub.ask("put", "c", "3")
    told = hub.ask_json("load", "-", data="\n".join(lines).encode())[0]
    assert (told["loaded"], told["expired"], told["left_out"]) == (4, 0, 2)
    assert hub.ask("keys") == "b\nc\n"
    assert "2 of expire or clear left out" in hub.ask("load", "-", data="\n".join(lines).encode())
    for bad in ('{"change":"erase"}', '{"change":"burn",' + key % "b" + "}"):
        failed = run("store", "s", "load", "-", "--peer", hub.url, *WAIT, data=bad.encode())
        assert failed.returncode == FAILURE
        assert b"standard input, line 1" in failed.stderr, failed.stderr
    assert hub.ask("keys") == "b\nc\n"


def test_a_folder_s_dump_is_loaded(hub, tmp_path):
    helper = os.environ.get("BZMQ_MAKE_STORE",
                            str(pathlib.Path(CLI).parents[1] / "tests/cli/make_store"))
    subprocess.run([helper, tmp_path / "folder", "100"], check=True)
    dumped = run("store-file", tmp_path / "folder", "dump").stdout
    assert hub.ask("load", "-", data=dumped).startswith("100 entries")
    assert [e["key"] for e in hub.ask_json("dump")] == \
        [json.loads(line)["key"] for line in dumped.splitlines()]


# -- watch ----------------------------------------------------------------------------------------

def test_watch_prints_events_and_ends_after_as_many_as_it_should(start, hub):
    text = watcher(start, hub, "-n", "5", *WAIT)
    told = watcher(start, hub, "-n", "2", "--prefix", "a", "--json", *WAIT)
    for arguments in (("put", "b", "1"), ("put", "a", "x y"), ("incr", "b"), ("erase", "a"),
                      ("clear",)):
        hub.ask(*arguments)
    assert text.rest() == [b"insert\tb\t1", b"insert\ta\tx y", b"update\tb\t2", b"erase\ta\tx y",
                           b"clear"]
    assert text.wait() == OK
    assert [json.loads(line) for line in told.rest()] == [
        {"event": "insert", "key": typed("string", "a"), "new": typed("string", "x y"),
         "revision": 2},
        {"event": "erase", "key": typed("string", "a"), "old": typed("string", "x y")}]
    assert told.wait() == OK


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_watch_ends_on_a_signal(start, hub, number, code):
    events = watcher(start, hub)
    hub.ask("put", "a", "1")
    assert events.line() == b"insert\ta\t1"
    events.signal(number)
    assert events.wait() == code


def test_watch_without_events_in_time_has_the_timeout_code(hub):
    ended = run("store", "s", "watch", "-n", "1", "--peer", hub.url, "--timeout", "1500ms")
    assert ended.returncode == TIMEOUT and b"0 of 1 events" in ended.stderr


# -- What can fail --------------------------------------------------------------------------------

def test_a_store_without_a_master_has_its_code(hub):
    ended = run("store", "nobody's", "get", "x", "--peer", hub.url, "--timeout", "1")
    assert ended.returncode == NO_MASTER, ended.stderr
    assert b"no_such_master: nobody within reach has the master of store nobody's" in ended.stderr


def test_a_write_whose_master_stops_answering_has_the_timeout_code(start, hub):
    writer = start("store", "s", "put", "--peer", hub.url, "--timeout", "2", "--json",
                   stdin=subprocess.PIPE)
    events = watcher(start, hub, "-n", "1", *WAIT)
    writer.process.stdin.write(b"a\t1\n")
    writer.process.stdin.flush()
    assert events.rest() == [b"insert\ta\t1"]
    hub.signal(signal.SIGSTOP)
    try:
        writer.process.stdin.write(b"b\t2\n")
        writer.process.stdin.close()
        assert writer.wait() == TIMEOUT, writer.error_text()
    finally:
        hub.signal(signal.SIGCONT)
    assert "standard input, line 2" in writer.error_text()
    assert [json.loads(line) for line in writer.rest()] == [{"written": 1}]


def test_nobody_listening_is_unavailable():
    ended = run("store", "s", "get", "x", "--peer", "tcp://127.0.0.1:1", "--timeout", "1")
    assert ended.returncode == UNAVAILABLE, ended.stderr


@pytest.mark.parametrize("arguments", [
    (), ("s",), ("s", "frob"), ("s", "get"), ("s", "put", "a"), ("s", "put-unique", "a"),
    ("s", "size", "x"), ("s", "get", "a", "--max", "3"), ("s", "load"),
    ("s", "put", "a", "1", "b", "2", "--revision=3"), ("s", "put", "a", "1", "--revision"),
    ("s", "put", "a", "1", "--revision=abc"),
    ("s", "put", "a", "1", "--expiry", "soon"), ("s", "keys", "--prefix", "a", "--from", "b"),
    ("s", "watch", "-n", "0"), ("s", "keys", "--max", "-1")])
def test_wrong_usage_says_what_and_has_its_code(arguments):
    ended = run("store", *arguments, "--peer", "tcp://127.0.0.1:1", "--timeout", "1")
    assert ended.returncode == USAGE, ended.stderr
    assert ended.stderr


def test_a_malformed_value_is_refused_before_anything_is_sent():
    for arguments in (("put", "a", "{", "--format", "json"), ("get", "x", "--key-format", "json")):
        ended = run("store", "s", *arguments, "--peer", "tcp://127.0.0.1:1")
        assert ended.returncode == FAILURE, ended.stderr


def test_a_store_may_be_called_as_an_operation_is(start):
    node = start("hub", "--master", "get", kind=Node)
    assert run("store", "get", "put", "put", "1", "--peer", node.url, *WAIT).returncode == OK
    assert run("store", "get", "get", "put", "--peer", node.url, *WAIT).stdout == b"1\n"


# -- Nodes that carry stores ----------------------------------------------------------------------

@pytest.mark.parametrize("mode", ["sync", "group", "async"])
def test_a_durable_master_has_its_data_after_a_restart(start, tmp_path, mode):
    carries = ("--master", f"s={tmp_path / 's'}", "--durability", mode)
    node = start("hub", *carries, kind=Node)
    assert run("store", "s", "put", "a", "1", "--peer", node.url, *WAIT).returncode == OK
    info = ("store", "s", "info", "--json", "--peer")
    first = json.loads(run(*info, node.url, *WAIT).stdout)["epoch"]
    other = run("node", "--listen", "tcp://127.0.0.1:0", *carries)
    assert other.returncode == FAILURE and b"store s=" in other.stderr, other.stderr
    node.signal(signal.SIGTERM if mode == "async" else signal.SIGKILL)
    node.wait()
    node = start("hub", *carries, kind=Node)
    told = json.loads(run(*info, node.url, *WAIT).stdout)
    assert (told["entries"], told["master"]) == (1, node.id)
    assert told["epoch"] > first
    assert told["master_name"] == "hub"
    assert run("store", "s", "get", "a", "--peer", node.url, *WAIT).stdout == b"1\n"


def test_a_node_says_which_stores_it_carries_and_a_second_master_is_told(start):
    first = start("node", "--json", "--listen", "tcp://127.0.0.1:0", "--master", "s", "--clone",
                  "t", kind=Process)
    assert json.loads(first.line()) == {"event": "store", "role": "master", "store": "s"}
    assert json.loads(first.line()) == {"event": "store", "role": "clone", "store": "t"}
    url = first.event("listening")["url"]
    second = start("second", "--master", "s", kind=Node, peers=[url])
    second.event("error", code="master_exists")
    first.event("error", code="master_exists")


def test_a_master_is_found_over_several_links(start):
    far = start("far", "--master", "s", kind=Node)
    middle = start("middle", kind=Node, peers=[far.url])
    near = start("near", "--clone", "s", kind=Node, peers=[middle.url])
    middle.await_peers(["far"])
    near.await_peers(["middle"])
    assert run("store", "s", "incr", "n", "--peer", near.url, *WAIT).stdout == b"1\n"
    assert run("store", "s", "get", "n", "--peer", far.url, *WAIT).stdout == b"1\n"


# -- Failover -------------------------------------------------------------------------------------

def test_a_standby_takes_over_when_it_is_told_to(start, tmp_path):
    first = start("first", "--master", f"s={tmp_path}/a", "--sync-replicas", "1", kind=Node)
    second = start("second", "--standby", f"s={tmp_path}/b", kind=Node, peers=[first.url])
    put = run("store", "s", "put", "a", "1", "--peer", first.url, *WAIT)
    assert put.returncode == OK, put.stderr
    first.process.kill()
    first.process.wait()
    told = run("store", "s", "promote", "second", "--peer", second.url, "--json", *WAIT)
    assert told.returncode == OK, told.stderr
    assert json.loads(told.stdout)["store"] == "s"
    assert run("store", "s", "get", "a", "--peer", second.url, *WAIT).stdout == b"1\n"
    again = run("store", "s", "promote", "nobody", "--peer", second.url, "--timeout", "100ms")
    assert again.returncode != OK and b"nobody" in again.stderr


def test_a_standby_needs_a_folder_and_a_promotion_a_standby(start):
    wrong = run("node", "--listen", "tcp://127.0.0.1:0", "--standby", "s")
    assert wrong.returncode != OK and b"NAME=FOLDER" in wrong.stderr
    hub = start("hub", kind=Node)
    nobody = run("store", "s", "promote", "--peer", hub.url, "--timeout", "300ms")
    assert nobody.returncode != OK and b"no standby" in nobody.stderr


def test_a_copy_may_take_longer_than_the_timeout_as_long_as_it_grows(hub):
    lines = "".join(json.dumps({"key": n, "value": "v" * 20_000}) + "\n" for n in range(100))
    hub.ask("load", "-", data=lines.encode())
    line = SlowLine(int(hub.url.rsplit(":", 1)[1]), 512 * 1024)  # Four seconds.
    try:
        done = run("store", "s", "size", "--peer", f"tcp://127.0.0.1:{line.port}", "--timeout", "2")
        assert done.returncode == OK, done.stderr
        assert done.stdout == b"100\n"
    finally:
        line.close()


def test_a_restored_store_is_followed_where_the_operator_says_so(start, tmp_path):
    copies = ("copy", "--standby", f"r={tmp_path / 'copy'}")
    copy = start(*copies, kind=Node)
    master = ("--master", f"r={tmp_path / 'r'}", "--sync-replicas", "1")
    node = start("master", *master, kind=Node, peers=[copy.url])
    assert run("store", "r", "put", "a", "1", "--peer", node.url, *WAIT).returncode == OK
    assert run("store-file", tmp_path / "r", "backup", tmp_path / "backup").returncode == OK
    assert run("store", "r", "put", "b", "2", "--peer", node.url, *WAIT).returncode == OK
    node.end()
    assert run("store-file", tmp_path / "r", "restore", tmp_path / "backup", "--force").returncode == OK
    node = start("master", *master, kind=Node, peers=[copy.url])
    assert "the copy is kept" in copy.event("error", code="stale_data")["message"]
    copy.end()
    copy = start(*copies, "--follow-new-store", kind=Node, peers=[node.url])
    assert "2 entries, is given up" in copy.event("error", code="stale_data")["message"]
