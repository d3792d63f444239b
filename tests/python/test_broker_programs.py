"""Programs as they are written for the traditional bindings, with `import bzmq as broker` their only change."""

import datetime
import ipaddress
import select

import pytest

import bzmq as broker

from conftest import PATIENCE, eventually


@pytest.fixture
def linked():
    """Two endpoints that see each other, as such programs make them."""
    with broker.Endpoint() as left, broker.Endpoint() as right:
        port = left.listen("127.0.0.1", 0)
        assert port and right.peer("127.0.0.1", port, 1.0)
        assert left.await_peer(right.node_id()) and right.await_peer(left.node_id())
        yield left, right, port


@pytest.fixture
def inventory(linked):
    """A master and a clone of one store, with something of each kind in it."""
    left, right, _ = linked
    master, clone = left.attach_master("inventory", broker.Backend.Memory), right.attach_clone("inventory")
    master.put("crates", broker.Count(12))
    master.put("open", {"north", "south"})
    master.put("doors", {1: "red", 2: "blue"})
    master.put("queue", ("first", "second"))
    master.put("nothing", None)
    assert clone.await_sync(PATIENCE) and master.await_idle(PATIENCE)
    return master, clone


# -- Stores ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("which", [0, 1], ids=["master", "clone"])
def test_what_a_store_has_not_got_is_none(inventory, which):
    store = inventory[which]
    count = store.get("crates")
    assert count == 12 and isinstance(count, broker.Count)
    assert store.get("barrels") is None and store.get("barrels", 0) == 0
    if store.get("barrels") is None:  # the way in which such programs begin a counter
        store.put("barrels", broker.Count(0)).wait()
    assert store.get("barrels") == 0
    assert store.get_index_from_value("doors", 1) == "red"
    assert store.get_index_from_value("doors", 7) is None
    assert store.get_index_from_value("queue", broker.Count(1)) == "second"
    assert store.get_index_from_value("queue", broker.Count(7)) is None
    assert store.get_index_from_value("open", "north") is True
    assert store.get_index_from_value("open", "west") is False
    assert store.get_index_from_value("nobody", 1) is None
    assert store.get_index_from_value("doors", 7, "grey") == "grey"


def test_brackets_tell_what_is_missing(inventory):
    master, _ = inventory
    with pytest.raises(KeyError):
        master["barrels"]
    assert master["nothing"] is None and "nothing" in master and "barrels" not in master
    with pytest.raises(broker.errors.NoSuchKey):
        master.get_entry("barrels")
    with pytest.raises(broker.errors.TypeClash):
        master.get_index_from_value("crates", 1)


def test_asyncio_reads_as_the_others_do():
    import bzmq.asyncio
    from conftest import run

    async def main():
        async with bzmq.asyncio.Endpoint() as node:
            store = await node.attach_master("s")
            store.put("table", {1: 2})
            assert await store.get("nobody") is None and await store.get("nobody", 5) == 5
            assert await store.get_index_from_value("table", 1) == 2
            assert await store.get_index_from_value("table", 9) is None
            with pytest.raises(KeyError):
                await store.get_entry("nobody")
    run(main())


# -- Who is there ---------------------------------------------------------------------------------

def test_a_status_tells_the_address(linked):
    left, right, port = linked
    with right.make_status_subscriber(True) as news:
        assert right.unpeer("127.0.0.1", port)
        gone = news.get(2)
        assert [each.code() for each in gone] == [broker.SC.PeerRemoved, broker.SC.EndpointUnreachable]
        network = gone[0].context().network
        assert network.is_set() and network
        assert (network.get().address, network.get().port) == ("127.0.0.1", port)
        far = gone[1].context().network
        if not far.is_set():
            with pytest.raises(ValueError):
                far.get()


def test_an_endpoint_without_address_has_no_network():
    nobody = broker.EndpointInfo("0f8fad5b-d9cb-469f-a165-70867728950e")
    assert not nobody.network and not nobody.network.is_set()
    with pytest.raises(ValueError, match="no address"):
        nobody.network.get()
    assert broker.NetworkInfo("192.0.2.1", 5).get() == broker.NetworkInfo("192.0.2.1", 5)


# -- Zeek's messages ------------------------------------------------------------------------------

TIME = broker.zeek.MetadataType.NetworkTimestamp
AT = datetime.datetime(2024, 5, 17, 8, 30, tzinfo=broker.utc)


def test_metadata_is_none_or_pairs():
    assert broker.zeek.Event("opened", 1).metadata() is None
    event = broker.zeek.Event("opened", 1, metadata={TIME: AT, broker.Count(200): "mine"})
    (key, value), (other, mine) = event.metadata()
    assert (key, value, other, mine) == (TIME, AT, 200, "mine")
    assert dict(event.metadata())[TIME] == AT == event.ts()
    received = broker.zeek.Event(broker.Data(event))
    assert received.metadata() == event.metadata() and received.ts() == AT
    assert broker.zeek.Event("opened", metadata=[(TIME, AT)]).metadata() == [(TIME, AT)]


