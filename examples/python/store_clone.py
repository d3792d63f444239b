"""A clone of a store: a copy that follows its master (store_master.py), so that reading asks nobody.
What is written here goes to the master, and can be read here when it comes back.

    store_clone.py [URL]
"""

import sys

import bzmq

url = sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:9999"

with bzmq.Endpoint() as node:
    node.peer_url(url, timeout=10)

    # The master may be there already, or come later, at this peer or many links away.
    store = node.attach_clone("inventory")
    if not store.await_sync(10):
        sys.exit("nobody has the store")

    # Reads are local. What is not there raises NoSuchKey (a KeyError), and a copy that has gone stale
    # StaleData.
    print("apples =", store["apples"])

    # Change a value where it is, rather than read it and put it back: nobody gets in between.
    store.increment("apples", bzmq.Count(2)).wait(10)
    print("apples =", store["apples"])

    # Or guard it with the revision that was read: if anybody was faster, nothing is written.
    pears = store.get_entry("pears")
    try:
        store.compare_and_put("pears", pears.revision, bzmq.Count(6)).wait(10)
        print("pears = 6: written")
    except bzmq.errors.RevisionMismatch as why:
        print("pears = 6:", why)

    # Several writes that nobody sees half of; the second one goes after a minute.
    both = bzmq.Batch()
    both.insert_into("seen", node.name)
    both.put("last visit", "now", expiry=60)
    store.apply(both).wait(10)

    # At the end: once everything written here has its outcome.
    store.put("bye", None)
    store.await_idle(10)
    for key, value in sorted(store.snapshot().items()):
        print(key, "=", value)
