"""Receiving messages."""

import datetime

from .topic import topic_text
from .waiting import Waitable, counted

__all__ = ["SafeSubscriber", "Subscriber"]


class Subscriber(Waitable):
    """Receives the messages of some topics through a bounded queue.

    Messages are tuples (topic, value) that also have `origin`, `hops`, `sent_at` and `reliable`.
    Thread-safe. May outlive its endpoint: it then yields what is left in its queue.
    """

    def get(self, count=None, timeout=None):
        """Waits for messages. Ctrl-C ends the wait.

        get()              the next one; raises (ShuttingDown, QueueFull, ...) once it has ended
        get(5)             a list of 5, fewer once it has ended
        get(5, timeout)    a list of those that came in time
        get(1.5)           the next one within 1.5 seconds, or None; so does get(timeout=1.5)

        Times are seconds or a timedelta. An int is a count, as it always was: one second is `1.0`.
        """
        if count is None:
            if timeout is None:
                return self._own.next_or_raise()
            return self._own.next(timeout)
        if isinstance(count, (float, datetime.timedelta)):
            return self._own.next(count)
        return self._own.get_many(counted(count), timeout)

    def take(self, max=2**63 - 1, timeout=None):
        """Waits for at least one message and returns all that are there, at most `max`: the fastest way to
        read. [] where none came in time, or at the end."""
        if max < 1 or not (first := self._own.get_many(1, timeout)):
            return []
        return first + self._own.poll(max - 1)

    def poll(self, max=2**63 - 1):
        """The messages that are there now, at most `max`. Never waits."""
        return self._own.poll(max)

    def available(self):
        """How many messages `poll` would return."""
        return self._own.available()

    def add_topic(self, topic, block=False):
        """Subscribes to one more prefix; False where it had it already. `block` also waits until every
        endpoint within reach knows."""
        added = self._own.add_topic(topic_text(topic))
        if block:
            self.wait_ready()
        return added

    def remove_topic(self, topic, block=False):
        """Ends the subscription to a prefix; no message that only it matched comes after the return."""
        removed = self._own.remove_topic(topic_text(topic))
        if block:
            self.wait_ready()
        return removed

    def topics(self):
        return self._own.topics()

    def wait_ready(self, timeout=10.0):
        """Waits until every endpoint within reach knows the topics: what is published after that cannot
        be missed, unless it comes from beyond a gateway. False at the timeout."""
        return self._own.wait_ready(timeout)

    def dropped(self):
        """Messages given up because the queue was full."""
        return self._own.dropped()

    def ended(self):
        return self._own.ended()

    def last_error(self):
        """Why it ended: an `Error`, or None."""
        return self._own.last_error()

    def close(self):
        """Ends the subscription; threads that wait in `get` return."""
        self._own.close()

    reset = close

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __iter__(self):
        """All messages until the end."""
        while (got := self._own.next(None)) is not None:
            yield got

    def _over(self):
        return self._own.ended() and super()._over()


class SafeSubscriber(Subscriber):
    """A subscriber whose values cannot change: frozenset, frozendict, tuple."""
