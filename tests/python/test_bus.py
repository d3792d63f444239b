"""Events as functions."""

import collections.abc
import datetime
import sys
import threading
import typing

import pytest

import bzmq
from bzmq import EventBus, errors, zeek
from conftest import PATIENCE, eventually


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


def test_an_event_goes_out_and_comes_in_with_its_metadata(buses):
    here, there, errors = buses
    calls, local = [], []

    @there.event("ping", whole=True)
    def take(event):
        calls.append(event)

    at = datetime.datetime(2023, 11, 14, 22, 13, 20, tzinfo=datetime.timezone.utc)
    sent = zeek.Event("ping", "a", 1, metadata={zeek.MetadataType.NetworkTimestamp: at, 200: "mine"})
    here.on("ping", local.append, whole=True)
    here.publish("/events/x", sent)
    here.auto_publish("/events/x", "ping")
    here.raise_(sent)
    here.publish("/events/x", "ping")
    eventually(lambda: len(calls) == 3)
    assert calls[:2] == [sent, sent] == local * 2 and calls[0].ts() == at
    assert calls[2] == zeek.Event("ping") and errors == []
    for send in (here.raise_, lambda *what: here.publish("/events/x", *what)):
        with pytest.raises(TypeError, match="an Event has its arguments already"):
            send(sent, 1)
        for nameless in ("", zeek.Event(""), zeek.Event((1, 2))):
            with pytest.raises(ValueError):
                send(nameless)
    with pytest.raises(TypeError):
        @here.event("later", whole=True)
        async def later(event):
            pass


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


Number = typing.TypeVar("Number")

FITS = [  # (annotation, what is sent, what the handler gets)
    (list[int], [1, 2], [1, 2]), (list, (), []), (typing.List[str], ("a",), ["a"]),
    (list[list[int]], [[1], []], [[1], []]), (tuple, [1, "a"], (1, "a")),
    (tuple[int, str], [1, "a"], (1, "a")), (tuple[int, ...], [1, 2, 3], (1, 2, 3)),
    (tuple[list[int], int], [[1], 2], ([1], 2)), (set[int], {1, 2}, {1, 2}),
    (frozenset, {1}, frozenset({1})), (frozenset[int], {1}, frozenset({1})),
    (dict[str, list[int]], {"a": [1]}, {"a": [1]}), (dict, {1: 2}, {1: 2}),
    (typing.Optional[str], None, None), (typing.Optional[str], "x", "x"), (int | None, 5, 5),
    (int | None, None, None), (typing.Union[int, list[int]], [1], [1]),
    (collections.abc.Mapping[str, int], {"a": 1}, {"a": 1}), (typing.Any, 1.5, 1.5), (Number, 1, 1),
    (None, None, None), (typing.Annotated[int, "a number"], 1, 1), (typing.Literal["a", "b"], "a", "a"),
    (bool, True, True), (object, True, True),
]
DOES_NOT = [
    (list[int], [1, "a"], "int, got str"), (list[int], {1}, "list, got set"),
    (tuple[int, str], [1], "2 elements, got 1"), (tuple[int, ...], ["a"], "int, got str"),
    (set[int], {"a"}, "int, got str"), (set[int], 1, "set, got int"),
    (dict[str, int], {"a": "b"}, "int, got str"), (dict[str, int], {1: 1}, "str, got int"),
    (collections.abc.Sequence[int], ["a"], "int, got str"),
    (typing.Optional[str], 5, "Optional[str], got int"), (int | None, "x", "int | None, got str"),
    (int, True, "int, got bool"), (list[int], [True], "int, got bool"),
    (typing.Literal["a", "b"], "c", "got str"), (float, 1, "float, got int"),
]


@pytest.mark.parametrize("kind, value, wanted", FITS, ids=str)
def test_arguments_that_fit_their_annotation(buses, kind, value, wanted):
    here, there, errors = buses
    calls = []

    def handler(it):
        calls.append(it)
    handler.__annotations__["it"] = kind
    there.on("x", handler)
    here.publish("/events/x", "x", value)
    there.raise_("x", value)
    eventually(lambda: len(calls) + len(errors) == 2)
    assert calls == [wanted] * 2 and {type(each) for each in calls} == {type(wanted)}


