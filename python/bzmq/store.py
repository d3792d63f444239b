"""Replicated key-value stores. docs/stores.md tells what they promise."""

import dataclasses
import datetime
import typing

from . import _bzmq
from ._types import Count
from .enums import Backend
from .errors import KeyExists, NoSuchKey
from .waiting import Closing, Deadline, Waitable, counted

__all__ = ["Batch", "CloneInfo", "Entry", "Info", "Outcome", "Store", "StoreEvent", "StoreEvents", "StoreProxy"]

_ONE = Count(1)
_MISSING = object()


class Entry(typing.NamedTuple):
    """What stands under a key; `revision` is the number of the write that made it."""

    value: object
    revision: int
    expiry: "datetime.datetime | None"


class Outcome(typing.NamedTuple):
    """What became of a write: its revision, 0 where nothing had to change; what stands there now."""

    revision: int
    value: object


class StoreEvent(typing.NamedTuple):
    """What happened to an entry: `what` is "insert", "update", "erase", "expire" or "clear"."""

    what: str
    store: str
    key: object
    old_value: object
    new_value: object
    expiry: "datetime.datetime | None"
    revision: int


class CloneInfo(typing.NamedTuple):
    """A clone, as its master knows it."""

    at: str
    in_snapshot: bool
    acknowledged: int
    standby: bool
    stored: int  #: of a standby: on its disk


@dataclasses.dataclass(frozen=True)
class Info:
    """How a store stands."""

    name: str
    master: bool
    standby: bool  #: a clone that may become master
    backend: int
    entries: int
    bytes: int
    revision: int
    epoch: int
    hash: int
    commits: int  #: on disk: transactions that have brought writes there since it was attached
    master_at: "str | None"
    synced: bool
    stale: bool
    attached: bool
    arrived_entries: int  #: of the snapshot that a clone takes, which nobody can read yet; else 0
    arrived_bytes: int  #: in memory, about
    arriving_entries: int  #: all that there are, as the master said last
    clones: tuple  #: a master's, each a `CloneInfo`

    def __post_init__(self):
        object.__setattr__(self, "backend", Backend(self.backend))


class _Writes:
    """The writes of stores and batches. `expiry`: seconds or a timedelta after which the entry goes.

    `put`, `put_unique` and `compare_and_put` without it make an entry that stays; the others leave
    the time that an entry has.
    """

    def put(self, key, value, expiry=None):
        return self._own.put(key, value, expiry)

    def compare_and_put(self, key, revision, value, expiry=None):
        """Only where the entry is still of this revision; 0: where there is none."""
        return self._own.compare_and_put(key, revision, value, expiry)

    def increment(self, key, amount=_ONE, expiry=None):
        """Adds to a count, integer, real, timespan or timestamp; begins at zero where there is nothing.

        An int amount makes an integer where there is nothing, a Count (the default) a count.
        """
        return self._own.increment(key, amount, expiry)

    def decrement(self, key, amount=_ONE, expiry=None):
        return self._own.decrement(key, amount, expiry)

    def append(self, key, text, expiry=None):
        """To a string."""
        return self._own.append(key, text, expiry)

    def insert_into(self, key, index, value=_MISSING, expiry=None):
        """`insert_into(key, element)` into a set, `insert_into(key, index, value)` into a table."""
        if value is _MISSING:
            return self._own.insert_element(key, index, expiry)
        return self._own.insert_pair(key, index, value, expiry)

    def remove_from(self, key, index, expiry=None):
        """From a set or table; of a vector, the element at that position."""
        return self._own.remove_from(key, index, expiry)

    def push(self, key, value, expiry=None):
        """At the end of a vector."""
        return self._own.push(key, value, expiry)

    def pop(self, key, expiry=None):
        return self._own.pop(key, expiry)

    def erase(self, key):
        return self._own.erase(key)

    def clear(self):
        return self._own.clear()


class Batch(_Writes):
    """Several writes that take effect together, or not at all: `store.apply(batch)`."""

    def __init__(self):
        self._own = _bzmq.StoreBatch()

    def put_unique(self, key, value, expiry=None):
        self._own.put_unique(key, value, expiry)

    def __len__(self):
        return len(self._own)


