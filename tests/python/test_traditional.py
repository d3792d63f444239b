"""The traditional API, as programs written for it use it."""

import datetime
import threading

import pytest

import bzmq
import bzmq as broker

from conftest import PATIENCE, eventually


def test_a_program_for_the_older_bindings_runs():
    with broker.Endpoint() as ep1, broker.Endpoint() as ep2, \
            ep1.make_subscriber("/test") as s1, ep2.make_subscriber("/test") as s2:
        port = ep1.listen("127.0.0.1", 0)
        assert ep2.peer("127.0.0.1", port, 1.0)
        assert ep1.await_peer(ep2.node_id()) and ep2.await_peer(ep1.node_id(), 10.0)
        s1.wait_ready(), s2.wait_ready()
        ep2.publish("/test", ["ping"])
        topic, data = s1.get()
        assert (topic, data[0]) == ("/test", "ping")
        ep1.publish(topic, [data[0], "pong"])
        assert s2.get(1, 10.0)  # our own ping: local delivery is on
        assert s2.get()[1] == ("ping", "pong")
        assert s2.poll() == []
        msgs = [("/test/1", (1,)), ("/test/2", (broker.Count(2),))]
        ep2.publish_batch(*msgs)
        s1.get()  # the pong
        assert s1.get(2) == msgs


def test_get_takes_counts_and_times(pair):
    first, second = pair
    subscriber = first.make_subscriber(["/a", bzmq.Topic("/b")])
    assert second.wait_for_subscriber("/a")
    assert subscriber.get(0.01) is None and subscriber.get(timeout=0) is None
    assert subscriber.get(datetime.timedelta(milliseconds=1)) is None
    assert subscriber.get(3, 0.01) == []
    second.publish_many([("/a", 1), ("/b", 2), ("/c", 3), ("/a", 4)])
    assert subscriber.get(3, 10) == [("/a", 1), ("/b", 2), ("/a", 4)]
    second.publish("/a", 5)
    eventually(lambda: subscriber.available() == 1)
    assert subscriber.poll() == [("/a", 5)]


def test_messages_tell_where_they_came_from(pair):
    first, second = pair
    subscriber = first.make_subscriber("/a")
    assert second.wait_for_subscriber("/a")
    before = bzmq.now()
    second.publish("/a", 1, reliable=True)
    message = subscriber.get()
    assert (message.topic, message.value, message.origin) == ("/a", 1, second.node_id())
    assert message.hops == 1 and message.reliable
    assert abs(message.sent_at - before) < datetime.timedelta(seconds=PATIENCE)


def test_topics_come_and_go(pair):
    first, second = pair
    subscriber = first.make_subscriber("/a")
    assert subscriber.add_topic("/b", True) and not subscriber.add_topic("/b")
    assert sorted(subscriber.topics()) == ["/a", "/b"]
    second.publish("/b", 1)
    assert subscriber.get() == ("/b", 1)
    assert subscriber.remove_topic("/b", True) and not subscriber.remove_topic("/b")
    second.publish("/b", 2)
    second.publish("/a", 3)
    assert subscriber.get() == ("/a", 3)


def test_topics_and_payloads_need_not_be_text(pair):
    first, second = pair
    usual, raw = first.make_subscriber([b"\xff/"]), first.make_bytes_subscriber(b"\xff/")
    assert usual.wait_ready() and raw.wait_ready()
    second.publish(b"\xff/x", b"\xfe")
    second.publish(b"\xff/x", "text")
    topic, value = usual.get()
    assert (topic.encode("utf-8", "surrogateescape"), value) == (b"\xff/x", b"\xfe")
    assert usual.get().value == "text"
    assert raw.get(2) == [(b"\xff/x", b"\xfe"), (b"\xff/x", b"text")]
    second.publish(topic, 1)  # a topic as it came
    assert usual.get() == (topic, 1)


def test_safe_subscribers_yield_values_that_cannot_change(pair):
    first, second = pair
    safe = first.make_safe_subscriber("/a")
    assert safe.wait_ready()
    second.publish("/a", {"k": [{1}]})
    assert hash(safe.get().value) == hash(bzmq.frozendict(k=(frozenset({1}),)))