@pytest.mark.parametrize("kind, value, why", DOES_NOT, ids=str)
def test_arguments_that_do_not(pair, kind, value, why):
    errors = []
    with EventBus(pair[0], "/x/", lambda *what: errors.append(what)) as bus:
        def handler(it):
            raise AssertionError("called with what does not fit")
        handler.__annotations__["it"] = kind
        bus.on("x", handler)
        bus.raise_("x", value)
    [(name, told)] = errors
    assert name == "x" and type(told) is TypeError and str(told).startswith("argument 0: expected ")
    assert why in str(told)


def test_further_arguments_have_the_type_of_the_star(pair):
    calls, errors = [], []
    with EventBus(pair[0], "/x/", lambda *what: errors.append(str(what[1]))) as bus:
        @bus.event
        def add(first: str, *rest: int, more: str = ""):
            calls.append((first, rest))
        bus.raise_("add", "a", 1, 2)
        bus.raise_("add", "a", 1, "x")
    assert calls == [("a", (1, 2))] and errors == ["argument 2: expected int, got str"]


def test_what_would_have_to_be_awaited_is_refused(pair):
    class Awaited:
        async def __call__(self):
            pass

    async def several():
        yield 1

    with EventBus(pair[0], "/x/") as bus:
        for handler in (Awaited(), Awaited().__call__, several):
            with pytest.raises(TypeError, match="nobody awaits"):
                bus.on("x", handler)
        bus.raise_("x")
        assert bus.unhandled == 1


def test_a_slow_handler_loses_no_event(endpoints):
    source, slow = endpoints(), endpoints(subscriber_queue_messages=100)
    assert slow.peer("127.0.0.1", source.listen("127.0.0.1", 0), timeout=PATIENCE)
    got, go_on = [], threading.Event()
    with EventBus(slow, "/events/") as there, EventBus(source) as here:
        @there.event
        def x(number):
            go_on.wait(PATIENCE)
            got.append(number)

        assert source.wait_for_subscriber("/events/")

        def publish():
            for i in range(3000):
                here.publish("/events/x", "x", i)
        publishing = threading.Thread(target=publish)
        publishing.start()
        eventually(lambda: any(each["queue_messages"] >= 100 for each in slow.metrics()["subscribers"]))
        go_on.set()
        publishing.join(PATIENCE)
        eventually(lambda: len(got) == 3000)
        assert got == list(range(3000)) and there.dropped() == 0


def test_a_handler_that_exits_ends_only_itself(buses):
    here, there, told = buses
    calls = []

    @there.event
    def leave(code):
        sys.exit(code)

    @there.event
    def stay():
        calls.append("stay")

    here.publish("/events/x", "leave", 3)
    here.publish("/events/x", "stay")
    eventually(lambda: calls == ["stay"])
    [(name, why)] = told
    assert name == "leave" and isinstance(why, SystemExit) and there.failed == 1
    # The program's own thread is the program's.
    with pytest.raises(SystemExit):
        there.raise_("leave", 4)


def test_raising_goes_on_to_the_other_topics_where_one_fails(buses):
    here, there, _ = buses
    calls = []
    there.on("tick", lambda: calls.append(1))
    here.auto_publish("x" * 70000, "tick")
    here.auto_publish("/events/tick", "tick")
    with pytest.raises(errors.InvalidTopic):
        here.raise_("tick")
    eventually(lambda: calls == [1])


def test_what_was_queued_is_handled_after_the_endpoints_end(pair):
    calls, begun, go_on = [], threading.Event(), threading.Event()
    with EventBus(pair[1], "/events/") as bus:
        @bus.event
        def x(number):
            begun.set()
            go_on.wait(PATIENCE)
            calls.append(number)

        assert pair[0].wait_for_subscriber("/events/")
        for i in range(10):
            pair[0].publish("/events/x", zeek.Event("x", i), reliable=True)
            assert begun.wait(PATIENCE)
        eventually(lambda: bus._source.available() == 9)
        pair[1].shutdown()
        go_on.set()
    assert calls == list(range(10))
