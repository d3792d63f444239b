"""The endpoint: one node of the overlay."""

import atexit
import weakref

from . import _bzmq
from .configuration import BrokerOptions, Configuration
from .enums import Backend
from .errors import Error, ForkError
from .publisher import Publisher
from .requests import all_answers, first_answer, request_topic, serve
from .status import StatusSubscriber
from .store import Store
from .subscriber import SafeSubscriber, Subscriber
from .topic import topic_list, topic_text
from .waiting import Deadline
from .worker import Worker

__all__ = ["Endpoint"]

_living = weakref.WeakSet()


@atexit.register
def _end_all():
    # Their threads end while the interpreter is whole.
    for each in list(_living):
        try:
            each._own.shutdown()
        except ForkError:
            pass  # The parent's; it ends them itself.


def _limits(overflow, queue_bytes, queue_messages, link_cost):
    """What holds for one peering, without what is left to the options."""
    named = {"overflow": None if overflow is None else str(overflow), "queue_bytes": queue_bytes,
             "queue_messages": queue_messages, "link_cost": link_cost}
    return {name: value for name, value in named.items() if value is not None}


class _Base:
    """What the blocking and the asyncio endpoint have in common: all that does not wait."""

    def __init__(self, configuration=None, **options):
        """Starts it, opens the configured listeners and begins to connect to the configured peers.

        `configuration` is a `Configuration`, `BrokerOptions` or dict; options may also be given by
        name. Raises InvalidConfiguration, AddressInUse, ...
        """
        if not isinstance(configuration, Configuration):
            configuration = Configuration(configuration, **options)
        elif options:
            raise TypeError("options go into the Configuration")
        self._adopt(_bzmq.Endpoint(configuration._for_endpoint()))

    def _adopt(self, own):
        self._own = own
        self._queue_bytes = own.options().publish_queue_bytes
        self._last_error = None
        self._services = weakref.WeakSet()  # that answer requests
        _living.add(self)

    @classmethod
    def _around(cls, own):
        """The face of an endpoint that somebody else has made."""
        made = cls.__new__(cls)
        made._adopt(own)
        return made

    def node_id(self):
        """The endpoint's id, a str in UUID form; new in each run."""
        return self._own.node_id()

    @property
    def name(self):
        return self._own.name

    def options(self):
        """What it runs with: a `Configuration`, a copy."""
        return Configuration._of(self._own.options())

    def last_error(self):
        """Why the last `listen`, `peer` or `unpeer` said 0 or False: an `Error`, or None."""
        return self._last_error

    # -- Peerings -------------------------------------------------------------------------------

    def listen(self, address="", port=0):
        """Accepts peers at an address: a host, "" for all interfaces, or an "ipc://" URL. Port 0 takes
        a free one. Returns the port, or 0 where it failed; `last_error()` tells why. Without keys,
        "" needs the option `allow_insecure_listen`."""
        try:
            self._last_error = None
            return self.listen_url(_bzmq.make_url(address or "", port))
        except Error as problem:
            self._last_error = problem
            return 0

    def listen_url(self, url):
        """The same with a URL ("tcp://host:port", "ipc://path"); raises what went wrong."""
        return self._own.listen_url(url)

    def listeners(self):
        """The URLs at which it listens, with their real ports."""
        return self._own.listeners()

    def stop_listening(self, url):
        """Ends a listener, one of `listeners()`, and the links that came in by it. False where there is
        none with this URL."""
        return self._own.stop_listening(url)

    def peer_nosync(self, address, port, retry=None):
        """Begins to connect and returns; progress shows at status subscribers and in `peers`."""
        self._own.peer_nosync(_bzmq.make_url(address, port), "", retry, {})

    def peer_url_nosync(self, url, server_key="", retry=None, *, overflow=None, queue_bytes=None,
                        queue_messages=None, link_cost=None):
        """The same with a URL; the rest is as for `peer_url`."""
        self._own.peer_nosync(url, server_key, retry,
                              _limits(overflow, queue_bytes, queue_messages, link_cost))

    def peers(self):
        """Direct peers and those that are being tried, a list of `PeerInfo`."""
        return self._own.peers()

    def peer_subscriptions(self):
        """The topic prefixes that some other endpoint within reach subscribes to."""
        return self._own.peer_subscriptions()

    def subscriptions_of(self, node):
        return self._own.subscriptions_of(node)

    # -- The overlay ----------------------------------------------------------------------------

    def topology(self):
        """Every endpoint within reach, this one included, a list of `TopologyNode`."""
        return self._own.topology()

    def reachable(self, node):
        return self._own.reachable(node)

    def overlay_version(self):
        """Grows whenever what `topology` tells may have changed."""
        return self._own.overlay_version()

    def view_hash(self):
        """A hash over all that is known of the overlay: equal where views agree."""
        return self._own.view_hash()

    def metrics(self):
        """Counters since the start and gauges of now, a dict."""
        return self._own.metrics()

    # -- Publishing -----------------------------------------------------------------------------
    # Raises QueueFull, MessageTooBig, InvalidTopic, InvalidData, ShuttingDown; TypeError for what
    # bzmq has no type for. Waits only under the policy `block`, or for a reliable receiver's window; not
    # at all with asyncio, where QueueFull comes at once.

    _longest = None  #: the most that it waits, besides what the options say

    def publish(self, topic, value, reliable=False):
        """To all who subscribe to a prefix of the topic."""
        self._own.publish(topic, value, reliable, self._longest)

    def publish_batch(self, *batch, reliable=False):
        """Pairs of topic and value."""
        if len(batch) == 1 and (isinstance(batch[0], list) or not isinstance(batch[0], tuple)):
            batch = batch[0]
        return self._own.publish_many(batch, reliable, self._longest)

    def publish_many(self, batch, reliable=False):
        """Every pair (topic, value) of an iterable, much faster than one by one. Returns how many.
        Where it cannot go on it raises; the exception's `accepted` tells how many were published."""
        return self._own.publish_many(batch, reliable, self._longest)

    def publish_to(self, node, topic, value, reliable=False):
        """To one endpoint only, anywhere in the overlay. Raises also NoPathToPeer."""
        self._own.publish_to(node, topic, value, reliable, self._longest)

    def publish_raw(self, topic, payload, reliable=False):
        """A payload that is encoded already, bytes or the like, as a raw subscriber gets it; it is not
        checked."""
        self._own.publish_raw(topic, payload, reliable, self._longest)

    def make_publisher(self, topic, reliable=False):
        return Publisher(self._own.make_publisher(topic_text(topic), reliable), self)

    def forward(self, topics):
        """Subscribes to topics without consuming them."""
        self._own.forward(topic_list(topics))

    # -- State ----------------------------------------------------------------------------------

    def is_shutdown(self):
        return self._own.is_shutdown()

    def _subscriber(self, kind, form, topics, queue_messages, queue_bytes, overflow):
        name = None if overflow is None else str(overflow)
        return kind(self._own.make_subscriber(topic_list(topics), form, queue_messages, queue_bytes,
                                              name))


