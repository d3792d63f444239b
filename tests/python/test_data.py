"""Values between Python and bzmq."""

import datetime
import ipaddress
import json
import pickle

import pytest

import bzmq
from bzmq import Count, Data, Enum, Port, Timespan, Timestamp, frozendict

NOW = datetime.datetime(2026, 1, 31, 8, 30, 0, 250000, tzinfo=bzmq.utc)
VALUES = [
    (None, "nil"), (True, "T"), (False, "F"), (Count(3), "3"), (Count(2**64 - 1), str(2**64 - 1)),
    (3, "int(3)"), (-3, "-3"), (2**63 - 1, f"int({2**63 - 1})"), (-2**63, str(-2**63)),
    (2.5, "2.5"), (float("inf"), "inf"), ("", '""'), ("grüße", '"grüße"'), (b"\xff\0", r'"\xff\x00"'),
    (ipaddress.ip_address("192.0.2.1"), "192.0.2.1"),
    (ipaddress.ip_address("2001:db8::1"), "2001:db8::1"),
    (ipaddress.ip_network("10.0.0.0/8"), "10.0.0.0/8"),
    (ipaddress.ip_network("2001:db8::/32"), "2001:db8::/32"),
    (Port(80, Port.TCP), "80/tcp"), (Port(0), "0/?"),
    (datetime.timedelta(seconds=5), "5s"), (datetime.timedelta(microseconds=-1), "-1us"),
    (Timespan(1), "1ns"), (Timestamp(1), "1970-01-01T00:00:00.000000001Z"),
    (Timestamp(-1), "1969-12-31T23:59:59.999999999Z"), (NOW, "2026-01-31T08:30:00.25Z"),
    (Enum("a b"), 'enum("a b")'),
    (set(), "{}"), ({1, 2}, "{int(1), int(2)}"), ({}, "{->}"), ({"k": 0}, '{"k" -> int(0)}'),
    ((), "()"), ((1, ("x", None)), '(int(1), ("x", nil))'),
    ({frozenset({1}), ("a",)}, None), ({frozendict(a=1): {"b": {2}}}, None),
]


@pytest.mark.parametrize("value, text", VALUES, ids=repr)
def test_values_come_back_as_they_went(value, text):
    data = Data(value)
    back = data.to_py(data)
    assert back == value and type(back) is type(value)
    if text is not None:
        assert data.to_text() == text
        assert Data.parse(text) == data
    assert Data.from_json(data.to_json()) == data
    json.loads(data.to_json())


def test_frozen_values_have_hashes():
    value = {"k": [1, {2}, {"x": {3: [4]}}]}
    frozen = bzmq.ImmutableData.to_py(Data(value))
    assert frozen == frozendict(k=(1, frozenset({2}), frozendict(x=frozendict({3: (4,)}))))
    hash(frozen)
    for change in (lambda: frozen.update(a=1), lambda: frozen.pop("k"), lambda: frozen.clear()):
        with pytest.raises(TypeError):
            change()
    assert json.dumps(bzmq.ImmutableData.to_py(Data({"a": {"b": 1}}))) == '{"a": {"b": 1}}'


def test_nanoseconds_survive():
    for kind in (Timespan, Timestamp):
        value = Data.to_py(Data(kind(1_234_567_891)))
        assert value.nanoseconds == 1_234_567_891
        assert pickle.loads(pickle.dumps(value)).nanoseconds == 1_234_567_891
    assert Timestamp(1_500) - Timestamp(500) == datetime.timedelta(microseconds=1)
    assert Timestamp(1_500) + datetime.timedelta(seconds=1) > Timestamp(1_500)


def test_times_that_differ_by_nanoseconds_are_different_keys():
    assert len(Data.to_py(Data.parse("{1001ns -> 1, 1002ns -> 2, 1us -> 3}"))) == 3
    micro = datetime.timedelta(microseconds=1)
    for kind, plain in ((Timespan, micro), (Timestamp, datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
                                             + micro)):
        assert kind(1000) == plain == kind(1000) and hash(kind(1000)) == hash(plain)
        assert kind(1001) != plain != kind(1001) and not kind(1001) == plain
        assert plain < kind(1001) < kind(1002) and kind(1002) > kind(1001) > plain
        assert plain <= kind(1001) <= kind(1001) >= kind(1001) >= plain and not plain >= kind(1001)
        assert len({kind(1), kind(2), kind(2)}) == 2 and kind(1) != 1
    with pytest.raises(TypeError):
        Timestamp(1) < datetime.datetime(2026, 1, 31)  # without a zone


def test_a_time_without_zone_is_local_as_everywhere_in_python():
    naive = datetime.datetime(2026, 7, 1, 12, 0)
    assert Data.to_py(Data(naive)) == naive.astimezone()


def test_other_zones_are_understood():
    zone = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
    assert Data(NOW.astimezone(zone)) == Data(NOW)


@pytest.mark.parametrize("value, problem", [
    (2**63, OverflowError), (-2**63 - 1, OverflowError), (object(), TypeError), (1j, TypeError),
    ([object()], TypeError), ({"k": object}, TypeError),
    (datetime.datetime(9999, 1, 1, tzinfo=bzmq.utc), OverflowError),
    (datetime.timedelta(days=200_000), OverflowError),
    (ipaddress.ip_interface("10.1.2.3/8"), TypeError),
], ids=repr)
def test_what_has_no_counterpart_is_refused(value, problem):
    with pytest.raises(problem):
        Data(value)


def test_an_address_with_a_scope_is_refused():
    with pytest.raises(TypeError, match="scope"):
        Data(ipaddress.ip_address("fe80::1%eth0"))


def test_a_list_that_contains_itself_is_refused():
    value = []
    value.append(value)
    with pytest.raises(bzmq.errors.InvalidData):
        Data(value)


