"""The package is all of bzmq: every public name of C++ is in it, or in the table of docs/python.md."""

import inspect
import re

import pytest

import bzmq
from bzmq import _bzmq, store_file, zeek

from conftest import PATIENCE, SOURCE, run
from public_names import names

HEADERS = sorted((SOURCE / "lib/include/bzmq").glob("*.hpp"))
TABLE = re.search(r"\n## C\+\+ and Python, name by name\n(.*?)(\n## |\Z)",
                  (SOURCE / "docs/python.md").read_text(), re.DOTALL)[1]
ELSEWHERE = {name for row in re.findall(r"^\| (`.*?) \|", TABLE, re.MULTILINE)
             for name in re.findall(r"`([^`]+)`", row)}


def parameters(*functions):
    return {name for each in functions for name in inspect.signature(each).parameters}


class Words:
    """The options that a call takes by name, as its documentation has them."""

    def __init__(self, *calls):
        self._all = set(re.findall(r"\w+", " ".join(map(inspect.getdoc, calls)))) | parameters(*calls)

    def __contains__(self, name):
        return name in self._all


def metric_names(kind):
    with bzmq.Endpoint() as node, node.make_subscriber("/t"):
        metrics = node.metrics()
    return set(metrics if kind == "endpoint_metrics" else metrics["subscribers"][0])


# Where the names of a class are that is no class of the same name.
PLACES = {
    "clone": bzmq.CloneInfo,
    "clone_options": Words(bzmq.Endpoint.attach_clone),
    "configuration": bzmq.Configuration,
    "endpoint_metrics": metric_names,
    "endpoint_options": bzmq.Configuration,
    "failover_options": Words(bzmq.Endpoint.attach_master),
    "gateway_options": parameters(bzmq.Gateway),
    "master_options": Words(bzmq.Endpoint.attach_master),
    "peering_limits": parameters(bzmq.Endpoint.peer_url),
    "peering_options": parameters(bzmq.Endpoint.peer_url),
    "queue_options": parameters(bzmq.Endpoint.make_subscriber),
    "request_options": parameters(bzmq.Endpoint.request_all),
    "store::proxy": bzmq.StoreProxy,
    "store_batch": bzmq.Batch,
    "store_entry": bzmq.Entry,
    "store_event_subscriber": bzmq.StoreEvents,
    "store_info": bzmq.Info,
    "store_write": _bzmq.StoreWrite,
    "subscriber_metrics": metric_names,
    "summary": store_file.Summary,
    "table": bzmq.StoreTable,
    "write_outcome": bzmq.Outcome,
}
MODULES = {"zeek.hpp": (zeek,), "event_bus.hpp": (bzmq, zeek), "store_file.hpp": (store_file,)}


def camel(name):
    return "".join(part.capitalize() for part in name.split("_"))


def place_of(owner, header):
    """What Python has in place of a class of C++, or None."""
    if owner in PLACES:
        place = PLACES[owner]
        return place(owner) if inspect.isfunction(place) else place
    for module in MODULES.get(header.name, (bzmq,)):
        if (found := getattr(module, camel(owner), None)) is not None:
            return found
    return None


def has(place, name):
    if inspect.isclass(place):
        told = {each for base in place.__mro__ for each in getattr(base, "__annotations__", ())}
        if (code := getattr(place.__init__, "__code__", None)) is not None:
            told |= set(code.co_names)
        return hasattr(place, name) or name in told
    return name in place


def missing(header):
    for owner, name in names(header.read_text()):
        whole = f"{owner}::{name}" if owner else name
        if whole in ELSEWHERE or owner in ELSEWHERE:
            continue
        if owner:
            place = place_of(owner, header)
            if place is None or not has(place, name):
                yield whole
        elif not (name in PLACES or any(hasattr(module, each) for each in (name, camel(name))
                                        for module in (*MODULES.get(header.name, (bzmq,)), bzmq.errors))):
            yield whole


@pytest.mark.parametrize("header", HEADERS, ids=[each.stem for each in HEADERS])
def test_every_public_name_is_here_or_in_the_table(header):
    assert sorted(set(missing(header))) == []


def test_the_table_has_no_name_that_cpp_does_not_have():
    known = set()
    for header in HEADERS:
        for owner, name in names(header.read_text()):
            known |= {f"{owner}::{name}" if owner else name, owner}
    assert sorted(ELSEWHERE - known) == []


def test_the_headers_are_read():
    known = {pair for header in HEADERS for pair in names(header.read_text())}
    assert {("endpoint", "subscribe_direct"), ("store::proxy", "receive"), ("", "peering_limits"),
            ("peer_info", "queue_bytes_high"), ("", "make_url"), ("gateway", "active"),
            ("summary", "log_first"), ("", "restore"), ("message", "hops")} <= known
    assert len(known) > 400


# -- What the other suites do not look at ----------------------------------------------------------