@pytest.mark.parametrize("value", [
    ("opened", 1), 5, None, (1, 2, 3), broker.zeek.Batch().as_data(),
    (broker.Count(1), broker.Count(1), (7, ())), (broker.Count(1), broker.Count(1), ("", ()))])
@pytest.mark.parametrize("kind", [broker.zeek.Event, broker.zeek.SafeEvent])
def test_what_is_no_event_is_not_valid(kind, value):
    event = kind(value)
    assert event.valid() is False
    assert isinstance(event.problem(), ValueError) and "invalid" in repr(event)
    for ask in (event.name, event.args, event.metadata, event.as_data, event.ts):
        with pytest.raises(ValueError):
            ask()
    with broker.Endpoint() as node, pytest.raises(ValueError):
        node.publish("/t", event)


def test_what_is_an_event_is_valid():
    event = broker.zeek.Event("opened", 1)
    assert event.valid() is True and event.problem() is None
    assert broker.zeek.SafeEvent(event.as_data()).valid()
    assert not broker.zeek.Event("opened", metadata=[(TIME, "yesterday")]).valid()


# -- Values and topics ----------------------------------------------------------------------------

def test_data_opens_its_containers():
    value = broker.Data({"hosts": {ipaddress.ip_address("192.0.2.1")}, "ports": [broker.Count(1), 1, 1.0]})
    table = value.as_table()
    hosts, = (broker.Data.to_py(each) for each in table[broker.Data("hosts")].as_set())
    assert hosts == ipaddress.ip_address("192.0.2.1")
    kinds = [each.get_type() for each in table[broker.Data("ports")].as_vector()]
    assert kinds == [broker.Data.Type.Count, broker.Data.Type.Integer, broker.Data.Type.Real]
    # Three values that Python takes for one.
    assert len(broker.Data.parse("{1, int(1), 1.0}").as_set()) == 3
    assert broker.Data(5).as_integer() == 5 and broker.Data("x").as_string() == "x"
    assert broker.Data(True).as_boolean() is True and broker.Data(1.5).as_real() == 1.5
    assert isinstance(broker.Data(broker.Count(5)).as_count(), broker.Count)
    for ask in (broker.Data(1).as_set, broker.Data(1).as_count, broker.Data({1}).as_vector,
                broker.Data(()).as_table):
        with pytest.raises(TypeError, match="expected a"):
            ask()


def test_topics_join_with_one_separator():
    assert str(broker.Topic("/office") / "printer") == "/office/printer"
    assert (broker.Topic("/office/") / broker.Topic("/printer")).string() == "/office/printer"
    topic = broker.Topic("/office")
    topic /= "printer"
    assert topic == broker.Topic("/office/printer")


# -- Publishers and options -----------------------------------------------------------------------

def test_publishers_have_their_gauges():
    with broker.Endpoint(publish_queue_bytes=64 * 1024) as node:
        with node.make_subscriber("/held", 1, overflow="block") as held, \
                node.make_publisher("/held") as publisher:
            assert publisher.capacity() == 64 * 1024
            assert publisher.buffered() == 0 and publisher.demand() == publisher.free_capacity() > 0
            publisher.publish("first")
            eventually(held.available)
            for _ in range(20):  # a full subscriber keeps them there
                publisher.publish("x" * 1000)
            assert publisher.buffered() > 10_000
            assert publisher.free_capacity() <= publisher.capacity() - 10_000
            assert select.select([publisher.fd()], [], [], 0)[0] and select.select([publisher], [], [], 0)[0]
            assert len(held.get(21)) == 21
            eventually(lambda: publisher.buffered() == 0)


def test_options_that_have_no_counterpart_are_accepted():
    options = broker.BrokerOptions()
    options.disable_ssl = True
    config = broker.Configuration(options)
    config.max_threads = 2
    assert config.max_threads == 2
    with pytest.raises(ValueError):
        config.max_threads = -1
    with broker.Endpoint(config):
        pass
    assert broker.APIFlags.Blocking != broker.APIFlags.NonBlocking


def test_a_count_below_nothing_is_refused():
    with broker.Endpoint() as node, node.make_subscriber("/t") as messages, \
            node.make_status_subscriber() as news:
        for get in (messages.get, news.get):
            with pytest.raises(ValueError, match="cannot wait for -1 of them; seconds are a float"):
                get(-1)
            with pytest.raises(TypeError, match="expected a count"):
                get("5")
        assert messages.get(0) == [] and messages.get(True, 0.01) == []
