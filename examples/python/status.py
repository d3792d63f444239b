"""Listens, and prints what happens in the overlay until it is interrupted.

    status.py [--bzmq.<option>=VALUE]...

Connect something to it: pubsub.py tcp://127.0.0.1:9999
"""

import sys

import bzmq

cfg = bzmq.Configuration()
cfg.init()
with bzmq.Endpoint(cfg) as node, node.make_status_subscriber(True) as news:
    if not node.listeners():
        port = node.listen("127.0.0.1", 9999)
        if port == 0:
            sys.exit(f"cannot listen: {node.last_error()}")
    print(node.node_id(), "listens at", *node.listeners(), flush=True)
    try:
        for what in news:
            print("error" if isinstance(what, bzmq.Error) else "status", what, flush=True)
    except KeyboardInterrupt:
        pass