@pytest.mark.parametrize("value", [-1, 2**64])
def test_counts_have_a_range(value):
    with pytest.raises(ValueError):
        Count(value)


def test_counts_are_ints():
    assert Count(3) == 3 and Count(3).value == 3 and repr(Count(3)) == "Count(3)"
    assert isinstance(Count(3), int) and f"{Count(3)}" == "3"


def test_mappings_bytearrays_and_views_are_values():
    import types
    assert Data(types.MappingProxyType({"a": 1})) == Data({"a": 1})
    assert Data(bytearray(b"ab")) == Data(memoryview(b"ab")) == Data("ab")


def test_values_have_the_total_order_of_bzmq():
    order = [Data(v) for v in (None, True, Count(1), 1, 1.0, "a", NOW, datetime.timedelta(0), ())]
    assert sorted(reversed(order)) == order
    assert len({*order, *order}) == len(order)


def test_what_is_not_text_of_a_value_is_refused():
    with pytest.raises(bzmq.errors.InvalidJson) as told:
        Data.from_json("{")
    assert told.value.code() == bzmq.EC.InvalidJson
    with pytest.raises(ValueError):
        Data.parse("{a -> 1, a -> 2}")


def test_topics():
    topic = bzmq.Topic("/a") / "b" / "/c"
    assert str(topic) == "/a/b/c" and topic.split() == ["a", "b", "c"] == list(topic.split())
    assert topic.prefix_of("/a/b/cd") and not topic.as_prefix().prefix_of("/a/b/cd")
    assert bzmq.Topic.join(["a", "b"]) == "a/b" and {topic} == {bzmq.Topic("/a/b/c")}


def test_zeek_events():
    event = bzmq.zeek.Event("ping", "x", 1, metadata={bzmq.zeek.MetadataType.NetworkTimestamp: NOW})
    back = bzmq.zeek.Event(Data.to_py(Data(event)))
    assert (back.name(), back.args(), back.ts()) == ("ping", ["x", 1], NOW)
    assert Data(event).to_text() == ('(1, 1, ("ping", ("x", int(1)), ((1, 2026-01-31T08:30:00.25Z))))')
    safe = bzmq.zeek.SafeEvent(Data(bzmq.zeek.Event("e", {1: {2}})))
    assert safe.args() == (frozendict({1: frozenset({2})}),)
    batch = bzmq.zeek.Batch(Data(bzmq.zeek.Batch(event, bzmq.zeek.Batch(event))))
    assert [type(each).__name__ for each in batch] == ["Event", "Batch"]
    for wrong in (1, (1, 2), (1, 1, ()), (1, 9, ()), (2, 1, ("e", ())), (1, 1, (1, ()))):
        assert not bzmq.zeek.Event(wrong).valid()
        with pytest.raises(ValueError):
            bzmq.zeek.Message.parse(wrong)


def test_errors_can_be_caught_by_what_they_mean():
    errors = bzmq.errors
    for code in bzmq.EC:
        made = errors.make_error(code, "why")
        assert type(made).__name__ == code.name and made.code() == code and made == code
        assert isinstance(made, bzmq.Error) and str(made) == f"{code.name}: why"
        assert pickle.loads(pickle.dumps(made)) == made
    assert issubclass(errors.NoSuchKey, KeyError) and issubclass(errors.RequestTimeout, TimeoutError)
    assert bzmq.EC.RequestTimeOut == bzmq.EC.RequestTimeout


def test_configuration(tmp_path, monkeypatch):
    cfg = bzmq.Configuration(name="n", peer_timeout=5, heartbeat_interval=datetime.timedelta(seconds=2))
    assert cfg.peer_timeout == datetime.timedelta(seconds=5)
    cfg.peers = ["tcp://127.0.0.1:1", {"url": "ipc:///x", "retry": 0.5}]
    assert cfg.peers[1]["retry"] == datetime.timedelta(milliseconds=500)
    limits = {"overflow": "block", "queue_bytes": 65536, "queue_messages": 10, "link_cost": 30}
    cfg.peers = [{"url": "ipc:///x", **limits}]
    assert cfg.peers[0] == {"url": "ipc:///x", **limits}
    cfg.validate()
    cfg.peers = [{"url": "ipc:///x", "queue_bytes": 1}]
    with pytest.raises(bzmq.Error, match="queue_bytes"):
        cfg.validate()
    with pytest.raises(ValueError):
        cfg.peers = [{"url": "ipc:///x", "overflow": "wait"}]
    cfg.peers = ["tcp://127.0.0.1:1"]
    with pytest.raises(AttributeError, match="no option"):
        cfg.peer_timeot = 5
    with pytest.raises(AttributeError, match="cert"):
        cfg.openssl_certificate = "x"
    with pytest.raises(ValueError):
        cfg.peer_overflow = "sometimes"
    file = tmp_path / "bzmq.toml"
    file.write_text('domain = "d"\npeer_timeout = "7s"\n')
    monkeypatch.setenv("BZMQ_LINK_COST", "7")
    assert cfg.init(["--bzmq.forwarding=false", "mine"], file=file) == ["mine"]
    assert (cfg.domain, cfg.link_cost, cfg.forwarding) == ("d", 7, False)
    assert cfg.peer_timeout == datetime.timedelta(seconds=5)
    cfg.peer_timeout = datetime.timedelta(milliseconds=1)
    with pytest.raises(bzmq.errors.InvalidConfiguration, match="peer_timeout"):
        bzmq.Endpoint(cfg)
    options = bzmq.BrokerOptions()
    with pytest.raises(AttributeError):
        options.forward = False
    options.disable_forwarding = True
    assert bzmq.Configuration(options).forwarding is False