class Store(_Writes):
    """A handle to a master or clone of this endpoint. Thread-safe; may outlive the endpoint.

    Reads are local and raise NoSuchKey (not `get`), StaleData, TypeClash, ShuttingDown, NoSuchMaster.
    Writes do not wait: each returns a handle whose `wait()` yields an `Outcome` or raises what went wrong.
    """

    def __init__(self, own):
        self._own = own
        self._clone = not own.is_master()

    # -- Reading --------------------------------------------------------------------------------

    def _ready(self):
        # A clone without state makes readers wait: in slices, so that Ctrl-C is heard. A clone that
        # has its state is past this at once and for good.
        if self._clone and (self._own.is_master() or self._own.await_sync(self._get_delay)):
            self._clone = False

    _get_delay = 5.0

    def get(self, key, default=None):
        """The value, or `default` where there is none. `store[key]` raises NoSuchKey (a KeyError)."""
        if self._clone:
            self._ready()
        try:
            return self._own.get(key)
        except NoSuchKey:
            return default

    def get_entry(self, key):
        """The value with its revision and expiry, an `Entry`."""
        self._ready()
        return self._own.get_entry(key)

    def get_index_from_value(self, key, index, default=None):
        """Of a set: whether it has `index`. Of a table: the value under it. Of a vector: the element.
        `default` where there is no such key, index or element."""
        self._ready()
        try:
            return self._own.get_index_from_value(key, index)
        except NoSuchKey:
            return default

    def exists(self, key):
        self._ready()
        return self._own.exists(key)

    def keys(self):
        """All keys, as a set."""
        self._ready()
        return self._own.keys()

    def size(self):
        self._ready()
        return self._own.size()

    def snapshot(self):
        """All of it at one moment, as a dict."""
        self._ready()
        return self._own.snapshot()

    def range(self, first=None, last=None, max=None):
        """[(key, Entry)] with first <= key < last in the order of keys; None is no bound."""
        self._ready()
        return self._own.range(first, last, max)

    def prefix(self, text, max=None):
        """[(key, Entry)] whose keys are strings that begin with `text`."""
        self._ready()
        return self._own.prefix(text, max)

    def __getitem__(self, key):
        self._ready()
        return self._own.get(key)

    def __contains__(self, key):
        return self.exists(key)

    def __len__(self):
        return self.size()

    def __bool__(self):
        return True  # An empty store is a store.

    # -- Writing --------------------------------------------------------------------------------

    def put_unique(self, key, value, expiry=None):
        """Waits. True where this call put the value, False where the key was there already."""
        try:
            self._own.put_unique_nosync(key, value, expiry).wait(None)
            return True
        except KeyExists:
            return False

    def put_unique_nosync(self, key, value, expiry=None):
        """The same without waiting; KeyExists where it was there already."""
        return self._own.put_unique_nosync(key, value, expiry)

    def apply(self, batch):
        """All of a `Batch`, or the error of the first that cannot be done, and nothing."""
        return self._own.apply(batch._own)

    # -- Waiting --------------------------------------------------------------------------------

    def await_idle(self, timeout=15.0):
        """A master: until all clones have all. A clone: until its writes have their outcome."""
        return self._own.await_idle(timeout)

    def await_sync(self, timeout=15.0):
        """A clone: until it has all of its master's state."""
        return self._own.await_sync(timeout)

    # -- More -----------------------------------------------------------------------------------

    def name(self):
        return self._own.name()

    def is_master(self):
        return self._own.is_master()

    def info(self):
        return self._own.info()

    def events(self, max=None):
        """What happens to the store from now on; at most `max` events wait to be read."""
        return StoreEvents(_bzmq.StoreEvents(self._own, max))

    def proxy(self):
        """Asks without waiting; the answers come through a file descriptor."""
        return StoreProxy(self)

    def follow(self):
        """A clone: takes the state of the store that the master has now, whatever it held before."""
        self._own.follow()

    def promote(self, timeout=15.0):
        """A standby: makes it the master, and waits until it is. Whoever was master before becomes a clone
        when it hears of it. Raises InvalidConfiguration (no standby), StaleData (no whole copy on disk
        yet), MasterExists, RequestTimeout (its disk did not get done in time)."""
        self._own.promote_later(timeout).wait()

    def detach(self):
        """Ends the master or clone."""
        self._own.detach()

    def reset(self):
        """Gives up the handle. The store lives on."""
        from .waiting import _CLOSED
        self._own = _CLOSED

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.reset()


class StoreEvents(Waitable, Closing):
    """Receives `StoreEvent`s in order. Where the reader is too slow the oldest are dropped."""

    def get(self, timeout=None):
        """The next one; None at the timeout, or where the store has ended."""
        return self._own.next(timeout)

    def poll(self):
        return self._own.poll()

    def available(self):
        return self._own.available()

    def dropped(self):
        return self._own.dropped()

    def __iter__(self):
        while (got := self._own.next(None)) is not None:
            yield got


class Response(typing.NamedTuple):
    """An answer to a proxy's request: one of `answer` and `error`."""

    id: int
    answer: object
    error: "Exception | None"


class StoreProxy(Waitable, Closing):
    """Each request returns its id, from 1 on; `receive` yields the answers, in any order."""

    def __init__(self, store):
        super().__init__(_bzmq.StoreProxy(store._own))

    def get(self, key):
        return self._own.get(key)

    def exists(self, key):
        return self._own.exists(key)

    def get_index_from_value(self, key, index):
        return self._own.get_index_from_value(key, index)

    def keys(self):
        return self._own.keys()

    def put_unique(self, key, value, expiry=None):
        return self._own.put_unique(key, value, expiry)

    def increment(self, key, amount=_ONE, expiry=None):
        return self._own.increment(key, amount, expiry)

    def put(self, key, value, expiry=None):
        return self._own.put(key, value, expiry)

    def receive(self, count=None, timeout=None):
        """`receive()` the next `Response`; `receive(n)` a list. None, or fewer, at the timeout."""
        if isinstance(count, (float, datetime.timedelta)):
            count, timeout = None, count
        if count is None:
            got = self._own.receive(timeout)
            return None if got is None else Response(*got)
        deadline = Deadline(timeout)
        out = []
        while len(out) < counted(count) and (got := self._own.receive(deadline.left())) is not None:
            out.append(Response(*got))
        return out

    def _take(self):
        got = self._own.receive_now()
        return None if got is None else Response(*got)
