"""Signals, threads, forks, garbage and the end of programs."""

import errno
import gc
import itertools
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

import bzmq

from conftest import PATIENCE, eventually, finish

INTERRUPTED = """
import bzmq, itertools, os, signal, sys, threading, time
def begin(wait):
    # Ctrl-C once the main thread waits; then how long it took.
    main = threading.main_thread().native_id
    def kill():
        global sent
        while open(f"/proc/self/task/{main}/stat").read().rsplit(")", 1)[1].split()[0] != "S":
            pass
        time.sleep(0.02)  # not what is tested: a chance to be deep in the wait
        sent = time.monotonic()
        os.kill(os.getpid(), signal.SIGINT)
    thread = threading.Thread(target=kill)
    thread.start()
    try:
        wait()
    except KeyboardInterrupt:
        print("after", time.monotonic() - sent)
    thread.join()
node = bzmq.Endpoint(log_level="off")
forever = itertools.count()
def held():
    # An endpoint whose publishers wait from the second message on, for a subscriber that never reads.
    global made, unread
    made = bzmq.Endpoint(log_level="off", publish_queue_bytes=4096, subscriber_overflow="block")
    unread = made.make_subscriber("/t", 1, overflow="block")
    return made
def full_peer():
    # A peer whose subscriber never reads, so that its link's queue fills up.
    global far, near, unread
    far = bzmq.Endpoint(log_level="off")
    unread = far.make_subscriber("/t", 1, overflow="block")
    near = bzmq.Endpoint(log_level="off", peer_overflow="block", publish_queue_bytes=4096,
                         peer_queue_bytes=65536)
    near.peer_url(f"tcp://127.0.0.1:{far.listen('127.0.0.1', 0)}")
    near.wait_for_subscriber("/t", 1, 60)
    return near
"""

WAITS = {
    "subscriber": "s = node.make_subscriber('/t'); begin(s.get)",
    "subscriber_many": "s = node.make_subscriber('/t'); begin(lambda: s.get(5))",
    "status": "begin(node.make_status_subscriber(True).get)",
    "peer": "begin(lambda: node.peer('127.0.0.1', 1))",
    "ping": "begin(lambda: node.await_peer('0f8fad5b-d9cb-469f-a165-70867728950e', 60))",
    "wait_for_subscriber": "begin(lambda: node.wait_for_subscriber('/t', 1, None))",
    "clone": "c = node.attach_clone('s', get_delay=60); begin(lambda: c.get('k'))",
    "write": "c = node.attach_clone('s'); begin(c.put('k', 1).wait)",
    "await_sync": "c = node.attach_clone('s'); begin(lambda: c.await_sync(None))",
    "events": "m = node.attach_master('s'); e = m.events(); begin(e.get)",
    "publish": "node = held(); begin(lambda: [node.publish('/t', 'x' * 1000) for _ in forever])",
    "publish_many": "node = held(); begin(lambda: node.publish_many(('/t', 'x' * 1000) for _ in forever))",
    "publisher": "p = held().make_publisher('/t'); begin(lambda: [p.publish('x' * 1000) for _ in forever])",
    "publish_to": "node = full_peer(); begin(lambda: [node.publish_to(far.node_id(), '/t', 'x' * 1000)"
                  " for _ in forever])",
    "publish_to_itself": "node = held(); begin(lambda: [node.publish_to(node.node_id(), '/t', 'x')"
                         " for _ in forever])",
    "unpeer": """
node = full_peer()
def fill():
    while True:
        node.publish("/t", "x" * 1000)
threading.Thread(target=fill, daemon=True).start()
while node.metrics()["publish_queue_bytes"] < 3000:
    pass
begin(lambda: (node.unpeer_url(far.listeners()[0]), time.sleep(60)))""",
    "proxy": "m = node.attach_master('s'); p = m.proxy(); begin(p.receive)",
}


@pytest.mark.parametrize("wait", WAITS)
def test_control_c_interrupts(program, wait):
    out = finish(program(INTERRUPTED + WAITS[wait]))
    word, seconds = out.split()
    assert word == "after" and float(seconds) < 1


