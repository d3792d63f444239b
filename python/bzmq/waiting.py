"""What waits at a file descriptor, from threads and from asyncio."""

import datetime
import sys
import time

__all__ = ["Closing", "Deadline", "Waitable", "counted"]


def counted(count):
    """How many to wait for: an int, not below 0."""
    if not isinstance(count, int):
        raise TypeError("expected a count (an int) or seconds (a float or a timedelta), not "
                        f"{type(count).__name__}")
    if count < 0:
        raise ValueError(f"cannot wait for {count} of them; seconds are a float or a timedelta, and "
                         "None waits for ever")
    return count


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
        """Ends it now; tasks that await something of it find the end."""
        own, self._own = self._own, _CLOSED
        if own is not _CLOSED and (loop := sys.modules.get("bzmq._loop")) is not None:
            loop.wake_everywhere(own)


class _Closed:
    def __getattr__(self, name):
        raise ValueError("it has been closed")


_CLOSED = _Closed()


class Waitable:
    """An object with a level-triggered file descriptor: readable while something waits, and for good
    once no more will come. Registers with pyzmq's Poller, with selectors and with asyncio."""

    def __init__(self, own):
        self._own = own

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
        """The next one, or None at the end. Cancelled, it has taken nothing. One at a time: what has
        not been yielded yet stays where the other calls and the descriptor find it."""
        from ._loop import readable
        own = self._own  # Held, and with it the descriptor, while somebody waits there.
        while (got := self._take()) is None:
            # Another task may have taken what was there. In this order, what is readable with nothing
            # there has ended.
            if self._over():
                return self._take()
            await readable(own.fileno())
            if self._own is not own:
                return None  # `reset`.
        return got

    def _take(self):
        """The next one that is there, or None."""
        return self._own.next_now()

    def _over(self):
        """Is it readable? With nothing there it has ended."""
        import select
        poller = select.poll()
        poller.register(self._own.fileno(), select.POLLIN)
        return bool(poller.poll(0))
