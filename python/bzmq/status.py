"""What happens in the overlay, and what an endpoint tells of its peers."""

import dataclasses
import datetime

from . import _bzmq
from .enums import PeerFlags, PeerStatus, SC
from .waiting import Closing, Deadline, Waitable, counted

__all__ = ["EndpointInfo", "NetworkInfo", "PeerInfo", "Status", "StatusSubscriber", "TopologyNode"]


@dataclasses.dataclass(frozen=True)
class NetworkInfo:
    """Where an endpoint can be reached. False, and `is_set()` is False, where there is no address."""

    address: str
    port: int = 9999
    retry: float = 0

    @classmethod
    def parse(cls, url):
        """Takes an address apart: "tcp://host:port", "host:port", "host", "[::1]", "ipc:///path". Without a
        port it is 9999. Raises InvalidAddress."""
        return cls(*_bzmq.parse_network_info(url))

    def url(self):
        """The one spelling of it that ZeroMQ takes, e.g. "tcp://[::1]:9999"."""
        return _bzmq.make_url(self.address, self.port)

    def is_set(self):
        return bool(self.address)

    def get(self):
        """This; ValueError where there is no address. Older programs ask so."""
        if not self.address:
            raise ValueError("no address is known")
        return self

    __bool__ = is_set


@dataclasses.dataclass(frozen=True)
class EndpointInfo:
    """An endpoint: its id (None until it is known), its display name, and, for direct peers, the URL
    that was dialled or that it came from."""

    node: "str | None"
    name: str = ""
    address: str = ""

    def node_id(self):
        return self.node

    @property
    def network(self):
        """Address and port as a `NetworkInfo`, which is False where there is no address."""
        if not self.address:
            return NetworkInfo("", 0)
        if not self.address.startswith("tcp://"):
            return NetworkInfo(self.address, 0)
        host, _, port = self.address[len("tcp://"):].rpartition(":")
        return NetworkInfo(host.strip("[]"), int(port))


@dataclasses.dataclass(frozen=True)
class Status:
    """A change in the overlay, or in how a store of this endpoint stands: then `message` names it."""

    _code: int
    _context: EndpointInfo
    _message: str = ""

    def code(self):
        """The `SC`."""
        return SC(self._code)

    def context(self):
        """The `EndpointInfo` of whom it is about."""
        return self._context

    def message(self):
        return self._message

    def __str__(self):
        who = self._context
        name = f"{who.name} ({who.node})" if who.name else str(who.node)
        at = f" at {who.address}" if who.address else ""
        what = f": {self._message}" if self._message else ""
        return f"{self.code().name}: {name}{at}{what}"


@dataclasses.dataclass(frozen=True)
class PeerInfo:
    """A direct peer, or one that is being tried. Sizes in bytes, counts since the link stands."""

    peer: EndpointInfo
    state: int
    outgoing: bool
    public_key: str  #: Z85, authenticated; empty without encryption
    round_trip: datetime.timedelta
    cost: int
    queue_messages: int
    queue_bytes: int
    queue_bytes_high: int
    sent_messages: int
    sent_bytes: int
    received_messages: int
    received_bytes: int
    dropped_messages: int
    retransmitted_frames: int

    @property
    def status(self):
        return PeerStatus(self.state)

    @property
    def flags(self):
        return PeerFlags.Remote | (PeerFlags.Outbound if self.outgoing else PeerFlags.Inbound)


@dataclasses.dataclass(frozen=True)
class TopologyNode:
    """One endpoint of the overlay as this one sees it; `links` are pairs of id and cost."""

    id: str
    name: str
    distance: int
    next_hop: "str | None"
    links: tuple
    filter: tuple
    public_key: str  #: Z85; "" without encryption; proven by direct peers, of others as they tell


class StatusSubscriber(Waitable, Closing):
    """Yields what happens in the overlay: `Status` and `Error` objects."""

    def get(self, count=None, timeout=None):
        """`get()` waits for the next one; after the endpoint's shutdown it raises ShuttingDown.

        `get(n)` and `get(n, timeout)` yield a list; shorter at the timeout or after the shutdown.
        `get(seconds)` with a float or a timedelta yields one, or None.
        """
        if isinstance(count, (float, datetime.timedelta)):
            return self._own.next(count)
        if count is not None:
            return self._many(count, timeout)
        got = self._own.next(timeout)
        if got is None and timeout is None:
            from .errors import make_error
            from .enums import EC
            raise make_error(EC.ShuttingDown, "the endpoint has shut down")
        return got

    def _many(self, count, timeout):
        deadline = Deadline(timeout)
        out = []
        while len(out) < counted(count):
            got = self._own.next(deadline.left())
            if got is None:
                break
            out.append(got)
        return out

    def poll(self):
        """All that are there now."""
        return self._own.poll()

    def available(self):
        """How many `poll` would return."""
        return self._own.available()

    def dropped(self):
        """How many were given up because nobody read them."""
        return self._own.dropped()

    def __iter__(self):
        while (got := self._own.next(None)) is not None:
            yield got
