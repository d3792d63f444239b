"""bzmq for asyncio: the same classes, with awaitable calls where the others wait.

    import bzmq.asyncio

    async with bzmq.asyncio.Endpoint() as node:
        await node.peer("127.0.0.1", 9999)
        async for topic, value in node.make_subscriber("/example/"):
            ...

No subscriber has a thread: the event loop watches descriptors. Whatever is awaited may be cancelled; no
message is lost by that, and an attempt to connect ends. Objects belong to the loop that awaits them.
"""

import asyncio
import datetime
import functools
import weakref

from . import _bzmq
from .endpoint import _Base, _limits, _living
from .enums import EC, Backend
from .errors import Error, KeyExists, make_error
from .requests import all_answers, first_answer, request_topic, serve_async
from .status import StatusSubscriber as _StatusSubscriber
from .store import _MISSING, Batch
from .store import Store as _Store
from .subscriber import Subscriber as _Subscriber
from .topic import topic_text
from .waiting import Deadline

__all__ = ["Batch", "Endpoint", "StatusSubscriber", "Store", "Subscriber", "readable"]

# For each loop, who waits at which descriptor: a loop takes one reader for each.
_waiting = weakref.WeakKeyDictionary()


async def readable(fd):
    """Waits until a descriptor is readable."""
    loop = asyncio.get_running_loop()
    at = _waiting.setdefault(loop, {})
    queue = at.get(fd)
    if queue is None:
        queue = at[fd] = []
        loop.add_reader(fd, _wake, loop, at, fd)
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


def _wake(loop, at, fd):
    queue = at.pop(fd)
    loop.remove_reader(fd)
    for future in queue[:]:
        queue.remove(future)
        if not future.done():
            future.set_result(None)


async def _finished(call):
    """The result of a call that runs in the background; cancelled, the call is given up."""
    try:
        while not call.done():
            await readable(call.fileno())
        return call.result()
    finally:
        call.cancel()


async def _within(timeout, coroutine):
    """The coroutine's result; None at the timeout."""
    try:
        async with asyncio.timeout(Deadline(timeout).left()):
            return await coroutine
    except TimeoutError:
        return None


class _Receiving:
    """Receiving one or several, for all that have `_next_async`."""

    async def get(self, count=None, timeout=None):
        """As the blocking `get`. Cancelled, it has taken nothing."""
        if isinstance(count, (float, datetime.timedelta)):
            count, timeout = None, count
        if count is None:
            got = await _within(timeout, self._next_async())
            if got is None and timeout is None:
                raise self._why_ended()
            return got
        out = []
        try:
            async with asyncio.timeout(Deadline(timeout).left()):
                while len(out) < count and (got := await self._next_async()) is not None:
                    out.append(got)
        except TimeoutError:
            pass
        except BaseException:
            self._ahead.extendleft(reversed(out))
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


class Subscriber(_Receiving, _Subscriber):
    """Receives messages: `async for topic, value in subscriber`."""

    def poll(self, max=2**63 - 1):
        """The messages that are there now. Never waits."""
        out = []
        while self._ahead and len(out) < max:
            out.append(self._ahead.popleft())
        return out + self._own.poll(max - len(out))

    async def wait_ready(self, timeout=10.0):
        return await _finished(self._own.wait_ready_later(timeout))

    def add_topic(self, topic):
        return self._own.add_topic(topic_text(topic))

    def remove_topic(self, topic):
        return self._own.remove_topic(topic_text(topic))

    def _why_ended(self):
        return self.last_error() or make_error(EC.ShuttingDown, "the subscriber has ended")


class StatusSubscriber(_Receiving, _StatusSubscriber):
    """Receives `Status` and `Error` objects."""


class Store(_Store):
    """A store whose reads, writes and waits are awaitable.

    A write begins when it is called, awaited or not; it yields an `Outcome` or raises. A read first
    awaits the writes that were begun through this handle, and a clone's first state.
    """

    def __init__(self, own):
        super().__init__(own)
        self._outcomes = _bzmq.Outcomes()
        self._pending = {}
        self._last_id = 0

    async def _read(self, name, *arguments):
        if self._clone and (self._own.is_master()
                            or await _finished(self._own.await_sync_later(self._get_delay))):
            self._clone = False
        if self._pending:
            await asyncio.wait(list(self._pending.values()))
        return getattr(self._own, name)(*arguments)

    def _begun(self, write):
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        if not self._pending:
            loop.add_reader(self._outcomes.fileno(), self._collect, loop)
        self._last_id += 1
        self._pending[self._last_id] = future
        self._outcomes.watch(write, self._last_id)
        return future

    def _collect(self, loop):
        for id, outcome, error in self._outcomes.take():
            future = self._pending.pop(id)
            if future.done():
                continue  # Cancelled: nobody wants to know.
            if error is None:
                future.set_result(outcome)
            else:
                future.set_exception(error)
        if not self._pending:
            loop.remove_reader(self._outcomes.fileno())

    async def get(self, key, default=_MISSING):
        try:
            return await self._read("get", key)
        except KeyError:
            if default is _MISSING:
                raise
            return default

    async def get_entry(self, key):
        return await self._read("get_entry", key)

    async def get_index_from_value(self, key, index):
        return await self._read("get_index_from_value", key, index)

    async def exists(self, key):
        return await self._read("exists", key)

    async def keys(self):
        return await self._read("keys")

    async def size(self):
        return await self._read("size")

    async def snapshot(self):
        return await self._read("snapshot")

    async def range(self, first=None, last=None, max=None):
        return await self._read("range", first, last, max)

    async def prefix(self, text, max=None):
        return await self._read("prefix", text, max)

    async def put_unique(self, key, value, expiry=None):
        """True where this call put the value, False where the key was there already."""
        try:
            await self.put_unique_nosync(key, value, expiry)
            return True
        except KeyExists:
            return False

    async def await_idle(self, timeout=15.0):
        return await _finished(self._own.await_idle_later(timeout))

    async def await_sync(self, timeout=15.0):
        return await _finished(self._own.await_sync_later(timeout))

    __getitem__ = __contains__ = __len__ = None


