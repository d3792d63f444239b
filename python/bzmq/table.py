"""Zeek's tables on top of stores. docs/zeek.md is the guide."""

import collections.abc
import datetime
import os
import select
import sys
import threading

from .errors import Error, NoSuchKey

__all__ = ["StoreTable"]


def _seconds(value):
    return value.total_seconds() if isinstance(value, datetime.timedelta) else value


class StoreTable(collections.abc.MutableMapping):
    """A mapping whose content is that of a store, all over the cluster.

    Reads are local. Assignments and deletions wait for the master. At most one expiry, in seconds or a
    timedelta: create_expire, write_expire, read_expire. `on_change(what, key, before, after)` runs on a
    thread of the table: `what` is "created", "changed", "expired" or "removed".
    """

    def __init__(self, store, create_expire=None, write_expire=None, read_expire=None, on_change=None):
        if sum(each is not None for each in (create_expire, write_expire, read_expire)) > 1:
            raise TypeError("at most one expiry")
        self._store = store
        self._create, self._write, self._read = map(_seconds, (create_expire, write_expire, read_expire))
        self._thread = None
        if on_change is not None:
            self._events = store.events()
            self._stop = os.eventfd(0)
            self._thread = threading.Thread(target=self._watch, args=(on_change,), name="bzmq-table",
                                            daemon=True)
            self._thread.start()

    def __getitem__(self, key):
        entry = self._store.get_entry(key)
        if self._read is not None and entry.expiry is not None and _left(entry) < self._read * 0.75:
            # Only where nobody has written meanwhile: a read changes no value.
            self._store.compare_and_put(key, entry.revision, entry.value, self._read)
        return entry.value

    def __setitem__(self, key, value):
        expiry = self._write if self._write is not None else self._read
        if self._create is not None:
            expiry = self._create
            try:
                entry = self._store.get_entry(key)
                if entry.expiry is not None:
                    expiry = max(_left(entry), 1e-9)
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

    def clear(self):
        self._store.clear().wait()

    def snapshot(self):
        """All of it at one moment, a dict."""
        return self._store.snapshot()

    def close(self):
        """Ends the callbacks; the store lives on."""
        if self._thread is not None:
            os.eventfd_write(self._stop, 1)
            if threading.current_thread() is not self._thread:
                self._thread.join()
            self._thread = None

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
                    if each.what == "update" and each.old_value != each.new_value:
                        what = "changed"  # else: a read that was told
                    if what is not None:
                        try:
                            on_change(what, each.key, each.old_value, each.new_value)
                        except Exception:
                            threading.excepthook(threading.ExceptHookArgs(
                                (*sys.exc_info(), threading.current_thread())))
        except (Error, ValueError):
            pass  # The endpoint has ended.
        finally:
            os.close(self._stop)


def _left(entry):
    return (entry.expiry - datetime.datetime.now(datetime.timezone.utc)).total_seconds()
