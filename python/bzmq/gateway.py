"""A gateway between two domains."""

from . import _bzmq
from .configuration import Configuration
from .endpoint import Endpoint, _living
from .topic import topic_list

__all__ = ["Gateway"]


def _configuration(given):
    made = given if isinstance(given, Configuration) else Configuration(given)
    return made._for_endpoint()


class _GatewayBase:
    """What the blocking gateway and that for asyncio have in common."""

    _endpoint = None  #: the class of its endpoints

    def __init__(self, one, other, from_one=None, from_other=None):
        """Starts both endpoints. `one` and `other` are a `Configuration` or a dict of options, and must
        name different, non-empty domains.

        from_one     topic prefixes that may pass from `one` to `other`; None lets all pass, [] none
        from_other   the same from `other` to `one`

        Raises InvalidConfiguration, AddressInUse, ...
        """
        self._own = _bzmq.Gateway(_configuration(one), _configuration(other),
                                  None if from_one is None else topic_list(from_one),
                                  None if from_other is None else topic_list(from_other))
        self._one = self._endpoint._around(self._own.one())
        self._other = self._endpoint._around(self._own.other())
        _living.add(self)

    @property
    def one(self):
        """The endpoint in the domain of `one`, to listen, peer and subscribe with. What it publishes itself
        stays in its domain."""
        return self._one

    @property
    def other(self):
        return self._other

    def node_id(self):
        """Both endpoints have this id."""
        return self._own.node_id()

    def active(self):
        """Is this the gateway that works, rather than one that stands by?"""
        return self._own.active()

    def _ended(self):
        for each in (self, self._one, self._other):
            _living.discard(each)


class Gateway(_GatewayBase):
    """Belongs to two domains and shows each to the other only as itself. What matches both the filters of
    the far side and those given here is published anew there, in the same mode and order; its origin
    there is the gateway. Nothing goes back to the domain that it came from.

    Several may join the same two domains: the reachable one with the smallest id works, the others stand
    by. While the role passes from one to another, messages may be lost, or come twice in the other domain.

    The graph of domains must be a tree, parallel gateways aside: in a cycle of domains each message goes
    round without end, and nothing notices it.

    For a side with many agents that shall know of the gateway alone, set its option `hide_peers`.

    A context manager: its end shuts both endpoints down. Thread-safe.
    """

    _endpoint = Endpoint

    def shutdown(self):
        """Stops passing messages, then shuts both endpoints down."""
        self._own.shutdown()
        self._ended()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.shutdown()
