"""What reads and writes streams of messages: record, play, tap, sub --exec, pub -."""

import json
import os
import resource
import signal

import pytest

from support import FAILURE, OK, TIMEOUT, USAGE, WAIT, Node, run

LINES = [{"topic": "/t/a", "data": {"@data-type": "count", "data": 1}},
         {"topic": "/t/b", "data": {"@data-type": "vector", "data": [
             {"@data-type": "real", "data": 0.1}, {"@data-type": "none", "data": {}}]}},
         {"topic": "/t/a", "data": {"@data-type": "string", "data": "ünï\n"}},
         {"topic": "/t/caf\u00e9", "data": {"@data-type": "boolean", "data": True}},
         {"topic": "//4=", "topic_encoding": "base64",
          "data": {"@data-type": "string", "data": "//4=", "encoding": "base64"}}]
ALL, INPUT = ("".join(json.dumps(line) + "\n" for line in lines).encode()
              for lines in (LINES, LINES[:4]))  # INPUT: those under /t/


def heart(line):
    """The part of a message that is its publisher's."""
    message = json.loads(line)
    return {key: message[key] for key in ("topic", "topic_encoding", "data") if key in message}


def hearts(lines):
    return [heart(line) for line in lines]


def subscriber(start, node, *arguments):
    """A `sub`; once this returns, `pub --wait` finds it."""
    return start("sub", "--peer", node.url, *arguments, *WAIT)


def publish(node, *arguments, data=INPUT):
    done = run("pub", "--peer", node.url, "-", "--wait", "--reliable", *arguments, *WAIT, data=data)
    assert done.returncode == OK, done.stderr
    return done


@pytest.fixture
def node(start):
    return start("hub", kind=Node)


# -- pub - ----------------------------------------------------------------------------------------

def test_what_sub_prints_as_json_pub_reads(start, node):
    reader = subscriber(start, node, "", "--json", "-n", len(LINES))
    told = json.loads(publish(node, "--json", data=ALL).stdout)
    assert told == {"published": len(LINES), "mode": "reliable"}
    printed = reader.rest()
    assert hearts(printed) == LINES
    second = subscriber(start, node, "", "--json", "-n", len(LINES))
    publish(node, data=b"".join(line + b"\n" for line in printed))
    assert hearts(second.rest()) == LINES


@pytest.mark.parametrize("line", ["", "no json", "[]", '{"topic":"/t"}', '{"topic":1,"data":1}',
                                  '{"data":1}', '{"topic":"/t","data":{"@data-type":"counter"}}',
                                  '{"topic":"?","topic_encoding":"base64","data":1}'])
def test_a_line_that_is_no_message_is_named(start, node, line):
    good = json.dumps(LINES[0])
    done = run("pub", "--peer", node.url, "-", *WAIT, data=f"{good}\n{line}\n".encode())
    assert done.returncode == FAILURE
    assert b"line 2" in done.stderr


def test_messages_and_values_do_not_mix():
    done = run("pub", "--listen", "tcp://127.0.0.1:0", "-", "value")
    assert done.returncode == USAGE
    assert b"-" in done.stderr


# -- sub --exec -----------------------------------------------------------------------------------

def test_a_command_runs_for_each_message_in_order(start, node, tmp_path):
    out = tmp_path / "out"
    command = f"read -r line; printf '%s\\n' \"$MESSAGE_TOPIC|$line|${{#MESSAGE_ORIGIN}}\" >> {out}"
    reader = subscriber(start, node, "/t/", "-n", 4, "--exec", command)
    publish(node)
    assert reader.wait() == OK, reader.error_text()
    assert out.read_text().splitlines() == [
        "/t/a|1|36", "/t/b|(0.1, nil)|36", '/t/a|"ünï\\n"|36', "/t/café|T|36"]


def test_a_command_that_fails_is_told_and_the_next_one_runs(start, node, tmp_path):
    out = tmp_path / "out"
    reader = subscriber(start, node, "/t/", "--json", "-n", 4, "--exec",
                        f'echo "$MESSAGE_TOPIC" >> {out}; test "$MESSAGE_TOPIC" = /t/a || exit 7')
    publish(node)
    assert reader.wait() == FAILURE
    assert reader.error_text().count("ended with 7") == 2
    assert len(out.read_text().splitlines()) == 4


def test_a_command_that_reads_nothing_of_much_does_no_harm(start, node):
    reader = subscriber(start, node, "/big", "-n", 1, "--exec", "true")
    run("pub", "--peer", node.url, "/big", "--wait", *WAIT, data=b"x" * 3_000_000)
    assert reader.wait() == OK, reader.error_text()


def test_a_signal_ends_the_command_too(start, node, tmp_path):
    marks = tmp_path / "marks"
    reader = subscriber(start, node, "/t/", "--exec",
                        f"echo $$ >> {marks}; trap 'echo ended >> {marks}; exit' TERM; "
                        "while :; do sleep 0.01; done")
    publish(node)
    while not marks.exists() or not marks.read_text():
        assert reader.process.poll() is None, reader.error_text()
    reader.signal(signal.SIGTERM)
    assert reader.wait() == 143
    assert "ended" in marks.read_text()