def test_an_interrupted_wait_loses_no_message():
    with bzmq.Endpoint() as node:
        subscriber = node.make_subscriber("/t")
        node.publish_many([("/t", 1), ("/t", 2)])
        eventually(lambda: subscriber.available() == 2)

        def interrupt():
            eventually(lambda: subscriber._own.available() == 0)  # get(3) has taken both
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            subscriber.get(3)
            time.sleep(PATIENCE)
        thread.join()
        node.publish("/t", 3)
        assert [each.value for each in subscriber.get(3)] == [1, 2, 3]


def test_without_a_free_descriptor_waits_end_all_the_same(program):
    process = program("""
import os, resource, threading, bzmq

one, two = bzmq.Endpoint(), bzmq.Endpoint()
port = one.listen("127.0.0.1", 0)
two.peer("127.0.0.1", port, timeout=60)
subscriber = one.make_subscriber("/t")
statuses = one.make_status_subscriber(True)
one.serve("/double", lambda request: request.value * 2)
two.wait_for_server("/double")
assert two.request("/double", 1, timeout=60) == 2  # Answers come at a descriptor of the endpoint's.
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
taken = []
def take_all():
    try:
        while True:
            taken.append(os.dup(0))
    except OSError:
        pass
take_all()
try:
    statuses.get(60.0)
except OSError as told:
    print("told", told.errno)
assert subscriber.get(0.05) is None and subscriber.get(2, 0.05) == []
later = threading.Thread(target=lambda: [two.publish("/t", i) for i in range(3)])
later.start()
assert subscriber.get().value == 0 and [each.value for each in subscriber.get(2)] == [1, 2]
later.join()
assert two.request("/double", 4, timeout=60) == 8
assert two.unpeer("127.0.0.1", port)
for each in taken:
    os.close(each)
assert subscriber.get(0.05) is None
print("done")
""")
    out, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0 and out == f"told {errno.EMFILE}\ndone\n", told


def test_other_threads_run_while_one_waits():
    with bzmq.Endpoint() as node:
        subscriber, statuses = node.make_subscriber("/t"), node.make_status_subscriber(True)
        clone = node.attach_clone("nobody", get_delay=PATIENCE)
        node.attach_master("m")
        waits = [subscriber.get, statuses.get, lambda: clone.get("k"), lambda: clone.await_sync(None),
                 lambda: node.wait_for_subscriber("/t", 1, None), lambda: node.peer("127.0.0.1", 1)]
        ended = []

        def run(wait):
            try:
                wait()
            except bzmq.Error as why:
                ended.append(why)

        threads = [threading.Thread(target=run, args=(wait,)) for wait in waits]
        for each in threads:
            each.start()
        # With the GIL held by any of them this would never get through.
        node.publish("/t", 1)
        for _ in range(1000):
            node.publish("/u", 1)
        node.shutdown()
        for each in threads:
            each.join(PATIENCE)
            assert not each.is_alive()


PARTS = """
import bzmq, gc
node = bzmq.Endpoint()
other = bzmq.Endpoint()
assert other.peer("127.0.0.1", node.listen("127.0.0.1", 0))
master = node.attach_master("s")
clone = other.attach_clone("s")
parts = dict(node=node, other=other, subscriber=node.make_subscriber("/t"),
             publisher=other.make_publisher("/t"), statuses=node.make_status_subscriber(True),
             master=master, clone=clone, events=master.events(), proxy=clone.proxy(),
             write=clone.put("k", 1), call=other._own.peer_later("tcp://127.0.0.1:1", "", None, None))
del node, other, master, clone
parts["publisher"].publish_many(range(100))
"""


@pytest.mark.parametrize("seed", range(6))
def test_objects_may_go_in_any_order(program, seed):
    finish(program(PARTS + f"""
import random
names = list(parts)
random.Random({seed}).shuffle(names)
for name in names:
    del parts[name]
    gc.collect()
"""))


