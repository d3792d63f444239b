"""Care for the files of a durable store while no program holds it, or beside another that does.

A store is a folder; docs/store-files.md tells what is in it. All of these may be called from any thread, one
per store at a time; other threads run meanwhile. They return a `Summary`, and raise CannotOpenFile where
there is no store, where it is damaged, or where another process holds it and must not; BackendFailure where
a record is damaged or the disk fails; CannotWriteFile where the target is in the way.

`progress(what, done, total)` is called now and then, in no particular unit; `what` is a word or two. Where it
returns False the work ends with Cancelled, where it raises, with what it raised; so does Ctrl-C, within a
moment. What was being made is removed then, and the store is as it was.
"""

import dataclasses

from . import _bzmq

__all__ = ["Summary", "backup", "check", "compact", "dump", "restore"]


@dataclasses.dataclass(frozen=True)
class Summary:
    """What a store holds."""

    store: str  #: its id, random
    epoch: int  #: rises with each start of a master
    last: int  #: newest entry of its log
    log_first: int  #: oldest entry of its log that is kept; above `last`: none
    values: int  #: entries of the store
    expiring: int  #: those of them that have an expiry
    writers: int  #: clones and others whose commands it has to tell apart
    bytes_used: int  #: of the file, in use
    bytes_of_file: int


def check(store, progress=None):
    """Reads everything: every page, every record's checksum, keys and values, the index of expiries, the
    chain over the log. Works beside a running master of another process."""
    return _bzmq.store_file_check(store, progress)


def dump(store, line, progress=None):
    """Calls `line(text)` for each value in the order of keys: one JSON object, without the line's end.

        {"key":{"@data-type":...},"value":{"@data-type":...},"revision":7,"expiry":"2026-...Z"}

    with "expiry" only where there is one; `Data.from_json(json.dumps(...))` reads the two values. False
    from `line` stops it (Cancelled). Works beside a running master of another process, and shows one state
    of the store.
    """
    return _bzmq.store_file_dump(store, line, progress)


def compact(store, progress=None):
    """Writes the file anew without the pages that are not in use. Needs room for both files. No other
    process may use the store; a crash leaves the old file or the new one."""
    return _bzmq.store_file_compact(store, progress)


def backup(store, to, progress=None):
    """Copies one state of the store to the folder `to`, which must not exist or be empty, and checks the
    copy. Works beside a running master of another process."""
    return _bzmq.store_file_backup(store, to, progress)


def restore(store, source, overwrite=False, progress=None):
    """Makes `store` a copy of the store in the folder `source`, which is checked first. Where there is a
    store already, `overwrite` must be set, and no other process may use it; a crash leaves the old file
    or the new one. The result has an id of its own, so that its clones copy it anew."""
    return _bzmq.store_file_restore(store, source, overwrite, progress)
