"""bzmq.asyncio beside C++ peers, in processes of their own, with keys."""

import asyncio
import subprocess

import pytest

import bzmq
import bzmq.asyncio
from bzmq.asyncio import Endpoint

from conftest import PATIENCE, finish, run
from test_processes import keys, node  # noqa: F401 - fixtures


def more(url, options):
    return ("--peer", url, "--cert", options["cert"], "--server-key", options["server_key"])


def test_a_loop_and_the_command_line_talk_with_keys(node, start):  # noqa: F811
    url, options = node

    async def main():
        async with Endpoint(**options) as endpoint:
            assert await endpoint.peer_url(url, timeout=PATIENCE)
            assert endpoint.peers()[0].public_key == bzmq.Certificate.load(options["server_key"]).public_key
            subscriber = endpoint.make_subscriber("/from/cli")
            assert await subscriber.wait_ready(PATIENCE)
            start("tools/bzmq-cli", "pub", *more(url, options), "/from/cli", *map(str, range(20)), "--wait",
                  "--reliable", "--timeout", "60")
            found = []
            async for topic, value in subscriber:
                found.append(value)
                if len(found) == 10:
                    break
            found += [each.value for each in await subscriber.get(10, PATIENCE)]
            assert found == list(range(20))

            reader = start("tools/bzmq-cli", "sub", *more(url, options), "/from/loop", "-n", "100",
                           "--timeout", "60")
            assert await endpoint.wait_for_subscriber("/from/loop", timeout=PATIENCE)
            await asyncio.gather(*(endpoint.publish_async("/from/loop", bzmq.Count(i), reliable=True)
                                   for i in range(50)))
            assert await endpoint.publish_many_async(
                (("/from/loop", bzmq.Count(i)) for i in range(50, 100)), reliable=True) == 50
            lines = await asyncio.to_thread(reader.rest)
            assert lines == [f"/from/loop {i}".encode() for i in range(100)]
    run(main())


def test_a_stranger_is_told_and_a_cancelled_dial_ends(node, keys, tmp_path):  # noqa: F811
    url, options = node
    bzmq.Certificate.generate().write(tmp_path / "stranger")

    async def main():
        outside = {**options, "cert": str(tmp_path / "stranger.key_secret")}
        async with Endpoint(**outside, log_level="off") as endpoint:
            with pytest.raises(bzmq.errors.PeerNotAuthenticated):
                await endpoint.peer_url(url, retry=0, timeout=PATIENCE)
            dial = asyncio.create_task(endpoint.peer_url(url))
            news = endpoint.make_status_subscriber()
            assert (await news.get()).code() == bzmq.EC.PeerNotAuthenticated
            dial.cancel()
            with pytest.raises(asyncio.CancelledError):
                await dial
            while endpoint.peers():
                await asyncio.sleep(0.001)
    run(main())


LOOP = """
import asyncio, sys
import bzmq, bzmq.asyncio
url, cert, key, name = sys.argv[1:]
async def main():
    async with bzmq.asyncio.Endpoint(cert=cert, server_key=key, name=name) as node:
        subscriber = node.make_subscriber("/all/")
        await node.peer_url(url, timeout=60)
        assert await subscriber.wait_ready(60) and await node.wait_for_subscriber("/all/", 1, 60)
        sending = asyncio.create_task(
            node.publish_many_async(((f"/all/{name}", i) for i in range(1000)), reliable=True))
        found = {}
        async for topic, value in subscriber:
            found.setdefault(topic, []).append(value)
            if len(found) == 2 and min(map(len, found.values())) == 1000:
                break
        assert await sending == 1000
        assert all(values == list(range(1000)) for values in found.values())
        print(*sorted(found), flush=True)
        await asyncio.to_thread(sys.stdin.read)  # nobody leaves before the other has all
asyncio.run(main())
"""


def test_loops_in_two_processes_meet_over_a_cpp_relay(node, program):  # noqa: F811
    url, options = node
    peers = [program(LOOP, url, options["cert"], options["server_key"], name, stdin=subprocess.PIPE)
             for name in ("a", "b")]
    lines = [each.stdout.readline() for each in peers]
    assert lines == ["/all/a /all/b\n"] * 2, [each.stderr.read() for each in peers]
    for each in peers:
        finish(each)


def test_a_clone_on_a_loop_follows_a_cpp_master(start):
    master = start("examples/example_store_master", "tcp://127.0.0.1:0")
    url = master.line().decode().split()[-1]

    async def main():
        async with Endpoint() as endpoint:
            await endpoint.peer_url(url, timeout=PATIENCE)
            clone = await endpoint.attach_clone("inventory")
            assert await clone.await_sync(PATIENCE)
            assert await clone.get("apples") == 3 and await clone.get("plums") is None
            events = clone.events()
            assert (await clone.increment("apples", bzmq.Count(2))).value == 5
            async for each in events:
                assert (each.what, each.key, each.new_value) == ("update", "apples", 5)
                break
            await clone.put("bye", None)
    run(main())
    assert b"update apples 5" in master.rest() and master.wait() == 0
