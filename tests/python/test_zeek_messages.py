"""Zeek's messages: the same values as in C++ (the vectors of docs/zeek.md), the same refusals."""

import datetime
import re

import pytest

import bzmq
from bzmq import Count, Data, Enum, zeek
from conftest import SOURCE

AT = datetime.datetime(2023, 11, 14, 22, 13, 20, tzinfo=bzmq.utc)
WRITER = Enum("Log::WRITER_ASCII")
SAMPLES = {
    "event": zeek.Event("ping", "hello", Count(7)),
    "event_with_metadata": zeek.Event(
        "ping", "hello", Count(7),
        metadata={zeek.MetadataType.NetworkTimestamp: AT + datetime.timedelta(milliseconds=250),
                  200: "mine"}),
    "log_create": zeek.make_log_create("dns", [("ts", "time"), ("query", "string"),
                                               ("answers", "vector[string]")]),
    "log_write": zeek.make_log_write("dns", [AT, "example.com", None]),
    "log_write_serialised": zeek.LogWrite(Enum("DNS::LOG"), WRITER, "dns", b"\x01\xff"),
    "identifier_update": zeek.IdentifierUpdate("Site::local_nets", {Count(1), Count(2)}),
    "batch": zeek.Batch(zeek.Event("a"), zeek.Batch(zeek.Event("b", None))),
}


def vectors():
    """The texts, which test_zeek compares with the bytes: a value has only one encoding."""
    text = (SOURCE / "docs/zeek.md").read_text()
    return dict(re.findall(r"<!-- vector (\w+) -->\n```text\n(.*)\n```", text))


def test_the_document_shows_each():
    assert vectors().keys() == SAMPLES.keys()
    for name, text in vectors().items():
        assert Data(SAMPLES[name]).to_text() == text
        back = zeek.Message.parse(Data.parse(text))
        assert back == SAMPLES[name] and type(back) is type(SAMPLES[name])
        assert type(back)(Data.parse(text)) == back
        assert Data(zeek.SafeMessage.parse(Data.parse(text))).to_text() == text


def test_each_tells_what_it_holds():
    event = SAMPLES["event_with_metadata"]
    assert (event.name(), event.args()) == ("ping", ["hello", 7])
    assert event.ts() == AT + datetime.timedelta(milliseconds=250) and dict(event.metadata())[200] == "mine"
    create = SAMPLES["log_create"]
    assert (create.stream(), create.writer(), create.info()) == (Enum("dns::LOG"), WRITER, {"path": "dns"})
    assert create.columns()[2] == ("answers", "vector[string]")
    write = zeek.Message.parse(Data(SAMPLES["log_write"]))
    assert (write.path(), write.record()) == ("dns", (AT, "example.com", None))
    assert SAMPLES["log_write_serialised"].record() == b"\x01\xff"
    update = SAMPLES["identifier_update"]
    assert (update.id(), update.value()) == ("Site::local_nets", {1, 2})
    assert [type(each).__name__ for each in SAMPLES["batch"]] == ["Event", "Batch"]


@pytest.mark.parametrize("text, why", [
    ("5", "expected one of Zeek's"), ("(1, 1)", "expected one of Zeek's"),
    ("(2, 1, ())", "expected one of Zeek's"), ("(1, 6, ())", "expected one of Zeek's"),
    ("(1, 0, ())", "expected one of Zeek's"), ("(int(1), 1, ())", "expected one of Zeek's"),
    ("(1, 1, 1)", "expected one of Zeek's"),
    ("(1, 1, (a))", "Event: expected 2 or 3 fields, got 1"),
    ("(1, 1, (a, (), (), 1))", "Event: expected 2 or 3 fields, got 4"),
    ("(1, 1, (7, ()))", "Event: expected the name as str, got Count"),
    ('(1, 1, ("", ()))', "Event: the name is empty"),
    ("(1, 1, (a, {}))", "Event: expected the arguments as vector, got set"),
    ("(1, 1, (a, (), ((a, 1))))", "Event: expected metadata as pairs"),
    ("(1, 1, (a, (), ((1, 5))))", "Event: expected the network time as datetime, got Count"),
    ("(1, 2, (a, enum(b), nil, nil))", "LogCreate: expected the stream as Enum, got str"),
    ("(1, 3, (enum(a), enum(b), c, 5))", "LogWrite: expected the record as vector, str or bytes, got"),
    ("(1, 4, (a))", "IdentifierUpdate: expected 2 fields, got 1"),
    ("(1, 5, ((1, 1, (a, ())), 7))", "Batch, message 1: expected one of Zeek's"),
])
def test_refusals_say_what_was_expected(text, why):
    with pytest.raises(ValueError) as told:
        zeek.Message.parse(Data.parse(text))
    assert str(told.value).startswith(why)


def test_wrong_kinds_and_columns():
    assert str(zeek.Event(Data(zeek.Batch())).problem()) == "expected a message Event, got Batch"
    with pytest.raises(TypeError):
        zeek.Batch(zeek.Event("a"), 5)
    twice = zeek.make_log_create("x", [("a", "time"), ("a", "count")])
    with pytest.raises(ValueError, match="the field a comes twice"):
        twice.columns()
    nested = zeek.Event("x")
    for _ in range(8):
        nested = zeek.Batch(nested)
    assert zeek.Message.parse(Data(nested)) == nested
    with pytest.raises(ValueError, match="deeper than 8"):
        zeek.Message.parse(Data(zeek.Batch(nested)))


def test_they_travel(pair):
    first, second = pair
    inbox = first.make_subscriber("/zeek/")
    assert second.wait_for_subscriber("/zeek/")
    for each in SAMPLES.values():
        second.publish("/zeek/x", each)
    assert [zeek.Message.parse(value) for _, value in inbox.get(len(SAMPLES))] == list(SAMPLES.values())