def test_payloads_pass_undecoded(pair):
    first, second = pair
    raw, usual = first.make_raw_subscriber("/raw/"), first.make_subscriber("/again/")
    assert second.wait_for_subscriber("/raw/", timeout=PATIENCE)
    value = {"a": (1, None, "text")}
    second.publish("/raw/1", value)
    topic, payload = raw.get(timeout=PATIENCE)
    assert topic == "/raw/1" and isinstance(payload, bytes)
    second.publish_raw("/again/1", payload)
    second.make_publisher("/again/2").publish_raw(memoryview(payload))
    assert usual.get(2, PATIENCE) == [("/again/1", value), ("/again/2", value)]
    with pytest.raises(TypeError):
        second.publish_raw("/again/1", "text")


def test_take_waits_for_one_and_brings_all_that_are_there(pair):
    subscriber = pair[0].make_subscriber("/t")
    assert subscriber.take(timeout=0.01) == [] == subscriber.take(0)
    pair[0].publish_many([("/t", i) for i in range(10)])
    assert pair[0].await_filter_entry("/t", PATIENCE)
    got = []
    while len(got) < 10:
        got += subscriber.take(4, PATIENCE)
        assert 1 <= len(got)
    assert [each.value for each in got] == list(range(10))
    subscriber.close()
    assert subscriber.take() == []


def test_take_with_asyncio():
    import bzmq.asyncio

    async def main():
        async with bzmq.asyncio.Endpoint() as node:
            subscriber = node.make_subscriber("/t")
            node.publish_many([("/t", i) for i in range(10)])
            got = []
            while len(got) < 10:
                got += await subscriber.take(4, PATIENCE)
            assert [each.value for each in got] == list(range(10))
            assert await subscriber.take(timeout=0.01) == []
    run(main())


def test_options_tell_what_an_endpoint_runs_with(endpoints):
    node = endpoints(name="one", peer_timeout=7, peers=[{"url": "tcp://127.0.0.1:1", "link_cost": 3}],
                     log_level="off")
    got = node.options()
    assert isinstance(got, bzmq.Configuration)
    assert (got.name, got.peer_timeout.total_seconds(), got.peers[0]["link_cost"]) == ("one", 7, 3)
    got.name = "another"
    assert node.options().name == "one"


def test_subscriptions_are_waited_for(pair):
    known = pair[1].peer_subscriptions()
    assert not pair[1].await_subscriptions(known, 0.01)
    subscriber = pair[0].make_subscriber("/new/")
    assert pair[1].await_subscriptions(known, PATIENCE)
    assert pair[1].peer_subscriptions() == ["/new/"]
    subscriber.close()


def test_a_message_beyond_the_limit_is_refused_here_and_told_of_there(endpoints):
    small, large = endpoints(max_message_bytes=1 << 16, log_level="off"), endpoints(log_level="off")
    with pytest.raises(bzmq.errors.MessageTooBig):
        small.publish("/t", bytes(1 << 17))
    messages = small.make_subscriber("/t")
    assert large.peer("127.0.0.1", small.listen("127.0.0.1", 0), timeout=PATIENCE)
    assert large.wait_for_subscriber("/t", timeout=PATIENCE)
    news = large.make_status_subscriber()
    large.publish("/t", bytes(1 << 20))
    large.publish("/t", "small")
    assert messages.get(timeout=PATIENCE).value == "small"
    assert news.get(timeout=PATIENCE).code() == bzmq.EC.MessageTooBig
    assert large.metrics()["dropped_too_big"] == 1


def test_addresses():
    assert bzmq.NetworkInfo.parse("tcp://[::1]:9") == bzmq.NetworkInfo("::1", 9)
    assert bzmq.NetworkInfo.parse("host") == bzmq.NetworkInfo("host", 9999)
    assert bzmq.NetworkInfo("::1", 9).url() == bzmq.make_url("[::1]", 9) == "tcp://[::1]:9"
    assert bzmq.normalise_url("127.0.0.1:5") == "tcp://127.0.0.1:5"
    assert bzmq.is_loopback_url("tcp://127.0.0.1:5") and not bzmq.is_loopback_url("tcp://192.0.2.1:5")
    with pytest.raises(bzmq.errors.InvalidAddress):
        bzmq.NetworkInfo.parse("tcp://a:b:c")


def test_refusals_for_good():
    assert bzmq.errors.refuses_for_good(bzmq.EC.PeerNotAuthenticated)
    assert bzmq.errors.refuses_for_good(bzmq.errors.PeerInvalid("this endpoint"))
    assert not bzmq.errors.refuses_for_good(bzmq.EC.PeerUnavailable)


def test_what_a_service_tells(pair):
    server, asker = pair
    answers = {"adding": lambda request: sum(request.value)}
    with server.serve("/add", answers["adding"]) as service:
        assert asker.wait_for_server("/add", timeout=PATIENCE)
        assert asker.request("/add", [1, 2], PATIENCE, reliable=False) == 3
        assert [each.value for each in asker.request_all("/add", [2, 2], PATIENCE, to=server.node_id())] == [4]
        assert service.requests == 2 and service.last_error() is None
        assert asker.wait_for_subscriber(bzmq.request_topic("/add"), timeout=PATIENCE)
    assert service.open == 0
