"""Events as functions."""

import pytest

import bzmq
from bzmq import EventBus, zeek
from conftest import eventually


@pytest.fixture
def buses(pair):
    errors = []
    with EventBus(pair[0], "/events/") as here, EventBus(
            pair[1], "/events/", lambda *what: errors.append(what)) as there:
        assert pair[0].wait_for_subscriber("/events/")
        yield here, there, errors


def test_publish_auto_publish_and_raise(buses):
    here, there, errors = buses
    calls = []

    @there.event
    def ping(text: str, number: int):
        calls.append(("there", text, number))

    @here.event("ping")
    def mine(text, number):
        calls.append(("here", text, number))

    here.publish("/events/x", "ping", "a", 1)
    eventually(lambda: calls == [("there", "a", 1)])
    here.raise_("ping", "b", 2)
    here.auto_publish("/events/x", "ping")
    here.raise_("ping", "c", 3)
    eventually(lambda: calls[1:] == [("here", "b", 2), ("here", "c", 3), ("there", "c", 3)])
    here.auto_unpublish("/events/x", "ping")
    here.raise_("ping", "d", 4)
    here.publish("/events/x", "nobody wants it")
    eventually(lambda: there.unhandled == 1)
    assert there.handled == 2 and errors == []


def test_what_does_not_fit_is_reported(buses):
    here, there, errors = buses
    calls = []

    @there.event
    def f(number: int, text: str = ""):
        calls.append(number)
        if number == 5:
            raise KeyError("oops")

    for args in ((), (1, 2), ("x",), (True,), (5,), (6, "fine")):
        here.publish("/events/x", "f", *args)
    here._endpoint.publish("/events/x", "no event", reliable=True)
    here._endpoint.publish("/events/x", zeek.Batch(zeek.Event("f", 7), zeek.Event("f", 8)), reliable=True)
    eventually(lambda: calls == [5, 6, 7, 8])
    assert [(name, type(why)) for name, why in errors] == [
        ("f", TypeError)] * 4 + [("f", KeyError), ("", ValueError)]
    assert str(errors[1][1]) == "argument 1: expected str, got int" and there.failed == 6
