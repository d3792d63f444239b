"""Socket events, as libzmq tells them through a PAIR."""

import os
import select
import struct
import threading

from zmq.backend.cython import Socket as LibzmqSocket
from zmq.constants import LINGER, PAIR, SNDTIMEO, Event

from ..enums import SC
from ..errors import Error

__all__ = ["Monitor"]

_OF_STATUS = {
    SC.PeerAdded: (Event.CONNECTED, Event.HANDSHAKE_SUCCEEDED),
    SC.PeerLost: (Event.DISCONNECTED,),
    SC.PeerRemoved: (Event.DISCONNECTED,),
}


class Monitor:
    """Sends the events of a carried socket to whoever connects to `address`. One thread, which sleeps
    until something happens."""

    def __init__(self, socket, carrier, address, events):
        self._carrier = carrier
        self._events = int(events)
        self._pair = LibzmqSocket(socket.context, PAIR)
        self._pair.set(LINGER, 0)
        self._pair.set(SNDTIMEO, 0)  # As libzmq's: who does not read gets no more.
        try:
            self._pair.bind(address)
        except Exception:
            self._pair.close()
            raise
        self._over = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = threading.Lock()
        self._status = None
        self._thread = None
        self.attached()

    def attached(self):
        """The socket has an endpoint now, or another address."""
        if self._status is None and self._carrier.endpoint is not None:
            self._status = self._carrier.endpoint.make_status_subscriber(receive_statuses=True)
            self._thread = threading.Thread(target=self._run, name="bzmq-monitor", daemon=True)
            self._thread.start()

    def tell(self, event, value, address):
        if not self._events & event:
            return
        with self._lock:
            try:
                self._pair.send(struct.pack("=HI", event, value), 2)
                self._pair.send(address.encode())
            except Exception:
                pass  # Nobody reads, or the context ends.

    def close(self):
        """Says so, and ends."""
        os.eventfd_write(self._over, 1)
        if self._thread is not None:
            self._thread.join()
        os.close(self._over)
        self.tell(Event.MONITOR_STOPPED, 0, "")
        with self._lock:
            self._pair.close()

    def _run(self):
        poller = select.poll()
        poller.register(self._status.fileno(), select.POLLIN)
        poller.register(self._over, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poller.poll()}
            news = self._status.poll()
            for each in news:
                self._pass_on(each)
            if self._over in ready or not news:
                return  # Readable with nothing there: the endpoint has ended.

    def _pass_on(self, news):
        if isinstance(news, Error):
            self.tell(Event.CONNECT_RETRIED, 0, news.message())
            return
        address = news.context().address
        for event in _OF_STATUS.get(news.code(), ()):
            if event == Event.CONNECTED and address not in self._carrier.dialled():
                event = Event.ACCEPTED
            self.tell(event, 0, address)
