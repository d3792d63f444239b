"""A table that two endpoints share."""

import threading

import bzmq

gone = threading.Event()


def changed(what, key, before, after):
    print(what, key, after or 0, flush=True)
    if what == "expired":
        gone.set()


with bzmq.Endpoint() as manager, bzmq.Endpoint() as worker:
    worker.peer("127.0.0.1", manager.listen("127.0.0.1", 0))
    master = manager.attach_master("hosts")     # bzmq.Backend.LMDB: on disk
    clone = worker.attach_clone("hosts")
    clone.await_sync()
    with bzmq.StoreTable(master, on_change=changed) as here:
        there = bzmq.StoreTable(clone, write_expire=0.1)     # what is written there goes after 0.1 s
        here["ann"] = 3
        there["bob"] = 4
        gone.wait()
