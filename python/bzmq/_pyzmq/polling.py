"""zmq_poll, proxies and devices over sockets of both kinds."""

import time

from zmq.backend import cython as libzmq
from zmq.constants import POLLIN, POLLOUT, RCVMORE, SNDMORE

from .socket import Socket, carrier_of

__all__ = ["device", "proxy", "proxy_steerable", "receive", "send", "zmq_poll"]


def zmq_poll(sockets, timeout=-1):
    """libzmq's, for carried sockets too: [(socket or descriptor, events)].

    Carried sockets are looked at themselves. For the wait each stands as two things that libzmq knows: its
    overlay descriptor, and its idle libzmq socket, which tells of the context's end.
    """
    carried = [(each, flags, carrier_of(each)) for each, flags in sockets if carrier_of(each)]
    if not carried:
        return libzmq.zmq_poll(sockets, timeout)
    others = [(each, flags) for each, flags in sockets if not carrier_of(each)]
    theirs = {each if isinstance(each, int) else each.fileno()
              for each, _ in others if not isinstance(each, libzmq.Socket)}
    timeout = -1 if timeout is None else int(timeout)
    end = None if timeout < 0 else time.monotonic() + timeout / 1000
    while True:
        ready = [(each, found) for each, flags, carrier in carried
                 if (found := carrier.events(each) & flags)]
        left = 0 if ready else -1 if end is None else max(0, _milliseconds(end - time.monotonic()))
        waited = others if ready else others + [pair for one in carried for pair in _stand_ins(one)]
        if waited:  # Else a PUB is ready.
            own = {carrier.level_fd() for _, _, carrier in carried} - theirs
            ready += [(each, found) for each, found in libzmq.zmq_poll(waited, left)
                      if not (isinstance(each, int) and each in own)]
        if ready:
            return ready
        if left == 0:
            # Something may have come while we waited for the others.
            return [(each, found) for each, flags, carrier in carried
                    if (found := carrier.events(each) & flags)]


def _milliseconds(seconds):
    return int(-(-seconds * 1000 // 1))  # Rounded up: to wait too short is to spin.


def _stand_ins(one):
    socket, flags, carrier = one
    yield socket, POLLIN  # Never so; raises once the context ends.
    if flags & POLLIN and carrier.level_fd() is not None:
        yield carrier.level_fd(), POLLIN


def proxy(frontend, backend, capture=None):
    """libzmq's proxy; where a socket is carried, the same in Python. Ends with the context."""
    if not any(map(carrier_of, (frontend, backend, capture))):
        return libzmq.proxy(frontend, backend, capture)
    return proxy_steerable(frontend, backend, capture)


def device(device_type, frontend, backend=None):
    """As `proxy`. Without a back end messages go back where they came from."""
    backend = frontend if backend is None else backend
    if not any(map(carrier_of, (frontend, backend))):
        return libzmq.device(device_type, frontend, backend)
    return proxy_steerable(frontend, backend)


def proxy_steerable(frontend, backend, capture=None, control=None):
    """The same, which a control socket's PAUSE, RESUME, TERMINATE and STATISTICS steer."""
    if not any(map(carrier_of, (frontend, backend, capture, control))):
        return libzmq.proxy_steerable(frontend, backend, capture, control)
    return _Proxy(frontend, backend, capture, control).run()


class _Proxy:
    _BURST = 100  # messages from one side before the other has its turn

    def __init__(self, frontend, backend, capture, control):
        self._ways = [(frontend, backend)] if frontend is backend else [(frontend, backend),
                                                                        (backend, frontend)]
        self._capture, self._control = capture, control
        self._counts = {id(each): [0, 0, 0, 0] for each in (frontend, backend)}
        self._sides = frontend, backend
        self._paused = False

    def run(self):
        while True:
            watched = [] if self._control is None else [(self._control, POLLIN)]
            if not self._paused:
                watched += [(source, POLLIN) for source, _ in self._ways]
            ready = [each for each, _ in zmq_poll(watched, -1)]
            if self._control is not None and self._control in ready and self._obey():
                return 0
            for source, target in self._ways:
                if source in ready and not self._paused:
                    self._pass_on(source, target)

    def _pass_on(self, source, target):
        for _ in range(self._BURST):
            if not zmq_poll([(source, POLLIN)], 0) or not zmq_poll([(target, POLLOUT)], 0):
                return
            parts = receive(source)
            size = sum(map(len, parts))
            for counts, at in ((self._counts[id(source)], 0), (self._counts[id(target)], 2)):
                counts[at] += 1
                counts[at + 1] += size
            if self._capture is not None:
                send(self._capture, parts)
            send(target, parts)

    def _obey(self):
        """True at the end."""
        command = b"".join(receive(self._control))
        if command == b"TERMINATE":
            return True
        if command in (b"PAUSE", b"RESUME"):
            self._paused = command == b"PAUSE"
        elif command == b"STATISTICS":
            send(self._control, [each.to_bytes(8, "little") for side in self._sides
                                  for each in self._counts[id(side)]])
        return False


# What the back end's own sockets do; those of zmq.asyncio would yield futures.

def receive(socket):
    kind = _class_of(socket)
    parts = [kind.recv(socket)]
    while kind.get(socket, RCVMORE):
        parts.append(kind.recv(socket))
    return parts


def send(socket, parts):
    kind = _class_of(socket)
    for each in parts[:-1]:
        kind.send(socket, each, SNDMORE)
    kind.send(socket, parts[-1])


def _class_of(socket):
    return Socket if isinstance(socket, Socket) else libzmq.Socket
