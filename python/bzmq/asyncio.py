"""bzmq for asyncio: the same classes, with awaitable calls where the others wait.

    import bzmq.asyncio

    async with bzmq.asyncio.Endpoint() as node:
        await node.peer("127.0.0.1", 9999)
        async for topic, value in node.make_subscriber("/example/"):
            ...

No subscriber has a thread: the event loop watches descriptors. Whatever is awaited may be cancelled; no
message is lost by that, and an attempt to connect ends. Objects belong to the loop that awaits them.

`publish` never waits: where the policy `block` or a reliable receiver would hold it up it raises QueueFull.
`await publish_async(...)` waits for room without the loop.
"""

import asyncio
import functools

from . import _bzmq
from ._loop import Receiving, Turns, finished, readable, within
from .endpoint import _Base, _limits, _living
from .enums import EC, Backend
from .errors import Cancelled, Error, KeyExists, NoSuchKey, ShuttingDown, make_error
from .gateway import _GatewayBase
from .publisher import Publisher as _Publisher
from .requests import all_answers, first_answer, request_topic, serve_async
from .status import StatusSubscriber as _StatusSubscriber
from .store import Batch
from .store import Store as _Store
from .subscriber import Subscriber as _Subscriber
from .topic import topic_list, topic_text
from .waiting import Deadline

__all__ = ["Batch", "Endpoint", "Gateway", "Publisher", "StatusSubscriber", "Store", "Subscriber", "readable"]


class Subscriber(Receiving, _Subscriber):
    """Receives messages: `async for topic, value in subscriber`."""

    def poll(self, max=2**63 - 1):
        """The messages that are there now. Never waits."""
        out = self._ahead.take(max)
        return out + self._own.poll(max - len(out))

    async def take(self, max=2**63 - 1, timeout=None):
        """As the blocking `take`. Cancelled, it has taken nothing."""
        if max < 1 or (first := await within(timeout, self._next_async())) is None:
            return []
        return [first, *self.poll(max - 1)]

    def _more(self):
        # As many at once, so that a slow loop does not hold them all.
        return self._own.poll(256)

    async def wait_ready(self, timeout=10.0):
        return await finished(self._own.wait_ready_later(timeout))

    def add_topic(self, topic):
        return self._own.add_topic(topic_text(topic))

    def remove_topic(self, topic):
        return self._own.remove_topic(topic_text(topic))

    def _why_ended(self):
        return self.last_error() or make_error(EC.ShuttingDown, "the subscriber has ended")


class StatusSubscriber(Receiving, _StatusSubscriber):
    """Receives `Status` and `Error` objects."""

    def poll(self):
        """All that are there now."""
        return self._ahead.take(len(self._ahead)) + self._own.poll()

    def reset(self):
        super().reset()
        self._ahead = type(self._ahead)(self._own)  # The one before holds what was closed.

    def _more(self):
        got = self._own.next_now()
        return [] if got is None else [got]


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
                            or await finished(self._own.await_sync_later(self._get_delay))):
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

    async def get(self, key, default=None):
        try:
            return await self._read("get", key)
        except NoSuchKey:
            return default

    async def get_entry(self, key):
        return await self._read("get_entry", key)

    async def get_index_from_value(self, key, index, default=None):
        try:
            return await self._read("get_index_from_value", key, index)
        except NoSuchKey:
            return default

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
        return await finished(self._own.await_idle_later(timeout))

    async def await_sync(self, timeout=15.0):
        return await finished(self._own.await_sync_later(timeout))

    async def promote(self, timeout=15.0):
        await finished(self._own.promote_later(timeout))

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


class Publisher(_Publisher):
    """Publishes under one topic. `publish`, `publish_batch` and `publish_many` never wait: QueueFull where
    there is no room. The awaitable ones wait for it without the loop."""

    _longest = 0

    def __init__(self, own, endpoint):
        super().__init__(own, endpoint)
        self._turns = endpoint._turns

    async def publish_async(self, value):
        await self._turns.publish(lambda: self._own.publish(value, 0), lambda: self._later(value))

    async def publish_many_async(self, values):
        return await self._turns.publish_many(values, lambda some: self._own.publish_many(some, 0),
                                              self._later)

    def _later(self, value):
        return self._endpoint.publish_later(self._own.topic, value, self._own.reliable)


class _Dial:
    """One call that connects, and how many tasks wait for it."""

    def __init__(self, call, ours):
        self.call, self.ours, self.waiting = call, ours, 0


