"""Publishing under one topic."""

__all__ = ["Publisher"]


class Publisher:
    """Publishes under one topic. Thread-safe; may outlive its endpoint (then it raises ShuttingDown)."""

    def __init__(self, own):
        self._own = own

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
            self._own.publish(values[0])
        else:
            self._own.publish_many(values)

    def publish_batch(self, *values):
        self._own.publish_many(values)

    def publish_many(self, values):
        """Every value of an iterable, much faster than one by one. Returns how many. Where it cannot
        go on it raises, and the exception's `accepted` tells how many were published."""
        return self._own.publish_many(values)

    def reset(self):
        """Publishes nothing any more."""
        from .waiting import _CLOSED
        self._own = _CLOSED

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.reset()
