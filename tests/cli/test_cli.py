"""Drives bzmq-cli as its users do: as processes, over sockets. BZMQ_CLI names the program."""

import hashlib
import json
import os
import pathlib
import re
import signal
import stat
import subprocess
import time

import pytest

from support import (AUTHENTICATION, CLI, FAILURE, OK, SOURCE, TIMEOUT, UNAVAILABLE, USAGE, WAIT,
                     Node, await_error_text, run, run_full)

import zeek_values


# -- keygen ---------------------------------------------------------------------------------------

def test_keygen_writes_two_files_with_the_right_modes_and_refuses_to_overwrite(tmp_path):
    path = tmp_path / "relay"
    made = run("keygen", path, "--meta", "owner=tests", "--json")
    assert made.returncode == OK, made.stderr
    told = json.loads(made.stdout)
    public, secret = tmp_path / "relay.key", tmp_path / "relay.key_secret"
    assert [told["public_file"], told["secret_file"]] == [str(public), str(secret)]
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(public.stat().st_mode) == 0o644
    before = public.read_bytes(), secret.read_bytes()
    again = run("keygen", path)
    assert again.returncode == FAILURE
    assert b"relay.key" in again.stderr
    assert (public.read_bytes(), secret.read_bytes()) == before
    assert run("keygen", path, "--force").returncode == OK
    assert (public.read_bytes(), secret.read_bytes()) != before


def test_pyzmq_reads_what_keygen_writes_and_the_other_way_round(tmp_path, start):
    zmq = pytest.importorskip("zmq")
    auth = pytest.importorskip("zmq.auth")
    public_text = run("keygen", tmp_path / "a").stdout.strip()
    assert len(public_text) == 40
    assert auth.load_certificate(tmp_path / "a.key") == (public_text, None)
    public, secret = auth.load_certificate(tmp_path / "a.key_secret")
    assert public == public_text
    assert zmq.curve_public(secret) == public
    public_file, secret_file = auth.create_certificates(tmp_path, "theirs")
    node = start("theirs", "--cert", secret_file, "--allow", public_file, kind=Node)
    seen = run("topology", "--peer", node.url, "--cert", secret_file, "--server-key", public_file,
               "--json", "--nodes", "2", *WAIT)
    assert seen.returncode == OK, seen.stderr


# -- pub and sub ----------------------------------------------------------------------------------

def publish_and_read(start, values, pub_format, sub_arguments, count, data=None):
    node = start("hub", kind=Node)
    reader = start("sub", "--peer", node.url, "/t", "-n", count, *WAIT, *sub_arguments)
    # Values last: behind a -- everything is one.
    sent = run("pub", "--peer", node.url, "/t/x", "--format", pub_format, "--wait", "--reliable",
               *WAIT, *values, data=data)
    assert sent.returncode == OK, sent.stderr
    lines = reader.rest()
    assert reader.wait() == OK, reader.error_text()
    return lines


def test_text_travels_with_its_types(start):
    values = ["hello world", "5", "80/tcp", "10.0.0.0/8", "5s", "nil", "(1, {a -> T})", '"5"',
              "grüße", '"two\\nlines"']
    lines = publish_and_read(start, ["--", *values], "text", (), len(values))
    assert lines == [f"/t/x {value}".encode() for value in
                     [*values[:6], '(1, {"a" -> T})', *values[7:]]]