class Endpoint(_Base):
    """One node of the overlay, for asyncio. An asynchronous context manager."""

    _longest = 0  # That `publish` waits.

    def _adopt(self, own):
        super()._adopt(own)
        self._turns = Turns()
        self._dials = {}

    async def publish_async(self, topic, value, reliable=False):
        """As `publish`, and where there is no room it waits for it. Cancelled while it waits, the message
        may go all the same, or not."""
        await self._turns.publish(lambda: self._own.publish(topic, value, reliable, 0),
                                  lambda: self._own.publish_later(topic, value, reliable))

    async def publish_many_async(self, batch, reliable=False):
        """As `publish_many`, and where there is no room it waits for it."""
        return await self._turns.publish_many(
            batch, lambda some: self._own.publish_many(some, reliable, 0),
            lambda pair: self._own.publish_later(pair[0], pair[1], reliable))

    async def publish_to_async(self, node, topic, value, reliable=False):
        """As `publish_to`, and where there is no room it waits for it."""
        await self._turns.publish(lambda: self._own.publish_to(node, topic, value, reliable, 0),
                                  lambda: self._own.publish_later(topic, value, reliable, node))

    def make_publisher(self, topic, reliable=False):
        return Publisher(self._own.make_publisher(topic_text(topic), reliable), self)

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
        """Yields the id of whom it reached, or raises what went wrong. Several tasks may dial the same
        URL: the attempts end with the last that gives up, and never where something else began them."""
        url = _bzmq.normalise_url(url)
        limits = _limits(overflow, queue_bytes, queue_messages, link_cost)
        while True:
            dial = self._dials.get(url)
            if joined := dial is not None and not dial.call.done():
                dial.waiting += 1
            else:
                known = any(each.outgoing and each.peer.address == url for each in self._own.peers())
                dial = self._dials[url] = _Dial(
                    self._own.peer_later(url, server_key, retry, timeout, limits), not known)
                dial.waiting = 1
            try:
                async with asyncio.timeout(Deadline(timeout).left() if joined else None):
                    while not dial.call.done():
                        await readable(dial.call.fileno())
                return dial.call.result()
            except TimeoutError as late:
                if isinstance(late, Error):
                    if not joined:
                        raise
                    continue
                raise make_error(EC.PeerTimeout, f"no peering with {url} in time") from None
            except (Cancelled, ShuttingDown):
                raise
            except Error:
                # How long and how often another task wants to try is not for us.
                if not joined:
                    raise
            finally:
                self._leave(url, dial)

    def _leave(self, url, dial):
        dial.waiting -= 1
        if dial.waiting == 0 and (dial.ours or dial.call.done()):
            if self._dials.get(url) is dial:
                del self._dials[url]
            dial.call.cancel()

    async def unpeer(self, address, port):
        return await self.unpeer_url(_bzmq.make_url(address, port))

    async def unpeer_url(self, url):
        return await finished(self._own.unpeer_later(url))

    async def await_peer(self, node, timeout=10.0):
        return await finished(self._own.await_peer_later(node, timeout))

    async def await_overlay_change(self, known, timeout=10.0):
        return await finished(self._own.await_overlay_change_later(known, timeout))

    async def await_subscriptions(self, known, timeout=10.0):
        return await finished(self._own.await_subscriptions_later(topic_list(known), timeout))

    async def await_filter_entry(self, topic, timeout=10.0):
        return await finished(self._own.await_filter_entry_later(topic_text(topic), timeout))

    async def wait_for_subscriber(self, topic, count=1, timeout=10.0):
        return await finished(
            self._own.wait_for_subscriber_later(topic_text(topic), count, timeout))

    async def promote_store(self, name, node=None, timeout=15.0):
        return await finished(self._own.promote_later(name, node, timeout))

    async def ping(self, node, timeout=5.0):
        return await finished(self._own.ping_later(node, timeout))

    def make_subscriber(self, topics, qsize=None, *, queue_bytes=None, overflow=None):
        return self._subscriber(Subscriber, "usual", topics, qsize, queue_bytes, overflow)

    def make_safe_subscriber(self, topics, qsize=None, *, queue_bytes=None, overflow=None):
        return self._subscriber(Subscriber, "frozen", topics, qsize, queue_bytes, overflow)

    def make_bytes_subscriber(self, topics, qsize=None, *, queue_bytes=None, overflow=None):
        return self._subscriber(Subscriber, "bytes", topics, qsize, queue_bytes, overflow)

    def make_raw_subscriber(self, topics, qsize=None, *, queue_bytes=None, overflow=None):
        return self._subscriber(Subscriber, "raw", topics, qsize, queue_bytes, overflow)

    def make_status_subscriber(self, receive_statuses=False):
        return StatusSubscriber(self._own.make_status_subscriber(receive_statuses))

    async def attach_master(self, name, type=Backend.Memory, opts=None, **options):
        return Store(await self._elsewhere(self._own.attach_master, name, int(Backend(type)),
                                           {**(opts or {}), **options}))

    async def attach_clone(self, name, resync_interval=10.0, stale_interval=300.0,
                           mutation_buffer_interval=120.0, *, get_delay=5.0, **options):
        made = Store(await self._elsewhere(self._own.attach_clone, name, {
            "resync_interval": resync_interval, "stale_interval": stale_interval,
            "mutation_buffer_interval": mutation_buffer_interval, "get_delay": get_delay, **options}))
        made._get_delay = get_delay
        return made

    async def request(self, topic, value=None, timeout=10.0, to=None, reliable=True):
        """The first good answer; cancelled, the servers are told."""
        return first_answer(*await finished(
            self._own.request_later(topic, value, timeout, 1, to or "", reliable)))

    async def request_all(self, topic, value=None, timeout=10.0, count=0, to=None, reliable=True):
        return all_answers(*await finished(
            self._own.request_later(topic, value, timeout, count, to or "", reliable)))

    async def wait_for_server(self, topic, count=1, timeout=10.0):
        return await self.wait_for_subscriber(request_topic(topic_text(topic)), count, timeout)

    def serve(self, topic, handler=None):
        """Answers requests on the event loop, each in a task: `await handler(request)`, or an
        asynchronous generator. A decorator without a handler. Returns a `Service`. InvalidTopic where a
        service of this endpoint answers some of the same requests."""
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


class Gateway(_GatewayBase):
    """Joins two domains, as `bzmq.Gateway`, with endpoints for asyncio. An asynchronous context manager."""

    _endpoint = Endpoint

    async def shutdown(self):
        await asyncio.shield(Endpoint._elsewhere(self._own.shutdown))
        self._ended()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.shutdown()