def test_publishers(pair):
    first, second = pair
    subscriber = first.make_subscriber("/p")
    assert subscriber.wait_ready()
    publisher = second.make_publisher("/p")
    publisher.publish(1)
    publisher.publish(2, [3])
    assert publisher.publish_many(iter(["x", b"y", 4.5])) == 3
    assert [each.value for each in subscriber.get(6)] == [1, 2, (3,), "x", "y", 4.5]
    second.shutdown()
    with pytest.raises(bzmq.errors.ShuttingDown):
        publisher.publish(5)
    with pytest.raises(bzmq.errors.ShuttingDown) as told:
        publisher.publish_many([5])
    assert told.value.accepted == 0


def test_publish_tells_what_is_wrong(endpoints):
    endpoint = endpoints(max_message_bytes=2048)
    with pytest.raises(bzmq.errors.InvalidTopic):
        endpoint.publish("", 1)
    with pytest.raises(bzmq.errors.MessageTooBig):
        endpoint.publish("/t", "x" * 4096)
    with pytest.raises(TypeError):
        endpoint.publish(5, 1)
    with pytest.raises(TypeError):
        endpoint.publish_many([("/t", 1), "/t"])


def test_statuses_come_in_order(endpoints):
    first, second = endpoints(name="first"), endpoints(name="second")
    statuses = second.make_status_subscriber(True)
    port = first.listen("127.0.0.1", 0)
    second.peer_nosync("127.0.0.1", port)
    found = statuses.get(2, PATIENCE)
    assert [each.code() for each in found] == [broker.SC.EndpointDiscovered, broker.SC.PeerAdded]
    context = found[1].context()
    assert (context.node_id(), context.name) == (first.node_id(), "first")
    assert (context.network.address, context.network.port) == ("127.0.0.1", port)
    peer, = second.peers()
    assert peer.status == broker.PeerStatus.Peered
    assert peer.flags == broker.PeerFlags.Remote | broker.PeerFlags.Outbound
    assert second.unpeer("127.0.0.1", port)
    assert statuses.get(PATIENCE * 1.0).code() == broker.SC.PeerRemoved
    assert statuses.get(PATIENCE * 1.0).code() == broker.SC.EndpointUnreachable
    assert not second.unpeer("127.0.0.1", port)


def test_a_peer_that_is_not_there_is_told(endpoints):
    endpoint = endpoints()
    errors = endpoint.make_status_subscriber()
    assert endpoint.peer("127.0.0.1", 1, 0) is False
    assert endpoint.last_error() == broker.EC.PeerUnavailable
    assert errors.get(PATIENCE * 1.0).code() == broker.EC.PeerUnavailable
    assert endpoint.peer("127.0.0.1", 1, 0.1, timeout=0.3) is False
    with pytest.raises(bzmq.errors.PeerUnavailable):
        endpoint.peer_url("tcp://127.0.0.1:1", timeout=0.1)
    with pytest.raises(ConnectionError):
        endpoint.peer_url("tcp://127.0.0.1:1", retry=0)
    assert endpoint.peers() == []


def test_a_peering_may_have_limits_of_its_own(endpoints):
    first, second = endpoints(), endpoints()
    first.listen("127.0.0.1", 0)
    url = first.listeners()[0]
    second.peer_url(url, timeout=PATIENCE, overflow=bzmq.OverflowPolicy.Block, queue_bytes=1 << 16,
                    queue_messages=10, link_cost=30)
    assert second.peers()[0].cost == 30
    second.peer_url_nosync("tcp://127.0.0.1:1", overflow="drop_oldest")
    with pytest.raises(bzmq.errors.InvalidConfiguration, match="queue_bytes"):
        second.peer_url("tcp://127.0.0.1:2", queue_bytes=1)
    with pytest.raises(ValueError):
        second.peer_url("tcp://127.0.0.1:2", overflow="wait")


