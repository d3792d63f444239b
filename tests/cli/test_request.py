"""Drives `bzmq-cli request` and `serve`. BZMQ_CLI names the program."""

import json
import os
import signal
import time

from support import CLI, FAILURE, NO_KEY, OK, TIMEOUT, WAIT, Node, run
from test_logger import await_that


def serve(start, hub, name, topic, command, *more):
    return start("serve", topic, "--exec", command, "--peer", hub.url, "--name", name, *more)


def ask(hub, *arguments, data=None):
    return run("request", "--peer", hub.url, *WAIT, *arguments, data=data)


def test_a_command_answers(start):
    hub = start("hub", kind=Node)
    server = serve(start, hub, "upper", "/upper", "tr a-z A-Z")
    done = ask(hub, "/upper", "hello")
    assert (done.returncode, done.stdout) == (OK, b"HELLO\n"), done.stderr
    server.signal(signal.SIGTERM)
    assert server.wait() == OK, server.error_text()


def test_values_keep_their_types_and_topics_are_told(start):
    hub = start("hub", kind=Node)
    serve(start, hub, "calc", "/calc", 'read x; echo "$((x + 1))"; test "$REQUEST_TOPIC" = /calc/add')
    done = ask(hub, "/calc/add", "41", "--json")
    assert done.returncode == OK, done.stderr
    told = json.loads(done.stdout)
    assert told["data"] == {"@data-type": "count", "data": 42}
    assert told["name"] == "calc"


def test_several_servers_answer(start):
    hub = start("hub", kind=Node)
    for name in "abc":
        serve(start, hub, name, "/who", f"echo {name}")
    done = ask(hub, "/who", "nil", "--all", "--servers", "3")
    assert done.returncode == OK, done.stderr
    assert sorted(done.stdout.split()) == [b"a", b"b", b"c"]
    one = ask(hub, "/who", "nil", "--to", "b")
    assert (one.returncode, one.stdout) == (OK, b"b\n"), one.stderr


def test_a_command_that_fails_is_an_error_of_its_server(start):
    hub = start("hub", kind=Node)
    server = serve(start, hub, "broken", "/broken", "exit 3")
    done = ask(hub, "/broken", "1")
    assert done.returncode == FAILURE
    assert done.stdout == b""
    assert b"broken: backend_failure: the command ended with 3" in done.stderr
    server.signal(signal.SIGINT)
    assert server.wait() == OK
    assert "the command ended with 3" in server.error_text()


def test_nobody_serves(start):
    hub = start("hub", kind=Node)
    done = run("request", "/nothing", "1", "--peer", hub.url, "--timeout", "300ms")
    assert done.returncode == TIMEOUT
    assert b"fewer than 1 endpoints serve /nothing" in done.stderr


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


SLOW = "sleep 4321 & echo $! > {}/kid; wait; echo x"


def kid_of(folder):
    await_that(lambda: (folder / "kid").exists() and (folder / "kid").read_text().strip())
    return int((folder / "kid").read_text())


def test_a_signal_ends_serve_and_all_that_its_command_started(start, tmp_path):
    hub = start("hub", kind=Node)
    server = serve(start, hub, "slow", "/slow", SLOW.format(tmp_path))
    asker = start("request", "/slow", "1", "--peer", hub.url, *WAIT)
    kid = kid_of(tmp_path)
    begun = time.monotonic()
    server.signal(signal.SIGTERM)
    assert server.wait() == OK, server.error_text()
    assert time.monotonic() - begun < 30, "not as long as the command would take"
    await_that(lambda: not is_alive(kid))
    assert asker.wait() != OK


def test_a_command_that_does_not_mind_signals_is_killed(start, tmp_path):
    hub = start("hub", kind=Node)
    server = serve(start, hub, "deaf", "/deaf", f"trap '' TERM; echo $$ > {tmp_path}/kid; while :; do sleep 1; done")
    start("request", "/deaf", "1", "--peer", hub.url, *WAIT)
    kid = kid_of(tmp_path)
    server.signal(signal.SIGTERM)
    assert server.wait() == OK, server.error_text()
    await_that(lambda: not is_alive(kid))


def test_a_command_does_not_outlive_its_askers_patience(start, tmp_path):
    hub = start("hub", kind=Node)
    server = serve(start, hub, "slow", "/slow", SLOW.format(tmp_path))
    done = run("request", "/slow", "1", "--peer", hub.url, "--timeout", "2")
    assert done.returncode == TIMEOUT
    kid = kid_of(tmp_path)
    await_that(lambda: not is_alive(kid))
    await_that(lambda: "it was ended" in server.error_text())


def test_a_command_ends_when_its_asker_gives_up(start, tmp_path):
    hub = start("hub", kind=Node)
    serve(start, hub, "slow", "/slow", SLOW.format(tmp_path))
    asker = start("request", "/slow", "1", "--peer", hub.url, "--timeout", "1h")
    kid = kid_of(tmp_path)
    asker.signal(signal.SIGINT)
    assert asker.wait() == 130
    await_that(lambda: not is_alive(kid))


