"""Zeek's tables on top of stores. docs/zeek.md is the guide."""

import collections.abc
import datetime
import numbers
import os
import select
import sys
import threading

from ._bzmq import Data
from .errors import Error, NoSuchKey, RevisionMismatch
from .store import Batch

__all__ = ["StoreTable"]

_TOUCHES_MAX = 4096
_MISSING = object()


def _checked_expiry(value):
    """In seconds."""
    if value is None:
        return None
    if isinstance(value, datetime.timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"expected an expiry in seconds or as a timedelta, got {type(value).__name__}")
    if not value > 0:  # NaN, too
        raise ValueError(f"expected an expiry above 0, got {value}")
    return value


class StoreTable(collections.abc.MutableMapping):
    """A mapping whose content is that of a store, all over the cluster.

    Reads are local. Assignments and deletions wait for the master. At most one expiry, in seconds or a
    timedelta: create_expire, write_expire, read_expire. `on_change(what, key, before, after)` runs on a
    thread of the table: `what` is "created", "changed", "expired" or "removed". Where more than
    `changes_max` wait for it the oldest are not told, and counted in `dropped()`.

    `items`, `values`, `copy` and comparisons show the table as it is at one moment, and are no reads in
    the sense of `read_expire`. `dict(table)` reads key by key, and raises KeyError where one expires
    meanwhile: `copy` does not.
    """

    _thread = None

    def __init__(self, store, create_expire=None, write_expire=None, read_expire=None, on_change=None,
                 changes_max=None):
        if sum(each is not None for each in (create_expire, write_expire, read_expire)) > 1:
            raise TypeError("at most one expiry")
        self._store = store
        self._create, self._write, self._read = map(_checked_expiry, (create_expire, write_expire, read_expire))
        self._touches_lock = threading.Lock()
        self._touches = {}  # Words about reads that are on their way: none goes twice.
        self._events = None
        self._closed_within = False  # By its own callback.
        if on_change is not None:
            self._events = store.events(changes_max)
            self._stop = os.eventfd(0)  # Lives until `close`, however long ago the thread has ended.
            self._thread = threading.Thread(target=self._watch, args=(on_change,), name="bzmq-table",
                                            daemon=True)
            self._thread.start()

    def __getitem__(self, key):
        entry = self._store.get_entry(key)
        if self._read is not None and entry.expiry is not None and _left(entry) < self._read * 0.75:
            self._touch(key, entry)
        return entry.value

    def _touch(self, key, entry):
        try:
            mark = hash(key), entry.revision
        except TypeError:
            mark = repr(key), entry.revision
        with self._touches_lock:
            under_way = self._touches.get(mark)
            if under_way is not None and not under_way.done():
                return
            if len(self._touches) >= _TOUCHES_MAX:
                self._touches = {at: each for at, each in self._touches.items() if not each.done()}
                if len(self._touches) >= _TOUCHES_MAX:
                    return  # A later read tells of it.
            try:
                if self._store.get_entry(key).revision != entry.revision:
                    return  # One has arrived between the read and here.
            except (Error, KeyError):
                return
            # Only where nobody has written meanwhile: a read changes no value.
            self._touches[mark] = self._store.compare_and_put(key, entry.revision, entry.value, self._read)

    def _expiry(self):
        return next((each for each in (self._create, self._write, self._read) if each is not None), None)

    def __setitem__(self, key, value):
        expiry = self._expiry()
        if self._create is not None:
            # What is there keeps its time. What has run out is gone, whether or not we have heard of it.
            try:
                entry = self._store.get_entry(key)
                if entry.expiry is not None and (left := _left(entry)) > 0:
                    expiry = left
            except NoSuchKey:
                pass
        self._store.put(key, value, expiry).wait()

    def __delitem__(self, key):
        if not self._store.exists(key):
            raise KeyError(key)
        self._store.erase(key).wait()

    def __contains__(self, key):
        return self._store.exists(key)

    def __iter__(self):
        return iter(self._store.keys())

    def __len__(self):
        return self._store.size()

    def items(self):
        return self.snapshot().items()

    def values(self):
        return self.snapshot().values()

    def __eq__(self, other):
        if isinstance(other, StoreTable):
            return self.snapshot() == other.snapshot()
        if isinstance(other, collections.abc.Mapping):
            return self.snapshot() == dict(other)
        return NotImplemented

    __hash__ = None

    def setdefault(self, key, default=None):
        """Puts `default` where there is no entry; of several endpoints that do so at once, one does."""
        while True:
            try:
                return self[key]
            except KeyError:
                if self._store.put_unique(key, default, self._expiry()):
                    return default
                # It is there at the master, and here in a moment; or it has expired meanwhile.

    def pop(self, key, default=_MISSING):
        """Takes an entry; of several endpoints that do so at once, one gets it."""
        while True:
            try:
                entry = self._store.get_entry(key)
            except KeyError:
                if default is _MISSING:
                    raise
                return default
            taking = Batch()
            taking.compare_and_put(key, entry.revision, entry.value)
            taking.erase(key)
            try:
                self._store.apply(taking).wait()
                return entry.value
            except RevisionMismatch:
                pass  # Somebody was faster. Their write is here in a moment.

    def popitem(self):
        for key in self:
            try:
                return key, self.pop(key)
            except KeyError:
                pass  # Somebody was faster.
        raise KeyError("the table is empty")

    def clear(self):
        self._store.clear().wait()

    def snapshot(self):
        """All of it at one moment, a dict."""
        return self._store.snapshot()

    copy = snapshot

    def dropped(self):
        """Changes that were not told because `on_change` was too slow."""
        return 0 if self._events is None else self._events.dropped()

    def close(self):
        """Ends the callbacks; the store lives on."""
        with self._touches_lock:
            thread, self._thread = self._thread, None
        if thread is None:
            return
        os.eventfd_write(self._stop, 1)
        if thread is threading.current_thread():
            self._closed_within = True  # It needs the descriptor still.
            return
        thread.join()
        os.close(self._stop)

    def __del__(self):
        # The thread holds the table: it has ended, with its endpoint, and nobody has closed this.
        if self._thread is not None:
            os.close(self._stop)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _watch(self, on_change):
        names = {"insert": "created", "expire": "expired", "erase": "removed"}
        watched = select.poll()
        watched.register(self._stop, select.POLLIN)
        watched.register(self._events.fileno(), select.POLLIN)
        try:
            while True:
                if any(fd == self._stop for fd, _ in watched.poll()):
                    return
                came = self._events.poll()
                if not came:
                    return  # Readable with nothing there: the store has ended.
                for each in came:
                    what = names.get(each.what)
                    # As the store compares: 1, True and 1.0 are three values.
                    if each.what == "update" and Data(each.old_value) != Data(each.new_value):
                        what = "changed"  # else: a read that was told
                    if what is not None:
                        try:
                            on_change(what, each.key, each.old_value, each.new_value)
                        except BaseException:  # sys.exit's too: the next one is not its business.
                            threading.excepthook(threading.ExceptHookArgs(
                                (*sys.exc_info(), threading.current_thread())))
        except (Error, ValueError):
            pass  # The endpoint has ended.
        finally:
            if self._closed_within:
                os.close(self._stop)


def _left(entry):
    return (entry.expiry - datetime.datetime.now(datetime.timezone.utc)).total_seconds()
