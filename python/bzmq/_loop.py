"""What asyncio programs wait with: descriptors, what was read ahead, turns at publishing."""

import asyncio
import collections
import datetime
import itertools
import os
import select
import weakref

from .enums import EC
from .errors import Error, QueueFull, make_error
from .waiting import Deadline, counted

__all__ = ["Receiving", "Turns", "finished", "readable"]

# For each loop, who waits at which descriptor: a loop takes one reader for each.
_waiting = weakref.WeakKeyDictionary()


async def readable(fd):
    """Waits until a descriptor is readable."""
    loop = asyncio.get_running_loop()
    at = _waiting.setdefault(loop, {})
    queue = at.get(fd)
    if queue is None:
        loop.add_reader(fd, _wake, loop, at, fd)
        queue = at[fd] = []
    future = loop.create_future()
    queue.append(future)
    try:
        await future
    finally:
        if future in queue:
            queue.remove(future)
            if not queue and at.get(fd) is queue:
                del at[fd]
                loop.remove_reader(fd)


def wake(fd):
    """Lets all who wait at a descriptor in this loop look again."""
    loop = asyncio.get_running_loop()
    _wake(loop, _waiting.get(loop, {}), fd)


def _wake(loop, at, fd, _held=None):
    queue = at.pop(fd, None)
    if queue is None:
        return  # Nobody waits there, or not any more.
    loop.remove_reader(fd)
    for future in queue[:]:
        queue.remove(future)
        if not future.done():
            future.set_result(None)


def wake_everywhere(own):
    """Lets all who await something of an object look again, whatever their loops."""
    for loop, at in list(_waiting.items()):
        if not at or loop.is_closed():
            continue
        try:
            fd = own.fileno()
            if fd in at:
                # `own` goes with the call: until then its descriptor is nobody else's.
                loop.call_soon_threadsafe(_wake, loop, at, fd, own)
        except (ValueError, RuntimeError, OSError):
            pass  # Not ours to wait with, or a loop that ends just now.


async def finished(call):
    """The result of a call that runs in the background; cancelled, the call is given up."""
    try:
        while not call.done():
            await readable(call.fileno())
        return call.result()
    finally:
        call.cancel()


async def within(timeout, coroutine):
    """The coroutine's result; None at the timeout."""
    try:
        async with asyncio.timeout(Deadline(timeout).left()):
            return await coroutine
    except TimeoutError:
        return None


class Ahead:
    """What was taken from a subscriber and not yielded yet, oldest first, and a descriptor that is
    readable while there is any, or while the subscriber's own is. All calls of the asyncio classes look
    here first."""

    _always = None  # Readable; one for the process.

    def __init__(self, own):
        self._own, self._left, self._both = own, collections.deque(), None
        self._told = False

    def fileno(self):
        if self._both is None:
            if Ahead._always is None:
                Ahead._always = os.eventfd(1)
            self._both = select.epoll(2)
            self._both.register(self._own.fileno(), select.EPOLLIN)
            self._tell()
        return self._both.fileno()

    def take(self, max=1):
        """At most so many of those."""
        out = [self._left.popleft() for _ in range(min(max, len(self._left)))]
        self._tell()
        return out

    def add(self, more):
        self._left.extend(more)
        self._tell()

    def put_back(self, those):
        self._left.extendleft(reversed(those))
        self._tell()

    def __len__(self):
        return len(self._left)

    def _tell(self):
        if self._both is not None and self._told != bool(self._left):
            self._told = not self._told
            if self._told:
                self._both.register(Ahead._always, select.EPOLLIN)
            else:
                self._both.unregister(Ahead._always)


class Receiving:
    """Receiving one or several, for subscribers whose messages may wait in an `Ahead`."""

    def __init__(self, own):
        super().__init__(own)
        self._ahead = Ahead(own)

    def fd(self):
        self._own.fileno()  # Refuses where the object has been closed, or is the parent's.
        return self._ahead.fileno()

    fileno = fd

    def _take(self):
        if not self._ahead:
            self._ahead.add(self._more())
            if len(self._ahead) > 1:
                # The descriptor at which other tasks wait does not tell of these any more.
                wake(self._own.fileno())
        return self._ahead.take()[0] if self._ahead else None

    def _more(self):
        """Some that are there."""
        raise NotImplementedError

    def available(self):
        """How many `poll` would return."""
        return len(self._ahead) + self._own.available()

    async def get(self, count=None, timeout=None):
        """As the blocking `get`. Cancelled, it has taken nothing."""
        if isinstance(count, (float, datetime.timedelta)):
            count, timeout = None, count
        if count is None:
            got = await within(timeout, self._next_async())
            if got is None and timeout is None:
                raise self._why_ended()
            return got
        out = []
        try:
            async with asyncio.timeout(Deadline(timeout).left()):
                while len(out) < counted(count) and (got := await self._next_async()) is not None:
                    out.append(got)
        except TimeoutError:
            pass
        except BaseException:
            self._ahead.put_back(out)
            if out:
                wake(self._own.fileno())
            raise
        return out

    def _why_ended(self):
        return make_error(EC.ShuttingDown, "the endpoint has shut down")

    def __iter__(self):
        raise TypeError("use `async for`")

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.reset()


class Turns:
    """Publishing that waits for room: one after the other, so that order is kept and one thread at most
    waits."""

    def __init__(self):
        self._lock = asyncio.Lock()

    async def publish(self, now, later):
        """`now()` or, where that finds no room, what `later()` begins."""
        async with self._lock:
            try:
                return now()
            except QueueFull:
                return await finished(later())

    async def publish_many(self, items, now, later):
        """`now(some)` for all of `items`; where there is no room `later(item)` for the first of the rest."""
        items, count = iter(items), 0
        async with self._lock:
            while some := list(itertools.islice(items, 512)):
                done = 0
                try:
                    while done < len(some):
                        try:
                            done += now(some[done:])
                        except QueueFull as full:
                            done += full.accepted
                            await finished(later(some[done]))
                            done += 1
                except Error as problem:
                    problem.accepted = count + done + getattr(problem, "accepted", 0)
                    raise
                count += done
                await asyncio.sleep(0)  # However much there is, others have their turns.
        return count
