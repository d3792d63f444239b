"""A million messages, and ten thousand endpoints that come and go, must leave memory and descriptors flat.

    leak_check.py [--messages 1000000] [--endpoints 10000]

Too long for every test run; tests/python/test_manners.py does the same with fewer.
"""

import argparse
import gc
import os
import sys

import bzmq


def rss_kib():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def watch(name, rounds, step):
    """Runs `step` for a fifth of the rounds to warm up; tells what the rest added."""
    for _ in range(rounds // 5):
        step()
    gc.collect()
    memory, files = rss_kib(), descriptors()
    for _ in range(rounds - rounds // 5):
        step()
    gc.collect()
    grown, more = rss_kib() - memory, descriptors() - files
    print(f"{name}: {grown:+d} KiB, {more:+d} descriptors (at {memory} KiB, {files})", flush=True)
    return grown < 8192 and more <= 0


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--messages", type=int, default=1_000_000)
    arguments.add_argument("--endpoints", type=int, default=10_000)
    chosen = arguments.parse_args()
    batch = 1000
    with bzmq.Endpoint() as one, bzmq.Endpoint() as two:
        subscriber = one.make_subscriber("/t")
        subscriber.fd()  # otherwise made when it first has to wait for long
        two.peer("127.0.0.1", one.listen("127.0.0.1", 0))
        two.wait_for_subscriber("/t")
        values = [("/t", value) for value in ({"n": 1, "s": {"x", ("y", None)}}, "text", 5, b"\xff")]

        def messages():
            two.publish_many(values * (batch // len(values)), reliable=True)
            assert len(subscriber.get(batch, 60)) == batch

        flat = watch("messages", chosen.messages // batch, messages)

    def endpoint():
        with bzmq.Endpoint() as node:
            node.make_subscriber("/t").fd()
            node.listen("127.0.0.1", 0)

    flat = watch("endpoints", chosen.endpoints, endpoint) and flat
    sys.exit(0 if flat else 1)


main()
