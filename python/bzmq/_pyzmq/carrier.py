"""One carried socket: its options, its queues, its descriptor."""

import collections
import errno
import select
import time

from zmq.backend.cython import Socket as LibzmqSocket
from zmq.constants import NOBLOCK, POLLIN, POLLOUT, SNDMORE, SocketOption, SocketType

from ..errors import Error, QueueFull
from .attachments import INPROC_PATIENCE, Attachments
from .errors import Again, ZMQError, as_zmq_error, refuse
from .messages import MESSAGE_MAX, decode, encode
from .options import check_set
from .signal import Signal
from .subscriptions import Heard, Wanted

__all__ = ["CARRIED_TYPES", "Carrier", "ForkedCarrier"]

CARRIED_TYPES = {int(SocketType.PUB), int(SocketType.SUB), int(SocketType.XPUB), int(SocketType.XSUB)}
_SENDING = {int(SocketType.PUB), int(SocketType.XPUB)}
_SNDMORE, _NOBLOCK, _SNDTIMEO = int(SNDMORE), int(NOBLOCK), int(SocketOption.SNDTIMEO)
_BATCH = 1000  # messages that one look takes out of the overlay's queue


class Carrier(Attachments):
    """The state behind a Socket and its shadows. `socket`, an argument of what needs it, is the one that
    is used."""

    def __init__(self, type_number, everything, context):
        super().__init__(everything)
        self.context = context  # its address at libzmq
        self.type = type_number
        self.type_name = SocketType(type_number).name
        self.publishes = type_number in _SENDING
        self.sends = type_number != SocketType.SUB
        self.receives = type_number != SocketType.PUB
        self.wanted = Wanted()
        self.was_set = {}
        self.signal = None
        self._publish = None
        self._subscriber = None   # the overlay's own object
        self._subscriber_fd = None
        self._heard = None        # an XPUB's
        self._outgoing = []       # frames before the last
        self._inbox = collections.deque()
        self.rest = ()            # frames that follow what recv gave, the last first
        self._conflate = False
        self._nodrop = False
        self._batch = _BATCH
        self._closed = False
        self.terminating = False  # Does its context end? Then the next look at libzmq raises.

    # -- Options ----------------------------------------------------------------------------------

    def set(self, socket, option, value):
        """After libzmq has taken it."""
        option = int(option)
        if self.active:
            check_set(option, value, self.type_name)
        if option == SocketOption.SUBSCRIBE:
            self._change(self.wanted.add, value)
        elif option == SocketOption.UNSUBSCRIBE:
            if self._change(self.wanted.remove, value):
                self._inbox = collections.deque(each for each in self._inbox
                                                if self.wanted.matches(each[0]))
        elif option == SocketOption.HWM:
            self.was_set[int(SocketOption.SNDHWM)] = self.was_set[int(SocketOption.RCVHWM)] = value
        else:
            self.was_set[option] = value

    def _change(self, change, prefix):
        try:
            changed = change(prefix)
            if self._inproc:
                self._settle()
            return changed
        except Error as problem:
            raise as_zmq_error(problem) from problem

    def get(self, socket, option):
        """The values that are ours; None for libzmq's."""
        if option == SocketOption.EVENTS:
            return self.events(socket)
        if option == SocketOption.RCVMORE:
            return int(bool(self.rest))
        if option == SocketOption.LAST_ENDPOINT:
            return self.shown
        return None

    # -- The queues --------------------------------------------------------------------------------

    def _open_queues(self):
        if self.publishes:
            self._publish = self.endpoint._own.publish
            self._nodrop = bool(self.was_set.get(int(SocketOption.XPUB_NODROP)))
            if self.type == SocketType.XPUB:
                self._heard = Heard(self.endpoint)
        else:
            most = self.was_set.get(int(SocketOption.RCVHWM)) or None
            # As in libzmq a full SUB holds up its links, and the PUB drops. An endpoint that relays must
            # not hold up others for its own reader's sake.
            overflow = None if self._overlay else "block"
            self._conflate = bool(self.was_set.get(int(SocketOption.CONFLATE)))
            if self._conflate:
                most, overflow = 1, "drop_oldest"
            if most:
                self._batch = max(1, min(_BATCH, most // 10))
            made = self.endpoint.make_bytes_subscriber(self.wanted.topics(), most, overflow=overflow)
            self.wanted.attach(made)
            self._subscriber = made._own
            self._subscriber_fd = made.fileno()
        if self.signal is not None and self.level_fd() is not None:
            self.signal.watch(self.level_fd())

    def _settle(self):
        """Waits until the other ends know what this one wants."""
        if self._subscriber is not None:
            self._subscriber.wait_ready(INPROC_PATIENCE)

    # -- Receiving --------------------------------------------------------------------------------

    def level_fd(self):
        """A descriptor that is readable while something may be received; None where nothing can be."""
        return self._subscriber_fd if self._heard is None else self._heard.fileno()

    def _fill(self):
        """Looks what has come. False where there is nothing."""
        if self._subscriber is not None:
            if self._inbox and not self._conflate:
                return True
            for topic, value in self._subscriber.poll(self._batch):
                parts = decode(topic, value)
                if self.wanted.exact or self.wanted.matches(parts[0]):
                    self._inbox.append(parts)
            if self._conflate:
                while len(self._inbox) > 1:
                    self._inbox.popleft()
            if not self._inbox and self._subscriber.ended():
                self._subscriber_fd = None  # Readable for good; to wait for it would be to spin.
        elif self._heard is not None and not self._inbox:
            self._inbox.extend(self._heard.take())
        return bool(self._inbox)

    def events(self, socket):
        self.clear_signal(socket)
        found = POLLOUT if self.type != SocketType.SUB else 0
        if self.rest or self._fill():
            found |= POLLIN
        return int(found)

    def next_frame(self, socket, flags):
        """The next frame, and whether more follow."""
        if self.rest:
            return self.rest.pop(), bool(self.rest)
        parts = self.next_message(socket, flags)
        if len(parts) == 1:
            return parts[0], False
        parts.reverse()
        self.rest = parts
        return parts.pop(), True

    def next_message(self, socket, flags):
        """All frames of the next message."""
        if self.signal is not None:
            self.clear_signal(socket)
        if not self._inbox or self._conflate:
            self._wait(socket, flags)
        return self._inbox.popleft()

    def _wait(self, socket, flags):
        if self._fill():
            return
        timeout = 0 if int(flags) & _NOBLOCK else LibzmqSocket.get(socket, SocketOption.RCVTIMEO)
        if timeout == 0:
            LibzmqSocket.get(socket, SocketOption.EVENTS)  # Says whether the context has ended.
            raise Again()
        end = None if timeout < 0 else time.monotonic() + timeout / 1000
        poller = select.poll()
        poller.register(LibzmqSocket.get(socket, SocketOption.FD), select.POLLIN)
        if self.level_fd() is not None:
            poller.register(self.level_fd(), select.POLLIN)
        while True:
            left = None if end is None else max(0.0, end - time.monotonic()) * 1000
            poller.poll(left)  # Python hears signals meanwhile.
            LibzmqSocket.get(socket, SocketOption.EVENTS)
            if self._fill():
                return
            if left is not None and left <= 0:
                raise Again()
            if self._subscriber is not None and self._subscriber_fd is None:
                raise ZMQError(errno.ENOTSOCK)  # Its endpoint has ended, as at the interpreter's exit.

    # -- Sending ----------------------------------------------------------------------------------

    def send(self, socket, frame, flags):
        # pyzmq's flags are enums, whose arithmetic takes longer than all the rest here.
        flags = int(flags)
        if flags & _SNDMORE:
            self._outgoing.append(frame)
            return
        if self._outgoing:
            parts, self._outgoing = [*self._outgoing, frame], []
        else:
            parts = [frame]
        self.send_message(socket, parts, flags)

    def in_message(self):
        """Have frames been sent that wait for the last one?"""
        return bool(self._outgoing)

    def send_message(self, socket, parts, flags):
        if self.signal is not None or self.terminating:
            self.clear_signal(socket)
        if not self.publishes:
            self._send_upstream(socket, parts)
        elif self._publish is not None:
            topic, value = encode(parts)
            try:
                self._publish(topic, value, False,
                              self._send_patience(flags) if self._nodrop else None)
            except QueueFull:
                if self._nodrop:
                    raise Again() from None  # Else as libzmq's PUB: what does not fit is dropped.
            except Error as problem:
                # Of a value that is too long, bzmq may also say that it cannot be encoded.
                if sum(map(len, parts)) > MESSAGE_MAX:
                    raise ZMQError(errno.EMSGSIZE) from problem
                raise as_zmq_error(problem) from problem

    def _send_patience(self, flags):
        """Seconds that a send may wait, None for ever."""
        timeout = 0 if int(flags) & _NOBLOCK else self.was_set.get(_SNDTIMEO, -1)
        return None if timeout < 0 else timeout / 1000

    def _send_upstream(self, socket, parts):
        """An XSUB's subscriptions."""
        first = parts[0]
        if len(parts) != 1 or not first or first[0] > 1:
            raise refuse("XSUB.send", "only subscriptions, \\x01 or \\x00 and a prefix, go upstream")
        option = SocketOption.SUBSCRIBE if first[0] else SocketOption.UNSUBSCRIBE
        self.set(socket, option, first[1:])

    # -- The descriptor and the end ---------------------------------------------------------------

    def descriptor(self, socket):
        if self.signal is None:
            self.signal = Signal(LibzmqSocket.get(socket, SocketOption.FD))
            if self.level_fd() is not None:
                self.signal.watch(self.level_fd())
        return self.signal.fileno()

    def clear_signal(self, socket):
        if self.signal is not None:
            self.signal.clear()
        LibzmqSocket.get(socket, SocketOption.EVENTS)  # libzmq's own; raises once the context ends.

    def close(self):
        if self._closed:
            return
        self._closed = True
        self._end_attachments()
        if self._heard is not None:
            self._heard.close()
        if self.signal is not None:
            self.signal.close()
        self._publish = self._subscriber = self._subscriber_fd = None


class ForkedCarrier(Carrier):
    """What the parent's carriers are in a forked child: the endpoint and its descriptors are the parent's, so
    nothing is asked, taken or ended here."""

    def refuse(self, *_arguments):
        raise ZMQError(errno.ENOTSOCK, "this socket belongs to the process before the fork; make new ones in "
                                       "the child")

    events = clear_signal = next_frame = next_message = send = send_message = refuse

    def set(self, socket, option, value):
        if self.active:
            self.refuse()

    def close(self):
        self._closed = True