def test_json_travels_typed_and_plain(start):
    values = ['{"@data-type":"timespan","data":"5s"}', '{"b":[1,-1,null,"x"]}', "1.5"]
    lines = publish_and_read(start, values, "json", ("--json",), 3)
    told = [json.loads(line) for line in lines]
    assert told[0]["data"] == {"@data-type": "timespan", "data": "5s"}
    assert [item["@data-type"] for item in told[1]["data"]["data"][0]["value"]["data"]] == \
        ["count", "integer", "none", "string"]
    assert told[2]["data"] == {"@data-type": "real", "data": 1.5}
    for message in told:
        assert message["topic"] == "/t/x"
        assert message["mode"] == "reliable"
        assert message["hops"] == 2
        assert re.fullmatch(r"[0-9a-f-]{36}", message["origin"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", message["sent_at"])


def test_what_follows_a_double_dash_is_a_value_wherever_it_stands(start):
    node = start("hub", kind=Node)
    reader = start("sub", "--peer", node.url, "/t", "-n", "6", *WAIT)
    for before, behind in ((["/t", "5"], ["-1.5", "--json"]), (["/t"], ["-x", "[1,2]"]),
                           ([], ["/t", "-y"])):
        sent = run("pub", *before, "--wait", "--peer", node.url, *WAIT, "--", *behind)
        assert sent.returncode == OK, sent.stderr
    assert reader.rest() == [b"/t 5", b"/t -1.5", b"/t --json", b"/t -x", b"/t [1,2]", b"/t -y"]


@pytest.mark.parametrize("form, told", [("text", ["[1,2]", "[]", "++"]), ("json", ["(1, 2)", "()"])])
def test_a_value_in_brackets_is_one_message(start, form, told):
    values = ["[1,2]", "[]", "++"][:len(told)]
    assert publish_and_read(start, values, form, (), len(told)) == [
        f"/t/x {value}".encode() for value in told]


def test_bytes_that_are_not_utf_8_travel_unchanged(start):
    payload = [b"\xff\xfe raw", b"", bytes(b for b in range(256) if b != 10), b"5"]
    lines = publish_and_read(start, [], "bytes", ("--format", "bytes"), len(payload),
                             data=b"\n".join(payload) + b"\n")
    assert lines == payload


def test_many_lines_of_standard_input_arrive_in_order(start):
    count = 20_000
    lines = publish_and_read(start, [], "text", (), count,
                             data="".join(f"line {i}\n" for i in range(count)).encode())
    assert lines == [f"/t/x line {i}".encode() for i in range(count)]


def test_pub_and_sub_peer_with_each_other_without_a_node(start):
    reader = start("sub", "--listen", "tcp://127.0.0.1:0", "/t", "-n", "1", *WAIT)
    url = await_error_text(reader, r"listening on (\S+)")[1]
    assert run("pub", "--peer", url, "/t", "1", "--wait", *WAIT).returncode == OK
    assert reader.rest() == [b"/t 1"]
    assert reader.wait() == OK


def test_a_malformed_value_is_refused_before_anything_is_sent():
    wrong = run("pub", "--peer", "tcp://127.0.0.1:1", "/t", "{", "--format", "json")
    assert wrong.returncode == FAILURE
    assert b"json" in wrong.stderr


def test_a_peer_can_be_named_by_its_host(start):
    node = start("hub", kind=Node)
    url = node.url.replace("127.0.0.1", "localhost")
    for command in (("topology",), ("pub", "/t", "1"), ("ping", "hub", "-n", "1")):
        told = run(*command, "--peer", url, "--timeout", "10")
        assert told.returncode == OK, (command, told.stderr)


def test_a_topic_that_cannot_be_published_is_told_with_its_limits(start):
    node = start("hub", kind=Node)
    sent = run("pub", "-", "--peer", node.url, *WAIT, data=b'{"topic":"","data":1}\n')
    assert sent.returncode == USAGE
    assert b"line 1: message 1 not published: expected a topic of 1 to 65535 bytes" in sent.stderr


# -- gateway --------------------------------------------------------------------------------------

def test_a_gateway_passes_what_it_may_and_hides_each_domain(start, tmp_path):
    for name in ("inside", "outside"):
        (tmp_path / f"{name}.toml").write_text(
            f'domain = "{name}"\nlisten = ["tcp://127.0.0.1:0"]\nname = "door"\n')
    door = start("gateway", tmp_path / "inside.toml", tmp_path / "outside.toml", "--json",
                 "--from-one", "/public/", "--one-way")
    url = {side: door.event("listening", domain=side)["url"] for side in ("inside", "outside")}
    domain = {side: f"--bzmq.domain={side}" for side in url}
    outside = start("sub", "--peer", url["outside"], "/", "-n", "2", domain["outside"], *WAIT)
    inside = start("sub", "--peer", url["inside"], "/", "-n", "2", domain["inside"], *WAIT)
    # Whoever is outside hears what may pass only, and nothing comes back.
    for side, topic, wait in (("outside", "/public/back", "--wait=1"),
                              ("inside", "/secret/x", "--wait=1"),
                              ("inside", "/public/x", "--wait=2")):
        sent = run("pub", "--peer", url[side], topic, "1", "--reliable", wait, domain[side], *WAIT)
        assert sent.returncode == OK, sent.stderr
    assert outside.rest() == [b"/public/back 1", b"/public/x 1"]
    assert inside.rest() == [b"/secret/x 1", b"/public/x 1"]
    seen = run("topology", "--peer", url["outside"], domain["outside"], "--nodes", "2", "--json",
               *WAIT)
    assert seen.returncode == OK, seen.stderr
    names = {json.loads(line)["name"] for line in seen.stdout.splitlines()}
    assert "door" in names and not any("pub" in n or n == "inside" for n in names)
    door.signal()
    assert door.rest()[-1] == b'{"event":"stopped"}'
    assert door.wait() == OK


def test_a_gateway_passes_once_what_both_sides_subscribe_to(start, tmp_path):
    for name in ("inside", "outside"):
        (tmp_path / f"{name}.toml").write_text(f'domain = "{name}"\nlisten = ["tcp://127.0.0.1:0"]\n')
    door = start("gateway", tmp_path / "inside.toml", tmp_path / "outside.toml", "--json")
    url = {side: door.event("listening", domain=side)["url"] for side in ("inside", "outside")}
    readers = [start("sub", "--peer", url[side], "/t/", "-n", "3", f"--bzmq.domain={side}", *WAIT)
               for side in url]
    # What came round would come between the messages that are published after it.
    for side, text in (("inside", "1"), ("outside", "2"), ("inside", "3")):
        sent = run("pub", "--peer", url[side], "/t/x", text, "--reliable", "--wait=2",
                   f"--bzmq.domain={side}", *WAIT)
        assert sent.returncode == OK, sent.stderr
    for reader in readers:
        assert reader.rest() == [b"/t/x 1", b"/t/x 2", b"/t/x 3"]


def test_a_gateway_needs_two_domains_that_can_be_reached(tmp_path):
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text('domain = "a"\nlisten = ["tcp://127.0.0.1:0"]\n')
    for text, said in (('listen = ["tcp://127.0.0.1:0"]', "domain: expected"),
                       ('domain = "b"', "expected peers or listen"),
                       ('domain = "a"\nlisten = ["tcp://127.0.0.1:0"]', "domain"),
                       ('domian = "b"', "bad.toml:1")):
        bad.write_text(text + "\n")
        ended = run("gateway", good, bad)
        assert ended.returncode == USAGE, (text, ended.stderr)
        assert said in ended.stderr.decode(), (text, ended.stderr)


# -- Exit codes -----------------------------------------------------------------------------------

def test_sub_without_messages_in_time_ends_with_the_timeout_code(start):
    node = start("hub", kind=Node)
    ended = run("sub", "--peer", node.url, "/t", "--timeout", "1500ms")
    assert ended.returncode == TIMEOUT, ended.stderr
    assert b"0 of 1 messages" in ended.stderr


def test_pub_whose_subscriber_never_comes_ends_with_the_timeout_code(start):
    node = start("hub", kind=Node)
    ended = run("pub", "--peer", node.url, "/t", "x", "--wait=2", "--timeout", "1500ms")
    assert ended.returncode == TIMEOUT, ended.stderr


def test_reliable_messages_after_the_reader_has_left_are_a_failure(start):
    node = start("hub", kind=Node)
    reader = start("sub", "--peer", node.url, "/t", "-n", "1", *WAIT)
    writer = start("pub", "--peer", node.url, "/t", "--reliable", "--wait", *WAIT,
                   stdin=subprocess.PIPE)
    writer.process.stdin.write(b"first\n")
    writer.process.stdin.flush()
    assert reader.rest() == [b"/t first"]
    assert reader.wait() == OK
    writer.process.stdin.write(b"second\n")
    writer.process.stdin.close()
    assert writer.wait() == UNAVAILABLE, writer.error_text()
    assert re.search("1 of 2 messages found no subscriber|1 messages were dropped",
                     writer.error_text())


def test_nobody_listening_is_unavailable():
    ended = run("pub", "--peer", "tcp://127.0.0.1:1", "/t", "x", "--timeout", "1")
    assert ended.returncode == UNAVAILABLE, ended.stderr
    assert b"127.0.0.1:1" in ended.stderr


@pytest.mark.parametrize("arguments", [
    (), ("nonsense",), ("pub",), ("sub", "/t"), ("sub", "/t", "--peer", "nowhere://x"),
    ("sub", "/t", "--peer", "tcp://127.0.0.1:1", "-n", "0"),
    ("pub", "/t", "x", "--peer", "tcp://127.0.0.1:1", "--timeout", "soon"),
    ("node", "--listen", "tcp://0.0.0.0:0"),
    ("node", "--listen", "tcp://127.0.0.1:0", "--bzmq.peer_timeot=3s")])
def test_wrong_usage_says_what_and_has_its_code(arguments):
    ended = run(*arguments)
    assert ended.returncode == USAGE, ended.stderr
    assert ended.stderr


@pytest.mark.parametrize("arguments, expected", [
    (("sub", "/t", "-n", "0"), '"0": expected a whole number, 1 or more'),
    (("sub", "/t", "-n", "many"), '"many": expected a whole number, 1 or more'),
    (("play", "f", "--speed", "0"), '"0": expected a number greater than 0'),
    (("sub", "/t", "--format", "xml"), '"xml": expected text, json or bytes'),
    (("node", "--durability", "foo"), '"foo": expected sync, group or async'),
    (("store", "s", "frob"), '"frob": expected get, '),
    (("cluster", "site.toml", "x"), '"site.toml": expected check, start, stop, status or diag'),
    (("cluster", "check", "/"), "/: Is a directory"),
    (("pub", "/t", "--event", "", "x"), "--event: expected some text"),
    (("pub", "/t", "1", "--wait=-1"), '--wait: "-1": expected a whole number, 1 or more'),
    (("pub", "/t", "1", "--wait=x"), '--wait: "x": expected a whole number, 1 or more'),
    (("replay", "f", "--wait=0"), '--wait: "0": expected a whole number, 1 or more'),
    (("sub", "/t", "-n", "010"), '"010": expected a whole number, 1 or more'),
    (("sub", "/t", "-n", "9" * 20), ": expected a whole number, 1 or more"),
    (("topology", "--nodes", "-1"), '"-1": expected a whole number, 0 or more'),
    (("replay", "f", "--rate", "nan"), '"nan": expected a number greater than 0'),
    (("sub", "/t", "--timeout", "soon"), '--timeout: "soon": expected seconds'),
    (("pub", "", "1", "--wait"), "expected a topic of 1 to 65535 bytes"),
    (("keygen", ""), "PATH: expected some text"),
    (("topology", "--dot", "--json"), "--dot excludes --json"),
    (("node", "--relay"), "--relay"),
    (("logger", "--folder", "f", "--timeout", "1"), "--timeout"),
    (("tap", "/t", "--interval", "0", "--listen", "tcp://127.0.0.1:0"),
     "--interval: expected an interval of 10ms or more")])
def test_a_bad_value_is_told_with_what_is_expected(arguments, expected):
    ended = run(*arguments)
    assert ended.returncode == (FAILURE if arguments[-1] == "/" else USAGE)
    assert expected in ended.stderr.decode()


@pytest.mark.parametrize("arguments", [
    ("--help",), ("--version",), ("man",), ("completion", "bash"), ("keygen", "KEY"),
    ("pub", "/t", "1", "--json", "--listen", "tcp://127.0.0.1:0")])
def test_a_full_disk_behind_the_output_is_told(tmp_path, arguments):
    told = run_full(*arguments, cwd=tmp_path)
    assert told.returncode == FAILURE
    assert b"standard output: No space left on device" in told.stderr


def test_a_topic_that_fits_no_filter_is_refused(start):
    node = start("hub", kind=Node)
    ended = run("sub", "t" * 70_000, "--peer", node.url, *WAIT)
    assert ended.returncode == USAGE, ended.stderr
    assert b"expected topics of at most 65535 bytes" in ended.stderr


def test_a_wrong_key_is_told_on_both_sides(start, keys):
    server, stranger, other = keys("server"), keys("stranger", allow=False), keys("other")
    node = start("hub", "--cert", f"{server}.key_secret", "--allow", keys.allowed, kind=Node)
    refused = run("sub", "/t", "--peer", node.url, "--cert", f"{stranger}.key_secret",
                  "--server-key", f"{server}.key", *WAIT)
    assert refused.returncode == AUTHENTICATION, refused.stderr
    assert b"refused our key" in refused.stderr
    told = node.event("error", code="peer_not_authenticated")
    assert (pathlib.Path(f"{stranger}.key").read_text().split('"')[1] in told["message"])
    mistaken = run("sub", "/t", "--peer", node.url, "--cert", f"{other}.key_secret",
                   "--server-key", f"{other}.key", "--timeout", "2")
    assert mistaken.returncode == UNAVAILABLE, mistaken.stderr
    assert b"key may not be the one that we expect (server_key)" in mistaken.stderr


def permissions_file(folder, *entries):
    """Writes one: (key, rules in TOML) each."""
    path = folder / "permissions.toml"
    path.write_text("".join(f'[[permissions]]\nkey = "{key}"\n{rules}\n' for key, rules in entries))
    return path


def test_a_key_publishes_and_receives_what_its_permissions_name(start, keys, tmp_path):
    server, *_ = (keys(name) for name in ["hub", "writer", "reader"])
    public = {name: (tmp_path / f"{name}.key").read_text().split('public-key = "')[1].split('"')[0]
              for name in ["writer", "reader"]}
    file = permissions_file(tmp_path, (public["writer"], 'publish = ["/logs/", "/news"]'),
                            (public["reader"], 'subscribe = ["/logs/"]'), ("*", "publish = []"))
    node = start("hub", "--cert", f"{server}.key_secret", "--allow", keys.allowed,
                 "--permissions", file, "--stats", "50ms", kind=Node)
    reader = start("sub", "/", *secured(keys, "reader", node))
    node.event("peer_added", name="reader")
    for topic in ["/secret", "/news", "/logs/a"]:
        told = run("pub", topic, "1", "--wait", *secured(keys, "writer", node))
        assert told.returncode == OK, told.stderr
    assert reader.line() == b"/logs/a 1"
    events = []
    while not events or events[-1].get("dropped_forbidden") != 2:
        events.append(json.loads(node.line()))
    told = [event["message"] for event in events if event.get("code") == "forbidden"]
    assert len(told) == 2
    assert '"writer"' in told[0] and '"/secret"' in told[0] and public["writer"][:8] in told[0]
    assert '"reader"' in told[1] and '"/news"' in told[1]


def test_permissions_need_keys_and_a_good_file(keys, tmp_path):
    file = permissions_file(tmp_path, ("*", 'subscribe = "/a"'))
    listen = ("--listen", "tcp://127.0.0.1:0")
    told = run("node", *listen, "--permissions", file)
    assert told.returncode == USAGE and b"permissions: expected a cert too" in told.stderr
    told = run("node", *listen, "--cert", f"{keys('hub')}.key_secret", "--permissions", file)
    assert told.returncode == USAGE, told.stderr
    assert f"{file}:3:13: subscribe: expected a list of topic prefixes".encode() in told.stderr


@pytest.mark.parametrize("place", ["file", "named file", "argument"])
def test_a_cert_on_the_command_line_goes_with_what_is_allowed_elsewhere(start, keys, tmp_path,
                                                                        place):
    server, client = keys("hub"), keys("client")
    file = tmp_path / "options.toml"
    file.write_text(f'allow = "{keys.allowed}"\n')
    more = {"file": ("--config", file), "named file": ("--config-file", file),
            "argument": (f"--bzmq.allow={keys.allowed}",)}[place]
    node = start("hub", "--cert", server, *more, kind=Node)
    told = run("topology", "--nodes", "2", *secured(keys, "client", node))
    assert told.returncode == OK, told.stderr


def test_commands_without_an_endpoint_need_no_good_configuration(tmp_path):
    (tmp_path / "bad.toml").write_text('allow = "keys"\nheartbeat = 5\n')
    bad = ("--config-file", tmp_path / "bad.toml")
    for arguments in [("--version",), ("topology", "--help"), ("keygen", tmp_path / "key")]:
        told = run(*bad, *arguments)
        assert told.returncode == OK, told.stderr
    told = run(*bad, "node", "--listen", "tcp://127.0.0.1:0")
    assert told.returncode == USAGE and b"bad.toml:2" in told.stderr
    told = run("--bzmq.heartbeat=5", "keygen", tmp_path / "other")
    assert told.returncode == USAGE and b"unknown option" in told.stderr


# -- Signals --------------------------------------------------------------------------------------

@pytest.mark.parametrize("number, code", [(signal.SIGINT, 0), (signal.SIGTERM, 0)])
@pytest.mark.parametrize("more", [(), ("--stats", "1h"), ("--stats", "10ms")])
def test_a_node_says_goodbye_on_a_signal(start, number, code, more):
    first = start("first", kind=Node)
    second = start("second", *more, kind=Node, peers=[first.url])
    second.event("peer_added")
    first.event("peer_added", name="second")
    second.signal(number)
    second.event("stopped")
    assert second.wait() == code
    first.event("peer_removed", name="second")


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_subscriber_ends_on_a_signal(start, number, code):
    node = start("hub", kind=Node)
    reader = start("sub", "--peer", node.url, "/t")
    node.event("peer_added")
    assert run("pub", "--peer", node.url, "/t", "1", "--wait", *WAIT).returncode == OK
    assert reader.line() == b"/t 1"
    reader.signal(number)
    assert reader.wait() == code
    assert not reader.errors


def test_a_subscriber_tells_that_its_peer_is_lost_and_that_it_is_back(start):
    node = start("hub", kind=Node)
    reader = start("sub", "--peer", node.url, "/t", "-n", "2", *WAIT)
    told = run("pub", "--peer", node.url, "/t", "0", "--wait", *WAIT)
    assert told.returncode == OK and reader.line() == b"/t 0"
    node.signal(signal.SIGKILL)
    await_error_text(reader, f"lost {re.escape(node.url)}, trying again\n")
    node.wait()
    start("node", "--listen", node.url)
    await_error_text(reader, f"{re.escape(node.url)} is back\n")
    assert run("pub", "--peer", node.url, "/t", "1", "--wait", *WAIT).returncode == OK
    assert reader.rest() == [b"/t 1"]
    assert reader.error_text().count("\n") == 2


def test_a_publisher_ends_on_a_signal(start):
    node = start("hub", kind=Node)
    writer = start("pub", "--peer", node.url, "/t", stdin=subprocess.PIPE)
    node.event("peer_added")
    writer.signal()
    assert writer.wait() == 130


def test_a_reader_that_goes_away_ends_a_subscriber(start):
    node = start("hub", kind=Node)
    reader = subprocess.Popen([CLI, "sub", "--peer", node.url, "/t"], stdout=subprocess.PIPE)
    try:
        node.event("peer_added")
        reader.stdout.close()
        assert run("pub", "--peer", node.url, "/t", "1", "--wait", *WAIT).returncode == OK
        assert reader.wait(30) == 141
    finally:
        reader.kill()
        reader.wait()


# -- The overlay ----------------------------------------------------------------------------------

def linked_ring(start, keys, names, extra=()):
    """An encrypted ring of nodes, and `extra` links, with equal costs, so that paths are known."""
    for name in names:
        keys(name)
    folder = keys.allowed.parent
    links = [(a, b) for a, b in zip(names, names[1:])] + [(names[0], names[-1]), *extra]
    nodes = {}
    for name in names:
        lines = []
        for a, b in links:
            if b == name:
                lines.append(f'[[peers]]\nurl = "{nodes[a].url}"\nserver_key = "{folder}/{a}.key"\n')
        config = folder / f"{name}.toml"
        config.write_text("link_cost = 10\n" + "".join(lines))
        nodes[name] = start(name, "--cert", folder / f"{name}.key_secret", "--allow", keys.allowed,
                            "--config", config, kind=Node)
        nodes[name].await_peers(a for a, b in links if b == name)
    return nodes


def secured(keys, name, node):
    """The options with which a tool connects to a node of the ring."""
    folder = keys.allowed.parent
    if not (folder / f"{name}.key").exists():
        keys(name)
    return ("--peer", node.url, "--cert", folder / f"{name}.key_secret",
            "--server-key", folder / f"{node.name}.key", "--name", name, *WAIT)


def test_a_ring_with_keys_shows_its_topology_and_answers_pings(start, keys):
    names = ["n1", "n2", "n3", "n4"]
    nodes = linked_ring(start, keys, names)
    seen = run("topology", "--json", "--nodes", "5", *secured(keys, "tool", nodes["n1"]))
    assert seen.returncode == OK, seen.stderr
    told = {node["name"]: node for node in map(json.loads, seen.stdout.splitlines())}
    assert set(told) == {*names, "tool"}
    assert [told[name]["distance"] for name in ["tool", "n1", "n2", "n3", "n4"]] == [0, 1, 2, 3, 2]
    by_id = {node["id"]: name for name, node in told.items()}
    assert {by_id[link["to"]] for link in told["n3"]["links"]} == {"n2", "n4"}
    assert told["n2"]["links"][0]["cost"] == 10
    assert told["tool"]["next_hop"] is None
    for name in [*names, "tool"]:
        path = keys.allowed.parent / f"{name}.key"
        assert told[name]["public_key"] in path.read_text(), name
    assert by_id[told["n3"]["next_hop"]] == "n1"

    text = run("topology", "--nodes", "5", *secured(keys, "tool", nodes["n1"])).stdout.decode()
    assert text.startswith("tool ") and "(this endpoint)" in text
    assert all(name in text for name in names) and "other links:" in text
    dot = run("topology", "--dot", "--nodes", "5", *secured(keys, "tool", nodes["n1"])).stdout.decode()
    assert dot.startswith("graph overlay {") and dot.count(" -- ") == 5

    one = run("ping", "n3", "-n", "3", "--json", *secured(keys, "tool", nodes["n1"]))
    assert one.returncode == OK, one.stderr
    told = json.loads(one.stdout)
    assert (told["sent"], told["received"]) == (3, 3)
    assert 0 < told["min_ns"] <= told["avg_ns"] <= told["max_ns"]
    assert told["path"] in (["n1", "n2", "n3"], ["n1", "n4", "n3"])
    every = run("ping", "-n", "1", "--nodes", "5", *secured(keys, "tool", nodes["n1"]))
    assert every.returncode == OK, every.stderr
    assert [line.split(b":")[0] for line in every.stdout.splitlines()] == [b"n1", b"n2", b"n4", b"n3"]
    by_name = run("ping", nodes["n3"].id, "-n", "1", *secured(keys, "tool", nodes["n1"]))
    assert by_name.stdout.startswith(b"n3: 1 of 1 answered")


def test_a_topology_is_drawn_from_who_asks_for_it(start):
    far = start("far", kind=Node)
    leaf = start("sub", os.fsdecode(b"/\xff"), "--listen", "tcp://127.0.0.1:0", "--peer", far.url,
                 "--name", "leaf")
    url = await_error_text(leaf, r"listening on (\S+)")[1]
    far.event("peer_added", name="leaf")
    asked = ("topology", "--peer", url, "--name", "me", "--nodes", "2", *WAIT)
    told = run(*asked).stdout.decode().splitlines()
    assert re.fullmatch(r"me  [0-9a-f]{8}  \(this endpoint\)", told[0]), told
    assert re.match(r"`-- leaf  [0-9a-f]{8}  distance 1 ", told[1]), told
    drawn = run(*asked, "--dot").stdout.decode()
    assert re.findall(r'label="(\w+)", style=bold', drawn) == ["me"], drawn
    nodes = {node["name"]: node for node in
             map(json.loads, run(*asked, "--json").stdout.splitlines())}
    assert nodes["leaf"]["filter"] == [
        {"@data-type": "string", "data": "L/8=", "encoding": "base64"}]
    shown = run("ping", nodes["leaf"]["id"][:8], "-n", "1", "--peer", url, *WAIT)
    assert shown.stdout.startswith(b"leaf: 1 of 1 answered"), shown.stderr


def test_a_node_prints_its_statistics_and_those_of_its_peers(start):
    hub = start("hub", "--stats", "50ms", kind=Node)
    leaf = start("leaf", "--peer", hub.url, kind=Node)
    leaf.await_peers(["hub"])
    while not (peers := hub.event("stats")["peers"]) or peers[0]["state"] != "peered":
        pass
    assert (peers[0]["id"], peers[0]["name"]) == (leaf.id, "leaf")
    while peers[0]["round_trip_ns"] == 0:
        peers = hub.event("stats")["peers"]
    assert {"queue_messages", "queue_bytes", "queue_bytes_high", "dropped_messages"} <= set(peers[0])
    told = hub.event("stats")
    assert told["dropped_overflow"] == told["dropped_no_path"] == told["dropped_late"] == 0
    assert told["dropped_forbidden"] == 0

    text = start("node", "--listen", "tcp://127.0.0.1:0", "--peer", hub.url, "--stats", "0.05")
    while not (line := text.line().decode()).startswith("stats ") or "hub peered queue 0" not in line:
        pass
    assert "dropped_overflow 0" in line and "round trip" in line


def test_a_node_prints_how_its_stores_stand_and_who_becomes_master(start, tmp_path):
    hub = start("hub", "--master", f"s={tmp_path / 'hub'}", "--sync-replicas", "1", "--stats", "50ms",
                kind=Node)
    heir = start("heir", "--standby", f"s={tmp_path / 'heir'}", "--stats", "50ms", kind=Node,
                 peers=[hub.url])
    written = run("store", "s", "put", "a", "1", "--peer", hub.url)
    assert written.returncode == OK, written.stderr
    revision = int(written.stdout)

    def stored(told):
        return [each["stored"] for each in told["clones"] if each["standby"] and each["id"] == heir.id]

    while not stored(told := hub.event("stats")["stores"][0]) or stored(told)[0] < revision:
        pass
    assert (told["store"], told["role"], told["entries"]) == ("s", "master", 1)
    while (told := heir.event("stats")["stores"][0])["revision"] < revision:
        pass
    assert (told["role"], told["attached"], told["synced"], told["stale"]) == ("standby", True, True, False)
    done = run("store", "s", "promote", "heir", "--peer", heir.url)
    assert done.returncode == OK, done.stderr
    assert "store s: " in heir.event("store_promoted", id=heir.id)["message"]

    text = start("node", "--listen", "tcp://127.0.0.1:0", "--master", "t", "--stats", "50ms")
    while not (line := text.line().decode()).startswith("stats "):
        pass
    assert "; store t master revision 0 " in line


def test_a_node_without_a_disk_takes_no_options_of_disks(tmp_path):
    for options in (["--sync-replicas", "1"], ["--electors", "A,B,C", "--elector", "A"]):
        told = run("node", "--listen", "tcp://127.0.0.1:0", "--master", "f", *options)
        assert told.returncode == USAGE and b"on disk" in told.stderr, (told.returncode, told.stderr)
    told = run("node", "--listen", "tcp://127.0.0.1:0", "--master", "f", "--master", f"f={tmp_path}/f")
    assert told.returncode == USAGE and b"already" in told.stderr, told.stderr
    assert not (tmp_path / "f").exists()


def test_a_node_takes_no_interval_of_nothing():
    told = run("node", "--listen", "tcp://127.0.0.1:0", "--stats", "0")
    assert told.returncode == USAGE and b"10ms" in told.stderr


def test_pinging_a_node_that_is_not_there_is_unavailable(start):
    node = start("hub", kind=Node)
    ended = run("ping", "nobody", "--peer", node.url, "--timeout", "1500ms")
    assert ended.returncode == UNAVAILABLE, ended.stderr


# -- Logs -----------------------------------------------------------------------------------------

def real_logs():
    folder = pathlib.Path(os.environ.get("BZMQ_ZEEK_LOGS", SOURCE.parent / "shared/data/zeek-logs"))
    if not (folder / "dns.log.gz").exists():
        pytest.skip("no real Zeek logs: BZMQ_ZEEK_LOGS names no folder with dns.log.gz")
    return folder


def test_the_real_dns_log_crosses_a_loopy_overlay_complete_typed_and_in_order(start, keys):
    log = real_logs() / "dns.log.gz"
    # A ring of six: three links between the corner with the publisher and that with the subscriber.
    nodes = linked_ring(start, keys, ["r1", "r2", "r3", "r4", "r5", "r6"], extra=[("r2", "r5")])
    received = []
    hops = set()

    def take(line):
        topic, data, crossed = zeek_values.message_parts(line.decode())
        received.append(hashlib.sha256(f"{topic}\0{data}".encode()).digest())
        hops.add(crossed)

    reader = start("sub", "/zeek/", "--json", "-n", "53615",
                   *secured(keys, "reader", nodes["r4"])[:-2], "--timeout", "240",
                   keep=False, on_line=take)
    sent = run("replay", log, "--wait", "--json", *secured(keys, "writer", nodes["r1"]), timeout=280)
    assert sent.returncode == OK, sent.stderr
    assert json.loads(sent.stdout)["records"] == 53_615
    assert reader.wait(280) == OK, reader.error_text()
    expected = [hashlib.sha256(f"/zeek/{name}\0{data}".encode()).digest()
                for name, data in zeek_values.expected_records(log)]
    assert len(expected) == 53_615
    assert len(received) == len(expected)
    wrong = next((i for i, pair in enumerate(zip(received, expected)) if pair[0] != pair[1]), None)
    assert wrong is None, f"record {wrong} differs or is out of order"
    assert min(hops) == 5, "three links between relays, and one at either end"


@pytest.mark.parametrize("more", [(), ("--logs",)])
def test_replay_of_a_pipe_sends_what_has_come_and_hears_a_signal(start, more):
    node = start("hub", kind=Node)
    reader = start("sub", "--peer", node.url, "/zeek/")
    node.event("peer_added")
    writer = start("replay", "-", "--wait", "--peer", node.url, *more, *WAIT, stdin=subprocess.PIPE)
    for text in (b"#separator \\x09\n#path\tx\n#fields\tn\n#types\tcount\n1\n", b"2\n"):
        writer.process.stdin.write(text)
        writer.process.stdin.flush()
        assert reader.line().startswith(b"/zeek/")
    writer.signal()
    assert writer.wait() == 130, writer.error_text()


def test_replay_of_a_file_that_is_not_there_prints_no_summary(start):
    node = start("hub", kind=Node)
    told = run("replay", "/nonexistent", "--peer", node.url, *WAIT)
    assert told.returncode == FAILURE
    assert not told.stdout and b"No such file" in told.stderr


def test_replay_keeps_the_rate_and_counts(start, tmp_path):
    log = tmp_path / "x.log"
    log.write_text("#separator \\x09\n#path\tx\n#fields\ta\n#types\tcount\n"
                   + "".join(f"{i}\n" for i in range(50)))
    node = start("hub", kind=Node)
    begun = time.monotonic()
    sent = run("replay", log, "--rate", "100", "--peer", node.url, "--json", *WAIT)
    assert sent.returncode == OK, sent.stderr
    assert time.monotonic() - begun >= 0.49
    assert json.loads(sent.stdout)["records"] == 50
    log.write_text(log.read_text() + "x\n")
    broken = run("replay", log, "--peer", node.url, *WAIT)
    assert broken.returncode == FAILURE
    assert b"x.log:55" in broken.stderr and b"50 records" in broken.stdout


# -- store-file -----------------------------------------------------------------------------------

@pytest.fixture
def store(tmp_path):
    """A store with a hundred values."""
    helper = os.environ.get("BZMQ_MAKE_STORE",
                            str(pathlib.Path(CLI).parents[1] / "tests/cli/make_store"))
    path = tmp_path / "store"
    subprocess.run([helper, path, "100"], check=True)
    return path


def test_a_store_is_checked_dumped_and_compacted(store):
    told = json.loads(run("store-file", store, "check", "--json").stdout)
    assert (told["action"], told["values"], told["last"]) == ("check", 100, 100)
    dumped = run("store-file", store, "dump")
    assert dumped.returncode == OK and not dumped.stderr
    lines = [json.loads(line) for line in dumped.stdout.splitlines()]
    assert [line["key"]["data"] for line in lines] == sorted(f"key{i}" for i in range(100))
    assert all(line["key"]["data"] == f"key{line['value']['data']}" for line in lines)
    compacted = run("store-file", store, "compact")
    assert compacted.returncode == OK and compacted.stdout.startswith(b"compacted: 100 values")
    assert run("store-file", store, "dump").stdout == dumped.stdout


def test_a_store_comes_back_from_its_backup(store, tmp_path):
    dumped = run("store-file", store, "dump").stdout
    made = run("store-file", store, "backup", tmp_path / "saved", "--json")
    assert made.returncode == OK, made.stderr
    refused = run("store-file", store, "restore", tmp_path / "saved")
    assert refused.returncode == FAILURE and b"holds a store already" in refused.stderr
    (store / "data.mdb").write_bytes(b"junk")
    broken = run("store-file", store, "check")
    assert broken.returncode == FAILURE and b"cannot be used" in broken.stderr
    restored = run("store-file", store, "restore", tmp_path / "saved", "--force", "--json")
    assert restored.returncode == OK, restored.stderr
    assert json.loads(restored.stdout)["store"] != json.loads(made.stdout)["store"]
    assert run("store-file", store, "dump").stdout == dumped


def test_a_damaged_record_is_named(store):
    data = (store / "data.mdb").read_bytes()
    assert b"key42" in data
    at = data.index(b"key42\0")
    damaged = bytearray(data)
    damaged[at + 12] ^= 1
    (store / "data.mdb").write_bytes(damaged)
    told = run("store-file", store, "check")
    assert told.returncode == FAILURE
    assert b"is damaged" in told.stderr


@pytest.mark.parametrize("action", ["check", "dump"])
def test_store_file_tells_of_a_full_disk_behind_its_output(store, action):
    told = run_full("store-file", store, action)
    assert told.returncode == FAILURE
    assert b"standard output: No space left on device" in told.stderr


@pytest.mark.parametrize("arguments", [("check", "x"), ("backup",), ("dump", "--force"),
                                       ("mend",), ()])
def test_store_file_says_what_is_wrong_usage(store, arguments):
    told = run("store-file", store, *arguments)
    assert told.returncode == USAGE and told.stderr


def test_dumping_to_a_reader_that_goes_away_ends(store):
    pipe = subprocess.Popen([CLI, "store-file", store, "dump"], stdout=subprocess.PIPE)
    pipe.stdout.close()
    assert pipe.wait(30) == 141


# -- What describes the tool ----------------------------------------------------------------------

def test_the_committed_manual_page_is_what_the_tool_prints():
    assert run("man").stdout == (SOURCE / "tools/cli/man/bzmq-cli.1").read_bytes(), \
        "run: bzmq-cli man > tools/cli/man/bzmq-cli.1"


def test_help_and_documentation_list_every_command_and_exit_code():
    text = run("--help").stdout.decode()
    documented = (SOURCE / "docs/cli.md").read_text()
    codes = re.findall(r"^  (\d+) +(.+)$", text, re.M)
    assert [int(code) for code, _ in codes] == [*range(10), 130, 141, 143]
    for code, meaning in codes:
        assert f"| {code} | {meaning} |" in documented
    listed = text.partition("Subcommands:")[2].partition("Exit codes:")[0]
    commands = re.findall(r"^  ([a-z-]+) ", listed, re.M)
    sections = {m[1]: m[0] for m in re.finditer(r"^### ([a-z-]+)\b.*?(?=^##)", documented,
                                                re.M | re.S)}
    assert commands == list(dict.fromkeys(commands)) and len(commands) > 15
    assert set(sections) == set(commands)
    shared = documented.partition("## Connection options")[2].partition("## Commands")[0]
    names = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
    for command in commands:
        shown = run(command, "--help")
        assert shown.returncode == OK
        told = shown.stdout.decode()
        options, section = set(names.findall(told)), sections[command]
        assert options <= {*names.findall(section), *names.findall(shared)}, command
        heading = section.partition("\n")[0]
        assert set(names.findall(heading)) <= options, command
        arguments = re.search(r"^Positionals:\n((?:  .*\n)+)", told, re.M)
        for argument in re.findall(r"^  ([A-Z]+)\b", arguments[1] if arguments else "", re.M):
            choices = argument in ("ACTION", "SHELL")  # The heading spells them out.
            assert argument in heading or choices, (command, argument)
    assert re.fullmatch(rb"bzmq-cli \d+\.\d+\.\d+\n", run("--version").stdout)


def test_bash_completes_commands_options_and_choices(tmp_path):
    script = tmp_path / "completion"
    script.write_bytes(run("completion", "bash").stdout)

    def complete(*words):
        quoted = " ".join(f"'{word}'" for word in words)
        shown = subprocess.run(
            ["bash", "-c", f'source {script}; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; '
             '_bzmq_cli; printf "%s\\n" "${COMPREPLY[@]}"'], capture_output=True, text=True)
        assert not shown.stderr
        return shown.stdout.split()

    assert complete("bzmq-cli", "to") == ["topology"]
    assert complete("bzmq-cli", "pub", "--rel") == ["--reliable", "--relay"] or \
        set(complete("bzmq-cli", "pub", "--rel")) == {"--reliable", "--relay"}
    assert complete("bzmq-cli", "sub", "--format", "j") == ["json"]
    assert complete("bzmq-cli", "store", "name", "pu") == ["put", "put-unique", "push"]
    assert complete("bzmq-cli", "store", "get", "") != []
    assert complete("bzmq-cli", "node", "--durability", "g") == ["group"]
    assert complete("bzmq-cli", "store-file", "folder", "co") == ["compact"]
    assert complete("bzmq-cli", "cluster", "sta") == ["start", "status"]
    assert complete("bzmq-cli", "sub", "--overflow", "b") == ["block"]
    assert complete("bzmq-cli", "node", "--bzmq.peer_t") == ["--bzmq.peer_timeout"]


def test_the_zsh_completion_names_every_command_and_option():
    script = run("completion", "zsh").stdout.decode()
    assert script.startswith("#compdef bzmq-cli\n")
    for word in ("keygen:", "topology:", "--topic-prefix=", "'*--wait=-[", "(text json bytes)",
                 "(get put put-unique", "'*--revision=-["):
        assert word in script