class Endpoint(_Base):
    """One node of the overlay: peers with others, publishes and subscribes, relays. Thread-safe.

    A context manager: its end shuts the endpoint down. `bzmq.asyncio.Endpoint` is the same for
    asyncio programs. Times are seconds or timedeltas; None is no limit.
    """

    def peer(self, address, port, retry=None, timeout=None):
        """Connects to a peer, waits until the peering stands and keeps it up from then on.

        retry     seconds between attempts; 0: one attempt only; None: a pause that grows from
                  `retry_min` to `retry_max`. Attempts go on until they succeed.
        timeout   the longest wait; then the attempts end

        False where it failed; `last_error()` tells why.
        """
        try:
            self._last_error = None
            self.peer_url(_bzmq.make_url(address, port), retry=retry, timeout=timeout)
            return True
        except Error as problem:
            self._last_error = problem
            return False

    def peer_url(self, url, server_key="", retry=None, timeout=None, *, overflow=None,
                 queue_bytes=None, queue_messages=None, link_cost=None):
        """The same with a URL: yields the id of whom it reached, or raises what went wrong.

        server_key      the listener's public key (Z85) or the path of its `.key` file; "" for the
                        option `server_key`, and where that is empty too, for our own key
        overflow        an `OverflowPolicy` or its name, for this peer in place of `peer_overflow`
        queue_bytes     likewise, for `peer_queue_bytes`
        queue_messages  likewise, for `peer_queue_messages`
        link_cost       likewise, for `link_cost`
        """
        limits = _limits(overflow, queue_bytes, queue_messages, link_cost)
        return self._own.peer_later(url, server_key, retry, timeout, limits).wait()

    def unpeer(self, address, port):
        """Ends a peering that this endpoint began, after what is queued for it, or the attempts. False
        where there is none."""
        return self.unpeer_url(_bzmq.make_url(address, port))

    def unpeer_url(self, url):
        return self._own.unpeer_later(url).wait()

    unpeer_nosync = unpeer

    def await_peer(self, node, timeout=10.0):
        """Waits until an endpoint is within reach, over any number of hops. False at the timeout."""
        return self._own.await_peer(node, timeout)

    def await_overlay_change(self, known, timeout=10.0):
        """Waits until `overlay_version()` is not `known`. False at the timeout and at the endpoint's end."""
        return self._own.await_overlay_change(known, timeout)

    def await_subscriptions(self, known, timeout=10.0):
        """Waits until `peer_subscriptions()` would say something else than `known`. False at the timeout."""
        return self._own.await_subscriptions(topic_list(known), timeout)

    def await_filter_entry(self, topic, timeout=10.0):
        """Waits until this endpoint subscribes to `topic` and every endpoint within reach knows; not those
        beyond a gateway."""
        return self._own.await_filter_entry(topic_text(topic), timeout)

    def wait_for_subscriber(self, topic, count=1, timeout=10.0):
        """Waits until at least `count` other endpoints would receive a message with this topic."""
        return self._own.wait_for_subscriber(topic_text(topic), count, timeout)

    def ping(self, node, timeout=5.0):
        """(round trip as a timedelta, the ids on the path). Raises NoPathToPeer, RequestTimeout."""
        return self._own.ping_later(node, timeout).wait()

    # The tradition's third argument, `qsize`, is the number of messages that may wait.

    def make_subscriber(self, topics, qsize=None, *, queue_bytes=None, overflow=None):
        """Receives the messages whose topics begin with one of `topics` (one, or an iterable).

        qsize, queue_bytes   bounds of its queue; None for the endpoint's options
        overflow             an `OverflowPolicy` or its name
        """
        return self._subscriber(Subscriber, "usual", topics, qsize, queue_bytes, overflow)

    def make_safe_subscriber(self, topics, qsize=None, *, queue_bytes=None, overflow=None):
        """The same with values that cannot change: frozenset, frozendict, tuple."""
        return self._subscriber(SafeSubscriber, "frozen", topics, qsize, queue_bytes, overflow)

    def make_bytes_subscriber(self, topics, qsize=None, *, queue_bytes=None, overflow=None):
        """The same with topics and strings as bytes, whatever they hold."""
        return self._subscriber(Subscriber, "bytes", topics, qsize, queue_bytes, overflow)

    def make_raw_subscriber(self, topics, qsize=None, *, queue_bytes=None, overflow=None):
        """The same with payloads as they travelled, bytes that nothing decodes: for `publish_raw`."""
        return self._subscriber(Subscriber, "raw", topics, qsize, queue_bytes, overflow)

    def make_status_subscriber(self, receive_statuses=False):
        """Receives what happens in the overlay; without `receive_statuses` errors only."""
        return StatusSubscriber(self._own.make_status_subscriber(receive_statuses))

    def subscribe(self, topics, on_next, on_init=None, on_end=None, *, queue_messages=None,
                  queue_bytes=None, overflow=None):
        """Calls `on_next(message)` for each message, on a thread of its own; a `Worker`.

        `on_init()` comes first, `on_end(why)` last: an `Error`, what a callback raised (that ends the
        subscription), or None after `stop`.
        """
        return Worker(self._subscriber(Subscriber, "usual", topics, queue_messages, queue_bytes, overflow),
                      on_next, on_init, on_end)

    def attach_master(self, name, type=Backend.Memory, opts=None, **options):
        """Makes this endpoint the master of a store.

        Options of `Backend.LMDB`: path (a folder), durability ("group", "sync" or "async"),
        log_bytes, map_bytes_max; of failover: sync_replicas, electors, elector, failover_timeout.
        Raises MasterExists, CannotOpenFile, InvalidConfiguration.
        """
        return Store(self._own.attach_master(name, int(Backend(type)), {**(opts or {}), **options}))

    def promote_store(self, name, node=None, timeout=15.0):
        """Makes the standby of a store at another endpoint its master and waits until all know; None: the
        only standby that there is. Its id. Raises RequestTimeout, InvalidConfiguration (there are several)."""
        return self._own.promote_later(name, node, timeout).wait()

    def attach_clone(self, name, resync_interval=10.0, stale_interval=300.0,
                     mutation_buffer_interval=120.0, *, get_delay=5.0, **options):
        """Makes a copy of a store that follows its master, whether or not that is there yet.

        Times in seconds. Also: mutation_buffer_bytes, follow_new_store; standby, a dict of the options
        of `attach_master`: it keeps its copy on disk, and may take the master's place.
        """
        made = Store(self._own.attach_clone(name, {
            "resync_interval": resync_interval, "stale_interval": stale_interval,
            "mutation_buffer_interval": mutation_buffer_interval, "get_delay": get_delay, **options}))
        made._get_delay = get_delay
        return made

    # -- Requests: docs/requests.md ---------------------------------------------------------------

    def request(self, topic, value=None, timeout=10.0, to=None, reliable=True):
        """Asks who serves a topic, or the endpoint `to` only; the first good answer. Raises what the
        server raised; RequestTimeout; NoPathToPeer: nobody serves it."""
        return first_answer(
            *self._own.request_later(topic, value, timeout, 1, to or "", reliable).wait())

    def request_all(self, topic, value=None, timeout=10.0, count=0, to=None, reliable=True):
        """The answers of all who serve a topic, or of the endpoint `to`, or the first `count` good ones: a
        list of `Answer`, whose `error` is set where there is no `value`. At the timeout those that came."""
        return all_answers(
            *self._own.request_later(topic, value, timeout, count, to or "", reliable).wait())

    def serve(self, topic, handler=None):
        """Answers the requests for a topic and for what lies below it, on a thread: `handler(request)`
        returns the answer, yields several (a generator), or raises. A decorator without a handler.
        Returns a `Service`; `stop` ends it. InvalidTopic where a service of this endpoint answers some of
        the same requests: its topic is the same, above or below."""
        return serve(self, topic, handler)

    def wait_for_server(self, topic, count=1, timeout=10.0):
        """Waits until at least `count` other endpoints serve a topic."""
        return self._own.wait_for_subscriber(request_topic(topic_text(topic)), count, timeout)

    def shutdown(self):
        """Hands on what was published, says goodbye and stops: at most two seconds. Subscribers keep
        what they have; whoever waits in a call returns."""
        self._own.shutdown()
        _living.discard(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.shutdown()