@pytest.mark.parametrize("end", ["", "import sys; sys.exit(0)", "parts = parts['subscriber']",
                                 "import builtins; builtins.kept = parts",
                                 "parts['self'] = parts; gc.disable()"])
def test_programs_may_end_with_all_of_it_alive(program, end):
    finish(program(PARTS + end))


def test_a_program_may_end_while_a_daemon_thread_waits(program):
    finish(program("""
import bzmq, threading
node = bzmq.Endpoint()
subscriber = node.make_subscriber("/t")
for wait in (subscriber.get, node.make_status_subscriber(True).get):
    threading.Thread(target=wait, daemon=True).start()
"""))


def test_a_forked_child_is_refused(program):
    out = finish(program("""
import bzmq, os
node = bzmq.Endpoint()
subscriber, statuses = node.make_subscriber("/t"), node.make_status_subscriber()
master = node.attach_master("s")
publisher, events, proxy = node.make_publisher("/t"), master.events(), master.proxy()
child = os.fork()
if child == 0:
    calls = [lambda: node.publish("/t", 1), lambda: node.listen("127.0.0.1"), node.topology,
             lambda: node.peer("127.0.0.1", 1), subscriber.get, subscriber.fd, statuses.poll,
             lambda: publisher.publish(1), lambda: publisher.publish_many([1]),
             lambda: master.get("k"), lambda: master.put("k", 1), events.get, proxy.receive,
             lambda: node.make_subscriber("/u"), node.shutdown]
    for call in calls:
        try:
            got = call()
        except bzmq.ForkError as why:
            assert "fork" in str(why)
        else:
            assert got == 0 and isinstance(node.last_error(), bzmq.ForkError), call
    with bzmq.Endpoint() as fresh:  # new ones work
        again = fresh.make_subscriber("/t")
        fresh.publish("/t", 1)
        assert again.get() == ("/t", 1)
    del node, subscriber, statuses, master, publisher, events, proxy, calls, call
    raise SystemExit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
node.publish("/t", 2)
print(subscriber.get().value)
"""))
    assert out == "2\n"


def test_multiprocessing_works_by_spawn(program, tmp_path):
    script = tmp_path / "spawn.py"
    script.write_text("""
import multiprocessing, sys
import bzmq

def child(url):
    with bzmq.Endpoint() as node:
        node.peer_url(url)
        node.wait_for_subscriber("/t")
        node.publish("/t", "from the child")

if __name__ == "__main__":
    with bzmq.Endpoint() as node:
        subscriber = node.make_subscriber("/t")
        node.listen("127.0.0.1", 0)
        process = multiprocessing.get_context("spawn").Process(target=child, args=(node.listeners()[0],))
        process.start()
        assert subscriber.get() == ("/t", "from the child")
        process.join()
""")
    subprocess.run([sys.executable, script], check=True, timeout=PATIENCE)


def test_exceptions_in_iterables_come_through():
    def values():
        yield ("/t", 1)
        raise LookupError("mine")
    with bzmq.Endpoint() as node, pytest.raises(LookupError, match="mine"):
        node.publish_many(values())


def _rss_kb():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def _descriptors():
    return len(os.listdir("/proc/self/fd"))


def test_endpoints_and_messages_leave_nothing_behind():
    def round(messages):
        with bzmq.Endpoint(log_level="off") as one, bzmq.Endpoint(log_level="off") as two:
            subscriber = one.make_subscriber("/t")
            subscriber.fd()
            store = one.attach_master("s")
            store.put("k", {1: [2]}).wait()
            two.peer("127.0.0.1", one.listen("127.0.0.1", 0))
            two.wait_for_subscriber("/t")
            two.publish_many((("/t", {"n": i, "s": "x" * 10}) for i in range(messages)))
            assert len(subscriber.get(messages, PATIENCE)) == messages

    for _ in range(5):
        round(2000)
    gc.collect()
    rss, descriptors = _rss_kb(), _descriptors()
    for _ in range(20):
        round(2000)
    gc.collect()
    assert _descriptors() <= descriptors
    assert _rss_kb() - rss < 20_000