def test_the_timeout_ends_the_command_too(start, node, tmp_path):
    kid = tmp_path / "kid"
    reader = start("sub", "--peer", node.url, "/t/", "--timeout", "3", "--exec", f"echo $$ > {kid}; sleep 4321")
    publish(node)
    assert reader.wait() == TIMEOUT, reader.error_text()
    assert "the command had no time left for 4 messages" in reader.error_text()
    with pytest.raises(ProcessLookupError):
        os.kill(int(kid.read_text()), 0)


# -- Zeek's events --------------------------------------------------------------------------------

def event(node, *arguments):
    done = run("pub", "--peer", node.url, "--wait", "--reliable", *WAIT, *arguments)
    assert done.returncode == OK, done.stderr


def test_events_are_raised_and_seen(start, node):
    reader = subscriber(start, node, "/e/", "--events", "-n", 3)
    event(node, "--event", "Ping::ping", "/e/ping", "hello world", "80/tcp", "(1, -2)")
    event(node, "--event", "tick", "/e/tick")
    event(node, "/e/b", '(1, 5, ((1, 1, ("a", (1))), (1, 5, ((1, 1, ("b", (nil)))))))')
    assert reader.rest() == [b'/e/ping Ping::ping ("hello world", 80/tcp, (1, -2))', b"/e/tick tick ()",
                             b"/e/b a (1)", b"/e/b b (nil)"]
    assert reader.wait() == OK, reader.error_text()


def test_what_sub_prints_of_events_pub_raises_again(start, node):
    whole = b'(1, 1, ("late", (5), ((1, 2026-01-31T08:30:00Z))))'
    reader = subscriber(start, node, "/e/", "--events", "--json", "-n", 2)
    event(node, "--event", "ping", "/e/ping", "--format", "json", '"x"')
    event(node, "/e/late", whole.decode())
    lines = reader.rest()
    first = json.loads(lines[0])
    assert (first["event"], first["args"]) == ("ping", [{"@data-type": "string", "data": "x"}])
    again = subscriber(start, node, "/e/", "-n", 2)
    publish(node, data=b"".join(line + b"\n" for line in lines))
    assert again.rest() == [b'/e/ping (1, 1, ("ping", ("x")))', b"/e/late " + whole]


def test_what_is_no_event_is_counted(start, node):
    reader = subscriber(start, node, "/t/", "--events", "-n", 4)
    publish(node)
    assert reader.rest() == []
    assert reader.wait() == OK
    assert "4 messages had no events" in reader.error_text()
    for wrong in (("pub", "-", "--event", "x"), ("sub", "/", "--events", "--format", "bytes"),
                  ("sub", "/", "--events", "--exec", "cat")):
        assert run(*wrong, "--listen", "tcp://127.0.0.1:0").returncode == USAGE


# -- record and play ------------------------------------------------------------------------------

def record(start, node, file, *arguments):
    return start("record", file, "/", "--peer", node.url, "--json", *arguments, *WAIT)


def test_what_was_recorded_plays_equal(start, node, tmp_path):
    file = tmp_path / "traffic"
    recorder = record(start, node, file, "-n", 4)
    publish(node)
    told = json.loads(recorder.line())
    assert recorder.wait() == OK
    assert (told["messages"], told["messages_before"]) == (4, 0)
    assert told["bytes"] == file.stat().st_size
    printed = run("play", file, "--print", "--json")
    assert hearts(printed.stdout.splitlines()) == LINES[:4]
    assert all(json.loads(line)["mode"] == "reliable" for line in printed.stdout.splitlines())
    reader = subscriber(start, node, "/t/", "--json", "-n", 4)
    played = run("play", file, "--peer", node.url, "--wait", "--json", *WAIT)
    assert played.returncode == OK, played.stderr
    assert json.loads(played.stdout)["published"] == 4
    assert json.loads(played.stdout)["next"] == 5
    assert hearts(reader.rest()) == LINES[:4]


def test_a_recording_goes_on_and_parts_of_it_play(start, node, tmp_path):
    file = tmp_path / "traffic"
    for turn in range(2):
        recorder = record(start, node, file, "-n", 4, *(["--append"] if turn else []))
        publish(node)
        told = json.loads(recorder.line())
        assert recorder.wait() == OK
        assert (told["messages"], told["messages_before"]) == (4, 4 * turn)
    refused = run("record", file, "/", "--peer", node.url)
    assert refused.returncode == FAILURE
    assert b"--append" in refused.stderr
    def part(*how):
        return hearts(run("play", file, "--print", "--json", *how).stdout.splitlines())
    assert part() == LINES[:4] * 2
    assert part("--from", 4) == LINES[3:4] + LINES[:4]
    assert part("--topic", "/t/a", "-n", 3) == [LINES[0], LINES[2], LINES[0]]
    assert part("--topic", "/t/c", "--topic", "/t/b", "--from", 5) == [LINES[1], LINES[3]]


