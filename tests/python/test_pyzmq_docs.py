"""Holds the tables of docs/pyzmq.md against the code and against pyzmq."""

import re

import pytest

pytest.importorskip("zmq")

import zmq as stock  # noqa: E402

import bzmq.zmq as zmq  # noqa: E402
from bzmq._pyzmq.options import KEPT, LIBZMQ, MAPPED, REFUSED, TABLE  # noqa: E402
from conftest import SOURCE  # noqa: E402

TEXT = (SOURCE / "docs/pyzmq.md").read_text()
TYPES = (zmq.PUB, zmq.SUB, zmq.XPUB, zmq.XSUB)
# A value that is not the default, by type of option.
OTHER = {"int": (1, 2, 20), "int64": (1, 20_000), "bytes": (b"x", b"lo", b"127.0.0.1"), "fd": ()}


def section(title):
    return TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_every_option_of_pyzmq_has_its_row():
    rows = dict((name, (kind, note)) for name, kind, note in
                re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \|$", section("Options"), re.MULTILINE))
    assert rows == TABLE
    assert set(TABLE) == set(stock.SocketOption.__members__) - {
        alias for alias, each in stock.SocketOption.__members__.items() if each.name != alias}


def test_every_method_of_pyzmq_has_its_row():
    text = section("Methods")
    named = set(re.findall(r"`(?:zmq\.devices\.)?(\w+)`", text))
    for kind in (stock.Socket, stock.Context, stock.Poller):
        public = {name for name in dir(kind) if not name.startswith("_") and not name.isupper()}
        assert public - {"bzmq_endpoint"} <= named, kind
        ours = getattr(zmq, kind.__name__)
        assert all(hasattr(ours, name) for name in public), kind


@pytest.fixture
def sockets():
    with zmq.Context() as context:
        made = [context.socket(kind) for kind in TYPES]
        yield made
        for each in made:
            each.close()


@pytest.mark.parametrize("name", sorted(TABLE))
def test_an_option_does_what_its_row_says(sockets, name):
    kind, _ = TABLE[name]
    option = stock.SocketOption[name]
    refused, taken = [], []
    with stock.Context() as context:
        for each in sockets:
            plain = context.socket(each.type)
            for value in OTHER[option._opt_type.name]:
                theirs, ours = outcome(plain, option, value), outcome(each, option, value)
                if ours[0] == stock.ENOTSUP and theirs[0] is None:
                    refused.append(each)
                    assert name in ours[1] or name == "CONFLATE"
                else:
                    # Where libzmq refuses, so do we, in the same way.
                    assert ours[0] == theirs[0], (each, value, ours, theirs)
                    if theirs[0] is None:
                        taken.append(each)
                        assert read(each, option) == read(plain, option), (each, value)
            plain.close()
    if kind == REFUSED:
        assert not taken
    elif kind in (MAPPED, KEPT):
        assert not refused or name == "CONFLATE"
    else:
        assert kind == LIBZMQ and not refused


def outcome(socket, option, value):
    """(errno or the exception's type, what it says) of setting it."""
    try:
        socket.set(option, value)
    except stock.ZMQError as problem:
        return problem.errno, str(problem)
    except Exception as problem:
        return type(problem), str(problem)
    return None, ""


def read(socket, option):
    if option in (stock.SocketOption.SUBSCRIBE, stock.SocketOption.UNSUBSCRIBE):
        return None
    try:
        return socket.get(option)
    except stock.ZMQError as problem:
        return problem.errno


def test_the_list_of_excuses_can_be_read():
    import pyzmq_suite
    for name, why in pyzmq_suite.known_failures().items():
        assert why and not name.startswith(pyzmq_suite.MUST_PASS)