VALUES = [{"@data-type": "count", "data": 5}, {"@data-type": "string", "data": "x\ny"},
          {"@data-type": "vector", "data": [{"@data-type": "none", "data": {}}]},
          {"@data-type": "port", "data": "80/tcp"}]


def test_what_request_prints_as_json_request_and_serve_read(start):
    hub = start("hub", kind=Node)
    serve(start, hub, "echo", "/echo", "cat", "--json")
    lines = "".join(json.dumps(value) + "\n" for value in VALUES).encode()
    first = ask(hub, "/echo", "--json", data=lines)
    assert first.returncode == OK, first.stderr
    answers = [json.loads(line) for line in first.stdout.splitlines()]
    assert [one["data"] for one in answers] == VALUES
    assert {one["name"] for one in answers} == {"echo"}
    second = ask(hub, "/echo", "-", "--json", data=first.stdout)
    assert [json.loads(line)["data"] for line in second.stdout.splitlines()] == VALUES
    one = ask(hub, "/echo", json.dumps(VALUES[0]), "--json")
    assert json.loads(one.stdout)["data"] == VALUES[0]
    # A server that asks another one passes answers on as they are.
    forward = f"{CLI} request /echo --json --peer {hub.url} --timeout 60"
    serve(start, hub, "front", "/front", forward, "--json")
    through = ask(hub, "/front", json.dumps(VALUES[1]), "--json")
    assert json.loads(through.stdout)["data"] == VALUES[1], through.stderr


def test_serve_tells_the_command_the_whole_request_in_json(start):
    hub = start("hub", kind=Node)
    told = """python3 -c 'import json,sys; r = json.load(sys.stdin); print(json.dumps([r["topic"], r["data"]["data"]]))'"""
    serve(start, hub, "s", "/s", told, "--json")
    done = ask(hub, "/s/t", "7")
    assert (done.returncode, done.stdout) == (OK, b'("/s/t", 7)\n'), done.stderr
    serve(start, hub, "no", "/no", """echo '{"error":"no_such_key","message":"gone"}'""", "--json")
    failed = ask(hub, "/no", "1")
    assert failed.returncode == 6
    assert b"no: no_such_key: gone" in failed.stderr


def test_lines_are_asked_one_after_the_other_and_answered_as_they_come(start):
    hub = start("hub", kind=Node)
    serve(start, hub, "upper", "/upper", "tr a-z A-Z")
    asker = start("request", "/upper", "--peer", hub.url, *WAIT, stdin=-1)
    for word in (b"one", b"two"):
        asker.process.stdin.write(word + b"\n")
        asker.process.stdin.flush()
        assert asker.line() == word.upper()  # Before the next one is asked.
    asker.process.stdin.close()
    assert asker.wait() == OK, asker.error_text()
    bad = ask(hub, "/upper", "--format", "json", data=b'1\nno json\n')
    assert bad.returncode == FAILURE
    assert b"standard input, line 2" in bad.stderr


def test_all_answers_are_printed_when_they_come(start, tmp_path):
    hub = start("hub", kind=Node)
    serve(start, hub, "fast", "/who", "echo fast")
    serve(start, hub, "late", "/who", f"while [ ! -e {tmp_path}/go ]; do sleep 0.02; done; echo late")
    asker = start("request", "/who", "1", "--all", "--servers", "2", "--peer", hub.url, *WAIT)
    assert asker.line() == b"fast"
    (tmp_path / "go").touch()
    assert asker.line() == b"late"
    assert asker.wait() == OK, asker.error_text()


def test_an_error_without_words_is_told_and_the_service_goes_on(start):
    hub = start("hub", kind=Node)
    for topic, message in (("/a", "null"), ("/b", "5"), ("/c", '["x"]')):
        server = serve(start, hub, "mute", topic,
                       f"""echo '{{"error":"no_such_key","message":{message}}}'""", "--json")
        for _ in range(2):  # The second time it answers still.
            done = ask(hub, topic, "1")
            assert (done.returncode, done.stdout) == (NO_KEY, b""), done.stderr
        server.signal(signal.SIGTERM)
        assert server.wait() == OK, server.error_text()
    asked = ask(hub, "/nobody", '{"error":"no_such_key","message":5}', "--json", "--to", "hub")
    assert asked.returncode == NO_KEY, asked.stderr


def test_what_a_command_started_is_killed_where_it_does_not_mind_signals(start, tmp_path):
    hub = start("hub", kind=Node)
    # The shell ends by the signal, what it started holds nothing of ours and stays.
    command = f"(trap '' TERM; while :; do sleep 1; done) > /dev/null 2>&1 & echo $! > {tmp_path}/kid; wait"
    server = serve(start, hub, "deaf", "/deaf", command)
    start("request", "/deaf", "1", "--peer", hub.url, *WAIT)
    kid = kid_of(tmp_path)
    server.signal(signal.SIGTERM)
    assert server.wait() == OK, server.error_text()
    await_that(lambda: not is_alive(kid))


def test_an_empty_text_is_a_value_to_ask_with(start):
    hub = start("hub", kind=Node)
    serve(start, hub, "size", "/size", "wc -c")
    done = ask(hub, "/size", "", data=b"not\nread\n")
    assert (done.returncode, done.stdout) == (OK, b"1\n"), done.stderr
