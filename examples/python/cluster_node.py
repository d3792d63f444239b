"""A node of a cluster that `bzmq-cli cluster` starts: workers and a manager who gives them work.
examples/cluster.toml is such a cluster, and says how to start it.

The supervisor tells it by its environment who it is and how to join (docs/cluster.md). Started by hand it
is a worker that nobody gives work to.
"""

import collections
import os
import signal
import sys
import threading

import bzmq

COUNT = 20


def work(node, jobs):
    """Does what comes for it, and says so to the manager."""
    for _, job in jobs:
        node.publish(bzmq.role_topic("manager") + "done", (job, node.name), reliable=True)


def manage(node, answers):
    """Gives each key to the worker that it belongs to, and counts what comes back."""
    workers = bzmq.Pool(node, "worker")
    if not workers.wait_for(2, 60):
        sys.exit("no two workers")
    for key in (f"host-{i}" for i in range(COUNT)):
        owner = workers.for_key(key)
        if owner is None:
            sys.exit("a worker has left")
        node.publish(owner.topic + "job", key, reliable=True)
    done = collections.Counter(name for _, (_, name) in answers.get(COUNT))
    for name, jobs in sorted(done.items()):
        print(f"{name} did {jobs} jobs")
    print("all done", flush=True)


signal.signal(signal.SIGTERM, signal.default_int_handler)
cfg = bzmq.Configuration()
cfg.init()
with bzmq.Endpoint(cfg) as node:
    is_manager = os.environ.get("CLUSTER_ROLE") == "manager"
    # Both at once: who sees us in the role's pool can reach us by our name.
    inbox = node.make_subscriber([bzmq.role_topic("manager" if is_manager else "worker"),
                                  bzmq.node_topic(node.name)])
    try:
        (manage if is_manager else work)(node, inbox)
        threading.Event().wait()
    except KeyboardInterrupt:
        pass