def test_playing_keeps_the_pace(start, node, tmp_path):
    file = tmp_path / "traffic"
    recorder = record(start, node, file, "-n", 2)
    slow = start("pub", "/t/x", "--peer", node.url, "--wait", *WAIT, stdin=-1)
    slow.process.stdin.write(b"1\n")
    slow.process.stdin.flush()
    with pytest.raises(Exception):
        slow.process.wait(0.5)  # The pause that is recorded.
    slow.process.stdin.write(b"2\n")
    slow.process.stdin.close()
    assert recorder.wait() == OK, recorder.error_text()
    at = [run("play", file, "--peer", node.url, "--json", *how, *WAIT).stdout
          for how in ((), ("--speed", 5), ("--fast",))]
    real, faster, fast = (json.loads(line)["seconds"] for line in at)
    assert 0.4 < real
    assert 0.08 < faster < real
    assert fast < real


def test_a_killed_recorder_leaves_what_it_had_written(start, node, tmp_path):
    file = tmp_path / "traffic"
    recorder = record(start, node, file)
    publish(node)
    while file.stat().st_size < 20:
        assert recorder.process.poll() is None, recorder.error_text()
    recorder.signal(signal.SIGKILL)
    recorder.wait()
    file.write_bytes(file.read_bytes() + b"BZRB half a block")
    printed = run("play", file, "--print", "--json")
    assert printed.returncode == OK
    assert hearts(printed.stdout.splitlines()) == LINES[:4]
    assert b"within a block" in printed.stderr
    again = record(start, node, file, "--append", "-n", 4)
    publish(node)
    assert again.wait() == OK, again.error_text()
    assert "cut off" in again.error_text()
    assert len(run("play", file, "--print").stdout.splitlines()) == 8


def test_a_damaged_recording_says_where_and_can_be_skipped(start, node, tmp_path):
    file = tmp_path / "traffic"
    recorder = record(start, node, file, "-n", 4)
    publish(node)
    assert recorder.wait() == OK
    bytes_ = bytearray(file.read_bytes())
    bytes_[-1] ^= 1
    file.write_bytes(bytes_)
    stopped = run("play", file, "--print")
    assert stopped.returncode == FAILURE
    assert b"byte 8" in stopped.stderr and b"--skip-damaged" in stopped.stderr
    assert run("play", file, "--print", "--skip-damaged").returncode == FAILURE
    file.write_bytes(b"something else altogether")
    other = run("play", file, "--print")
    assert other.returncode == FAILURE
    assert b"no recording" in other.stderr


def test_a_recorder_tells_of_a_limit_on_the_size_of_files(start, node, tmp_path):
    recorder = record(start, node, tmp_path / "traffic")
    publish(node)
    _, hard = resource.prlimit(recorder.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(recorder.process.pid, resource.RLIMIT_FSIZE, (1, hard))
    publish(node)
    recorder.signal(signal.SIGTERM)
    assert recorder.wait() == FAILURE, recorder.error_text()
    assert "File too large" in recorder.error_text()


def test_a_signal_ends_a_recorder_with_all_that_came(start, node, tmp_path):
    file = tmp_path / "traffic"
    recorder = record(start, node, file)
    publish(node)
    recorder.signal(signal.SIGINT)
    assert recorder.wait() == 130
    assert json.loads(recorder.rest()[0])["messages"] == 4
    assert len(run("play", file, "--print").stdout.splitlines()) == 4


# -- tap ------------------------------------------------------------------------------------------

def test_tap_counts_by_topic_and_publisher(start, node):
    tap = start("tap", "/t/", "--peer", node.url, "--interval", "0.1", "-n", 4, "--json", *WAIT)
    publish(node, "--name", "writer")
    views = [json.loads(line) for line in tap.rest()]
    assert tap.wait() == OK, tap.error_text()
    last = views[-1]
    assert {row["topic"]: row["messages_in_all"] for row in last["topics"]} == {
        "/t/a": 2, "/t/b": 1, "/t/café": 1}
    assert [row["messages_in_all"] for row in last["origins"]] == [4]
    assert sum(view["messages"] for view in views) == 4
    assert sum(view["bytes"] for view in views) == sum(
        row["bytes_in_all"] for row in last["topics"])


def test_tap_counts_topics_together(start, node):
    tap = start("tap", "/t/", "--peer", node.url, "-n", 4, "--depth", 1, "--json", *WAIT)
    publish(node)
    last = json.loads(tap.rest()[-1])
    assert {row["topic"]: row["messages_in_all"] for row in last["topics"]} == {"/t/": 4}


def test_tap_prints_tables_where_there_is_no_terminal(start, node):
    tap = start("tap", "/t/", "--peer", node.url, "-n", 4, "--top", 1, *WAIT)
    publish(node)
    text = b"\n".join(tap.rest()).decode()
    assert "TOPIC" in text and "PUBLISHER" in text
    assert "/t/a" in text and "... and 2 more" in text
    assert "\x1b" not in text


def test_tap_without_traffic_ends_in_time(node):
    assert run("tap", "/none", "--peer", node.url, "--timeout", "0.5").returncode == TIMEOUT
