"""The master of a store: the one endpoint that decides what is in it. Clones (store_clone.py) copy it
and write through it.

    store_master.py [URL] [FOLDER]

Listens at URL (tcp://127.0.0.1:9999; port 0 takes a free one), prints where, and runs until it is
interrupted, or until a clone has put "bye". With a FOLDER what is in the store survives the program.
"""

import sys

import bzmq

url = sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:9999"
folder = sys.argv[2] if len(sys.argv) > 2 else None

with bzmq.Endpoint() as node:
    # In memory, or on disk. From here on clones find it, wherever in the overlay they are.
    if folder:
        store = node.attach_master("inventory", bzmq.Backend.LMDB, path=folder)
    else:
        store = node.attach_master("inventory")

    # Writes do not wait: each returns a handle. Who waits for it knows that the write took effect,
    # and, with a folder, that it is on disk.
    store.put("apples", bzmq.Count(3))
    store.put("pears", bzmq.Count(5))
    store.increment("starts").wait()

    # What happens in the store, clones' writes included, from now on.
    events = store.events()
    node.listen_url(url)
    print("listening at", node.listeners()[0], flush=True)
    try:
        for event in events:
            print(event.what, event.key, "" if event.new_value is None else event.new_value,
                  flush=True)
            if event.key == "bye":
                break
    except KeyboardInterrupt:
        pass
    # All clones have what was written before we leave.
    store.await_idle()
