"""In place of zmq.devices.monitoredqueue, an extension that reads libzmq's sockets past the back end."""

import importlib.machinery
import importlib.util
import sys

from zmq.constants import POLLIN, SocketType

from .polling import receive, send, zmq_poll
from .socket import carrier_of

__all__ = ["monitored_queue"]

_NAME = "zmq.devices.monitoredqueue"


def install():
    """pyzmq's devices find this module from now on."""
    sys.modules.setdefault(_NAME, sys.modules[__name__])


def monitored_queue(in_socket, out_socket, mon_socket, in_prefix=b"in", out_prefix=b"out"):
    """Passes messages on in both directions, and a copy with a prefix to `mon_socket`. Ends with the
    context."""
    if not any(map(carrier_of, (in_socket, out_socket, mon_socket))):
        return _libzmq_version()(in_socket, out_socket, mon_socket, in_prefix, out_prefix)
    swap = in_socket.type == out_socket.type == SocketType.ROUTER
    ways = [(in_socket, out_socket, in_prefix), (out_socket, in_socket, out_prefix)]
    while True:
        ready = [each for each, _ in zmq_poll([(source, POLLIN) for source, _, _ in ways], -1)]
        for source, target, prefix in ways:
            if source in ready:
                parts = receive(source)
                if swap:
                    parts[:2] = parts[1::-1]
                send(target, parts)
                send(mon_socket, [prefix, *parts])


def _libzmq_version():
    import zmq.devices
    spec = importlib.machinery.PathFinder.find_spec(_NAME, zmq.devices.__path__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.monitored_queue