def _begin(name):
    blocking = getattr(_Store, name)

    @functools.wraps(blocking)
    def write(self, *args, **kwargs):
        return self._begun(blocking(self, *args, **kwargs))

    return write


for _name in ("put", "compare_and_put", "increment", "decrement", "append", "insert_into",
              "remove_from", "push", "pop", "erase", "clear", "put_unique_nosync", "apply"):
    setattr(Store, _name, _begin(_name))
del _name


class Endpoint(_Base):
    """One node of the overlay, for asyncio. An asynchronous context manager."""

    async def peer(self, address, port, retry=None, timeout=None):
        """Connects to a peer and keeps the peering up. False where it failed; cancelled, the attempts
        end."""
        try:
            self._last_error = None
            await self.peer_url(_bzmq.make_url(address, port), retry=retry, timeout=timeout)
            return True
        except Error as problem:
            self._last_error = problem
            return False

    async def peer_url(self, url, server_key="", retry=None, timeout=None, *, overflow=None,
                       queue_bytes=None, queue_messages=None, link_cost=None):
        """Yields the id of whom it reached, or raises what went wrong."""
        limits = _limits(overflow, queue_bytes, queue_messages, link_cost)
        return await _finished(self._own.peer_later(url, server_key, retry, timeout, limits))

    async def unpeer(self, address, port):
        return await self.unpeer_url(_bzmq.make_url(address, port))

    async def unpeer_url(self, url):
        return await self._elsewhere(self._own.unpeer_url, url)

    async def await_peer(self, node, timeout=10.0):
        return await _finished(self._own.await_peer_later(node, timeout))

    async def await_overlay_change(self, known, timeout=10.0):
        return await _finished(self._own.await_overlay_change_later(known, timeout))

    async def await_filter_entry(self, topic, timeout=10.0):
        return await _finished(self._own.await_filter_entry_later(topic_text(topic), timeout))

    async def wait_for_subscriber(self, topic, count=1, timeout=10.0):
        return await _finished(
            self._own.wait_for_subscriber_later(topic_text(topic), count, timeout))

    async def promote_store(self, name, node=None, timeout=15.0):
        return await _finished(self._own.promote_later(name, node, timeout))

    async def ping(self, node, timeout=5.0):
        return await _finished(self._own.ping_later(node, timeout))

    def make_subscriber(self, topics, qsize=None, *, queue_bytes=None, overflow=None):
        return self._subscriber(Subscriber, "usual", topics, qsize, queue_bytes, overflow)

    def make_safe_subscriber(self, topics, qsize=None, *, queue_bytes=None, overflow=None):
        return self._subscriber(Subscriber, "frozen", topics, qsize, queue_bytes, overflow)

    def make_bytes_subscriber(self, topics, qsize=None, *, queue_bytes=None, overflow=None):
        return self._subscriber(Subscriber, "bytes", topics, qsize, queue_bytes, overflow)

    def make_status_subscriber(self, receive_statuses=False):
        return StatusSubscriber(self._own.make_status_subscriber(receive_statuses))

    async def attach_master(self, name, type=Backend.Memory, opts=None, **options):
        return Store(await self._elsewhere(self._own.attach_master, name, int(type),
                                           {**(opts or {}), **options}))

    async def attach_clone(self, name, resync_interval=10.0, stale_interval=300.0,
                           mutation_buffer_interval=120.0, *, get_delay=5.0, **options):
        made = Store(await self._elsewhere(self._own.attach_clone, name, {
            "resync_interval": resync_interval, "stale_interval": stale_interval,
            "mutation_buffer_interval": mutation_buffer_interval, "get_delay": get_delay, **options}))
        made._get_delay = get_delay
        return made

    async def request(self, topic, value=None, timeout=10.0, to=None):
        """The first good answer; cancelled, the servers are told."""
        return first_answer(*await _finished(
            self._own.request_later(topic, value, timeout, 1, to or "")))

    async def request_all(self, topic, value=None, timeout=10.0, count=0):
        return all_answers(*await _finished(
            self._own.request_later(topic, value, timeout, count, "")))

    async def wait_for_server(self, topic, count=1, timeout=10.0):
        return await self.wait_for_subscriber(request_topic(topic_text(topic)), count, timeout)

    def serve(self, topic, handler=None):
        """Answers requests on the event loop, each in a task: `await handler(request)`, or an
        asynchronous generator. A decorator without a handler. Returns a `Service`."""
        return serve_async(self, topic, handler)

    async def shutdown(self):
        await asyncio.shield(self._elsewhere(self._own.shutdown))
        _living.discard(self)

    @staticmethod
    def _elsewhere(call, *arguments):
        """On a thread of the loop's pool: what takes a moment, and cannot be cut short."""
        return asyncio.get_running_loop().run_in_executor(None, call, *arguments)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.shutdown()