def test_a_listener_that_cannot_be_is_told(endpoints):
    first, second = endpoints(), endpoints()
    port = first.listen("127.0.0.1", 0)
    assert second.listen("127.0.0.1", port) == 0
    assert second.last_error() == broker.EC.AddressInUse
    with pytest.raises(bzmq.errors.AddressInUse):
        second.listen_url(f"tcp://127.0.0.1:{port}")
    assert second.listen() == 0 and second.last_error() == broker.EC.InsecureListener
    with pytest.raises(bzmq.errors.InvalidAddress):
        second.listen_url("http://x")


def test_what_is_no_id_is_refused(pair):
    for wait in (pair[0].await_peer, pair[0].ping):
        with pytest.raises(ValueError, match="not an endpoint id: nonsense"):
            wait("nonsense", 1.0)


def test_the_overlay_can_be_looked_at(pair):
    first, second = pair
    assert {node.id for node in first.topology()} == {first.node_id(), second.node_id()}
    round_trip, path = first.ping(second.node_id())
    assert round_trip > datetime.timedelta(0) and path == [second.node_id()]
    with pytest.raises(bzmq.errors.NoPathToPeer):
        first.ping("0f8fad5b-d9cb-469f-a165-70867728950e")
    with pytest.raises(ValueError):
        first.ping("nobody")
    subscriber = first.make_subscriber("/x/")
    assert first.await_filter_entry("/x/y") and second.peer_subscriptions() == ["/x/"]
    assert second.subscriptions_of(first.node_id()) == ["/x/"]
    assert not first.await_peer("0f8fad5b-d9cb-469f-a165-70867728950e", 0.01)
    assert first.metrics()["peers"][0].peer.node == second.node_id()
    subscriber.close()


def test_unicast(pair):
    first, second = pair
    subscriber = first.make_subscriber("/u")
    second.publish_to(first.node_id(), "/u", 1)
    assert subscriber.get() == ("/u", 1)
    with pytest.raises(bzmq.errors.NoPathToPeer):
        second.publish_to("0f8fad5b-d9cb-469f-a165-70867728950e", "/u", 1)


def test_a_full_queue_is_counted(endpoints):
    endpoint = endpoints()
    subscriber = endpoint.make_subscriber("/q", 2, overflow=bzmq.OverflowPolicy.DropOldest)
    endpoint.publish_many(("/q", i) for i in range(10))
    eventually(lambda: subscriber.dropped() == 8)
    assert [each.value for each in subscriber.get(2)] == [8, 9]
    cut = endpoint.make_subscriber("/q", 1, overflow="disconnect")
    endpoint.publish_many(("/q", i) for i in range(10))
    eventually(cut.ended)
    assert cut.last_error() == broker.EC.QueueFull
    cut.poll()
    with pytest.raises(bzmq.errors.QueueFull):
        cut.get()


def test_the_end_of_an_endpoint_ends_waits(endpoints):
    endpoint = endpoints()
    subscriber, statuses = endpoint.make_subscriber("/e"), endpoint.make_status_subscriber(True)
    waiting = threading.Thread(target=lambda: ended.append(subscriber.get(5)))
    ended = []
    waiting.start()
    endpoint.publish("/e", 1)
    endpoint.shutdown()
    waiting.join(PATIENCE)
    assert ended == [[("/e", 1)]]
    assert list(subscriber) == [] and list(statuses) == []
    for wait in (subscriber.get, statuses.get):
        with pytest.raises(bzmq.errors.ShuttingDown):
            wait()
    assert endpoint.is_shutdown()
    with pytest.raises(bzmq.errors.ShuttingDown):
        endpoint.publish("/e", 2)


def test_relays_carry_messages_and_views(endpoints):
    left, middle, right = endpoints(), endpoints(), endpoints()
    port = middle.listen("127.0.0.1", 0)
    assert left.peer("127.0.0.1", port) and right.peer("127.0.0.1", port)
    subscriber = right.make_subscriber("/far")
    assert left.wait_for_subscriber("/far")
    left.publish("/far", 1)
    message = subscriber.get()
    assert message == ("/far", 1) and message.hops == 2
