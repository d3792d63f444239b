"""What a SUB wants, and what an XPUB hears of it."""

import collections
import os
import threading

from .messages import HEAD_MAX, MARKER, topic_of

__all__ = ["Heard", "Wanted"]


class Wanted:
    """The prefixes that a socket subscribes to, counted as libzmq counts them. Tells an overlay
    subscriber, once there is one."""

    def __init__(self):
        self._counts = collections.Counter()   # by prefix
        self._topics = collections.Counter()   # the same as the overlay knows them
        self._long = 0                         # those that do not fit in a topic
        self._subscriber = None

    @property
    def exact(self):
        """Does the overlay's own filter do?"""
        return not self._long

    def topics(self):
        return list(self._topics)

    def attach(self, subscriber):
        self._subscriber = subscriber

    def add(self, prefix):
        self._counts[prefix] += 1
        if self._counts[prefix] > 1:
            return
        topic = topic_of(prefix)
        self._long += len(prefix) > HEAD_MAX
        self._topics[topic] += 1
        if self._subscriber is not None and self._topics[topic] == 1:
            self._subscriber.add_topic(topic)

    def remove(self, prefix):
        """False where it was not there, or stays, since it was subscribed to more than once."""
        if prefix not in self._counts:
            return False
        self._counts[prefix] -= 1
        if self._counts[prefix]:
            return False
        del self._counts[prefix]
        topic = topic_of(prefix)
        self._long -= len(prefix) > HEAD_MAX
        self._topics[topic] -= 1
        if not self._topics[topic]:
            del self._topics[topic]
            if self._subscriber is not None:
                self._subscriber.remove_topic(topic)
        return True

    def matches(self, frame):
        return any(frame.startswith(each) for each in self._counts)


class Heard:
    """The subscriptions of others, as an XPUB receives them: \\x01 and \\x00 before the prefix.

    One thread, which sleeps until something changes. `fileno()` is readable while messages wait.
    """

    _SLICE = 1.0  # So long the thread may take to notice that it is over.

    def __init__(self, endpoint):
        self._own = endpoint._own
        self._messages = collections.deque()
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bzmq-xpub", daemon=True)
        self._thread.start()

    def fileno(self):
        return self._event

    def take(self):
        """The messages that wait."""
        try:
            os.eventfd_read(self._event)
        except BlockingIOError:
            pass  # Before the look: what comes from now on signals again.
        taken = []
        while self._messages:
            taken.append([self._messages.popleft()])
        return taken

    def close(self):
        """After the endpoint's shutdown, which wakes the thread."""
        self._over.set()
        self._thread.join()
        os.close(self._event)

    def _run(self):
        known = []
        while not self._over.is_set():
            names = [os.fsencode(each) for each in self._own.peer_subscriptions()]
            if names != known:
                self._tell(known, names)
                known = names
            if self._own.is_shutdown():
                return
            self._own.await_subscriptions(known, self._SLICE)

    def _tell(self, known, names):
        before, now = _prefixes(known), _prefixes(names)
        for each in sorted(now - before):
            self._messages.append(b"\x01" + each)
        for each in sorted(before - now):
            self._messages.append(b"\x00" + each)
        if before != now:
            os.eventfd_write(self._event, 1)


def _prefixes(topics):
    """Those that concern ZeroMQ messages. Whoever subscribes to less than the marker wants them all."""
    found = set()
    for each in topics:
        if each.startswith(MARKER):
            found.add(each[len(MARKER):])
        elif MARKER.startswith(each):
            found.add(b"")
    return found
