"""Publishing under one topic."""

import os

__all__ = ["Publisher"]


class Publisher:
    """Publishes under one topic. Thread-safe; may outlive its endpoint (then it raises ShuttingDown)."""

    _longest = None
    _fd = None

    def __init__(self, own, endpoint):
        self._own = own
        self._endpoint, self._capacity = endpoint._own, endpoint._queue_bytes

    @property
    def topic(self):
        return self._own.topic

    @property
    def reliable(self):
        return self._own.reliable

    def publish(self, *values):
        """One value, or several. A list is one value, a vector; see `publish_many`.

        Raises QueueFull, MessageTooBig, InvalidData, ShuttingDown.
        """
        if len(values) == 1:
            self._own.publish(values[0], self._longest)
        else:
            self._own.publish_many(values, self._longest)

    def publish_batch(self, *values):
        self._own.publish_many(values, self._longest)

    def publish_many(self, values):
        """Every value of an iterable, much faster than one by one. Returns how many. Where it cannot
        go on it raises, and the exception's `accepted` tells how many were published."""
        return self._own.publish_many(values, self._longest)

    def publish_raw(self, payload):
        """A payload that is encoded already, bytes or the like; it is not checked."""
        self._own.publish_raw(payload, self._longest)

    # The tradition's gauges. All publishers of an endpoint share its queue, which is bounded in bytes.

    def buffered(self):
        """Bytes that wait in the endpoint's queue for what is published."""
        return self._endpoint.metrics()["publish_queue_bytes"]

    def capacity(self):
        """Bytes that may wait there: the option `publish_queue_bytes`."""
        return self._capacity

    def free_capacity(self):
        return max(0, self.capacity() - self.buffered())

    demand = free_capacity  # Older programs publish so much at most.

    def fd(self):
        """For programs that wait until they may publish: always readable, since `publish` itself waits
        where it must. Of this object; never read from it."""
        if self._fd is None:
            self._fd = open(os.eventfd(1), "rb", buffering=0)
        return self._fd.fileno()

    fileno = fd

    def reset(self):
        """Publishes nothing any more."""
        from .waiting import _CLOSED
        self._own = _CLOSED

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.reset()
