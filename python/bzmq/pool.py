"""Work spread over the endpoints of a role. docs/zeek.md is the guide."""

import threading
import typing

from .waiting import Deadline

__all__ = ["Pool", "PoolMember", "node_topic", "owner_of", "role_topic"]

_MASK = 2**64 - 1


def role_topic(role):
    """All endpoints of a role subscribe to it, whatever their names."""
    return f"/zeek/role/{role}/"


def node_topic(name):
    """One endpoint subscribes to it."""
    return f"/zeek/node/{name}/"


def _weight(name, key):
    value = 0xCBF29CE484222325
    for byte in name + b"\0" + key:
        value = ((value ^ byte) * 0x100000001B3) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def owner_of(key, names):
    """Which of `names` a key (str or bytes) belongs to, by rendezvous hashing, as in C++; None for none."""
    key = _bytes(key) if isinstance(key, str) else bytes(key)
    return max(sorted(names), key=lambda name: _weight(_bytes(name), key), default=None)


def _bytes(text):
    """Names that are not UTF-8 came with surrogates for their bytes, and are told alike everywhere."""
    return text.encode("utf-8", "surrogateescape")


class PoolMember(typing.NamedTuple):
    name: str
    id: str
    topic: str


class Pool:
    """The reachable endpoints of a role, this one included: those that subscribe to `role_topic(role)`
    itself. Who subscribes to all that begins with less, such as "/", watches the role and is none of it.
    Thread-safe.
    """

    def __init__(self, endpoint, role):
        self._endpoint = endpoint
        self._own_id = endpoint.node_id()
        self._topic = role_topic(role)
        self._lock = threading.Lock()
        self._seen = None
        self._members = []
        self._turn = 0

    def members(self):
        """By name."""
        with self._lock:
            return list(self._fresh())

    def next(self):
        """One after the other; None while there is none."""
        with self._lock:
            members = self._fresh()
            if not members:
                return None
            self._turn += 1
            return members[(self._turn - 1) % len(members)]

    def for_key(self, key):
        """The member that the key belongs to (`owner_of`)."""
        with self._lock:
            members = {each.name: each for each in reversed(self._fresh())}
        return members.get(owner_of(key, members))

    def wait_for(self, count, timeout=10.0):
        """Waits until there are `count`; False at the timeout."""
        deadline = Deadline(timeout)
        while True:
            known = self._endpoint.overlay_version()
            if len(self.members()) >= count:
                return True
            if not self._endpoint.await_overlay_change(known, deadline.left()):
                return len(self.members()) >= count

    def _fresh(self):
        # Before the look: what changes during it is seen by the next.
        version = self._endpoint.overlay_version()
        if self._seen != version:
            self._members = sorted(
                PoolMember(each.name, each.id, node_topic(each.name))
                for each in self._endpoint.topology()
                # Known is not enough: what is published before a way is found reaches nobody.
                if self._topic in each.filter and (each.next_hop or each.id == self._own_id))
            self._seen = version
        return self._members
