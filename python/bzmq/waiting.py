"""What waits at a file descriptor, from threads and from asyncio."""

import collections
import datetime
import time

__all__ = ["Closing", "Deadline", "Waitable"]


class Deadline:
    """A timeout from now: seconds, a timedelta, or None for none."""

    def __init__(self, timeout):
        if isinstance(timeout, datetime.timedelta):
            timeout = timeout.total_seconds()
        self._end = None if timeout is None else time.monotonic() + timeout

    def left(self):
        """Seconds, not below 0; None without a limit."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())


class Closing:
    """A context manager that ends what it holds."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.reset()

    def reset(self):
        """Ends it now."""
        self._own = _CLOSED


class _Closed:
    def __getattr__(self, name):
        raise ValueError("it has been closed")


_CLOSED = _Closed()


class Waitable:
    """An object with a level-triggered file descriptor: readable while something waits, and for good
    once no more will come. Registers with pyzmq's Poller, with selectors and with asyncio."""

    def __init__(self, own):
        self._own = own
        self._ahead = collections.deque()

    def fd(self):
        return self._own.fileno()

    fileno = fd

    def __aiter__(self):
        return self

    async def __anext__(self):
        got = await self._next_async()
        if got is None:
            raise StopAsyncIteration
        return got

    async def _next_async(self):
        """The next one, or None at the end. Cancelled, it has taken nothing."""
        from .asyncio import readable
        while not self._ahead:
            self._ahead.extend(self._now())
            if self._ahead:
                break
            # Another task may have taken what was there. In this order, what is readable with nothing
            # there has ended.
            if self._over() and not self._now_into_ahead():
                return None
            if not self._ahead:
                await readable(self._own.fileno())
        return self._ahead.popleft()

    def _now_into_ahead(self):
        self._ahead.extend(self._now())
        return bool(self._ahead)

    def _now(self):
        raise NotImplementedError

    def _over(self):
        """Is it readable? With nothing there it has ended."""
        import select
        poller = select.poll()
        poller.register(self._own.fileno(), select.POLLIN)
        return bool(poller.poll(0))
