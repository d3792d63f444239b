"""Drives `bzmq-cli request` and `serve`. BZMQ_CLI names the program."""

import json
import signal

from support import FAILURE, OK, TIMEOUT, WAIT, Node, run


def serve(start, hub, name, topic, command, *more):
    return start("serve", topic, "--exec", command, "--peer", hub.url, "--name", name, *more)


def ask(hub, *arguments):
    return run("request", "--peer", hub.url, *WAIT, *arguments)


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
