"""Gateways between two domains, with C++ processes on one side where it fits."""

import gc

import pytest

import bzmq
import bzmq.asyncio

from conftest import PATIENCE, finish, run


@pytest.fixture
def domains(endpoints):
    """An endpoint in each of two domains, and the ports at which they listen."""
    east, west = endpoints(domain="east"), endpoints(domain="west")
    return east, west, east.listen("127.0.0.1", 0), west.listen("127.0.0.1", 0)


@pytest.fixture
def gateways(domains):
    """Makes gateways between the two."""
    made = []

    def make(**more):
        gate = bzmq.Gateway(bzmq.Configuration(domain="east", name="gate"), {"domain": "west"}, **more)
        made.append(gate)
        for side, port in ((gate.one, domains[2]), (gate.other, domains[3])):
            assert side.peer("127.0.0.1", port, timeout=PATIENCE)
        return gate

    yield make
    for each in made:
        each.shutdown()


def test_messages_pass_both_ways_and_neither_side_sees_the_other(domains, gateways):
    east, west, *_ = domains
    gate = gateways()
    in_west, in_east = west.make_subscriber("/to-west/"), east.make_subscriber("/to-east/")
    assert east.wait_for_subscriber("/to-west/x", timeout=PATIENCE)
    assert west.wait_for_subscriber("/to-east/x", timeout=PATIENCE)
    east.publish_many([("/to-west/x", i) for i in range(100)], reliable=True)
    west.publish_many([("/to-east/x", i) for i in range(100)], reliable=True)
    for each in (in_west, in_east):
        got = each.get(100, PATIENCE)
        assert [message.value for message in got] == list(range(100))
        assert {message.origin for message in got} == {gate.node_id()}
    assert gate.one.node_id() == gate.other.node_id() == gate.node_id()
    assert len(east.topology()) == 2 and not east.reachable(west.node_id())
    assert gate.active() and gate.one is gate.one
    assert gate.one.name == "gate" and gate.other.options().domain == "west"


def test_only_the_allowed_topics_pass(domains, gateways):
    east, west, *_ = domains
    gateways(from_one="/public/", from_other=[])
    in_west, in_east = west.make_subscriber("/"), east.make_subscriber("/")
    assert east.wait_for_subscriber("/public/x", timeout=PATIENCE)
    assert in_east.wait_ready(PATIENCE)
    assert not east.wait_for_subscriber("/secret/x", timeout=0)
    assert not west.wait_for_subscriber("/public/x", timeout=0)
    west.publish("/public/x", 0, reliable=True)
    assert in_west.get(timeout=PATIENCE) == ("/public/x", 0)  # its own
    east.publish("/secret/x", 1, reliable=True)
    east.publish("/public/x", 2, reliable=True)
    assert in_west.get(timeout=PATIENCE) == ("/public/x", 2)
    assert [in_east.get(timeout=PATIENCE).value for _ in range(2)] == [1, 2]
    assert in_east.poll() == []


def test_a_gateway_of_python_joins_nodes_of_cpp(start):
    from cli_processes import Node
    east = start("tools/bzmq-cli", "east", "--bzmq.domain=east", kind=Node)
    west = start("tools/bzmq-cli", "west", "--bzmq.domain=west", kind=Node)
    with bzmq.Gateway({"domain": "east", "peers": [east.url]}, {"domain": "west"}) as gate:
        gate.other.peer_url(west.url, timeout=PATIENCE)
        reader = start("tools/bzmq-cli", "sub", "/t/", "-n", "2", "--bzmq.domain=west", "--peer", west.url,
                       "--timeout", "60")
        assert gate.other.wait_for_subscriber("/t/x", timeout=PATIENCE)
        start("tools/bzmq-cli", "pub", "/t/x", "hello", "5", "--bzmq.domain=east", "--peer", east.url,
              "--wait", "--reliable", "--timeout", "60")
        assert reader.rest() == [b"/t/x hello", b"/t/x 5"]


def test_what_cannot_be_joined_is_refused():
    for one, other in (("east", "east"), ("", "east")):
        with pytest.raises(bzmq.errors.InvalidConfiguration, match="two domains"):
            bzmq.Gateway({"domain": one}, {"domain": other})
    with pytest.raises(AttributeError):
        bzmq.Gateway({"colour": "red"}, {})


def test_its_end_is_that_of_both_endpoints():
    with bzmq.Gateway({"domain": "a"}, {"domain": "b"}) as gate:
        assert not gate.one.is_shutdown()
    assert gate.one.is_shutdown() and gate.other.is_shutdown()
    gate.shutdown()


def test_an_endpoint_keeps_its_gateway():
    side = bzmq.Gateway({"domain": "a"}, {"domain": "b"}).other
    gc.collect()
    assert not side.is_shutdown() and side.listen("127.0.0.1", 0)
    side.shutdown()


def test_one_that_nobody_ends_does_not_hold_the_program_up(program):
    finish(program("import bzmq; gate = bzmq.Gateway({'domain': 'a'}, {'domain': 'b'})"))


def test_a_fork_is_refused(program):
    finish(program("""
import os, bzmq
with bzmq.Gateway({"domain": "a"}, {"domain": "b"}) as gate:
    if (child := os.fork()) == 0:
        try:
            gate.active()
        except bzmq.ForkError:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
"""))


def test_asyncio():
    async def main():
        async with bzmq.asyncio.Endpoint(domain="east") as east, \
                bzmq.asyncio.Endpoint(domain="west") as west, \
                bzmq.asyncio.Gateway({"domain": "east"}, {"domain": "west"}) as gate:
            assert await gate.one.peer("127.0.0.1", east.listen("127.0.0.1", 0), timeout=PATIENCE)
            assert await gate.other.peer("127.0.0.1", west.listen("127.0.0.1", 0), timeout=PATIENCE)
            messages = west.make_subscriber("/t/")
            assert await east.wait_for_subscriber("/t/x", timeout=PATIENCE)
            await east.publish_async("/t/x", 1, reliable=True)
            assert await messages.get(timeout=PATIENCE) == ("/t/x", 1)
        assert gate.other.is_shutdown()
    run(main())
