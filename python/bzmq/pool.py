"""Work spread over the endpoints of a role. docs/zeek.md is the guide."""

import threading
import time
import typing

__all__ = ["Pool", "PoolMember", "node_topic", "owner_of", "role_topic"]

_MASK = 2**64 - 1


def role_topic(role):
    """All endpoints of a role subscribe to it."""
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
    key = key.encode() if isinstance(key, str) else bytes(key)
    return max(sorted(names), key=lambda name: _weight(name.encode(), key), default=None)


class PoolMember(typing.NamedTuple):
    name: str
    id: str
    topic: str


class Pool:
    """The reachable endpoints whose name is the role or begins with it and "-". Thread-safe."""

    def __init__(self, endpoint, role):
        self._endpoint = endpoint
        self._role = role
        self._lock = threading.Lock()
        self._news = endpoint.make_status_subscriber(True)
        self._members = None
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
        news = self._endpoint.make_status_subscriber(True)
        deadline = time.monotonic() + timeout
        while len(self.members()) < count:
            left = deadline - time.monotonic()
            if left <= 0 or news.get(float(left)) is None:
                return len(self.members()) >= count
        return True

    def _fresh(self):
        if self._news.poll() or self._members is None:
            self._members = sorted(
                PoolMember(each.name, each.id, node_topic(each.name))
                for each in self._endpoint.topology()
                if each.name == self._role or each.name.startswith(self._role + "-"))
        return self._members
