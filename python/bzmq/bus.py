"""Zeek's events as functions. docs/zeek.md is the guide."""

import inspect
import threading

from . import zeek
from ._fitting import fitter

__all__ = ["EventBus"]


def _event(name, args):
    if not isinstance(name, zeek.Event):
        return zeek.Event(name, *args)
    if args:
        raise TypeError("an Event has its arguments already")
    return name


class EventBus:
    """Calls functions by events, from this program and from the overlay, and sends events there.

        bus = EventBus(endpoint, "/events/")

        @bus.event
        def ping(text: str, number: int): ...

        bus.publish("/events/ping", "ping", "hello", 7)

    Handlers of what comes from the overlay run on a thread of the bus, in order; those of `raise_` on the
    caller's. While they do not keep pace and the endpoint's `subscriber_queue_messages` wait, publishers
    wait: nothing is lost. Annotated parameters are checked: by classes, list[X], tuple[X, ...], set[X],
    dict[K, V], Optional[X], X | Y and the like; a vector comes as a list where the annotation says so.
    What fits no handler, and what a handler raises, goes to `on_error(name, exception)` and is counted in
    `failed`.

    Wherever an event goes out, a `zeek.Event` may stand for its name and arguments, with metadata:

        bus.raise_(zeek.Event("ping", "hello", 7, metadata={zeek.MetadataType.NetworkTimestamp: now}))
    """

    def __init__(self, endpoint, topics=(), on_error=None):
        self._endpoint = endpoint
        self._id = endpoint.node_id()
        self._on_error = on_error
        self._lock = threading.Lock()
        self._handlers = {}
        self._routes = {}
        self.handled = self.unhandled = self.failed = 0
        # An event that its publisher was told is on its way must not end at a slow handler.
        self._source = endpoint.make_subscriber(topics, overflow="block")
        self._thread = threading.Thread(target=self._run, name="bzmq-bus", daemon=True)
        self._thread.start()

    def event(self, name=None, whole=False):
        """A decorator: the function handles the events with its name, or `@bus.event("other")`."""
        if callable(name):
            return self.on(name.__name__, name)
        return lambda handler: self.on(name or handler.__name__, handler, whole)

    def on(self, name, handler, whole=False):
        """Calls `handler` for each event with this name; it returns the handler. `whole`: its only argument
        is the `zeek.Event`, whatever its arguments are, with its metadata. TypeError for a handler that is
        to be awaited: nobody would."""
        fit = fitter(handler)
        with self._lock:
            self._handlers.setdefault(name, []).append(
                ((lambda event: (event,)) if whole else (lambda event: fit(event.args())), handler))
        return handler

    def auto_publish(self, topic, name, reliable=True):
        """Raising this event here publishes it under `topic` as well."""
        with self._lock:
            self._routes.setdefault(name, {})[topic] = reliable

    def auto_unpublish(self, topic, name):
        with self._lock:
            self._routes.get(name, {}).pop(topic, None)

    def raise_(self, name, *args):
        """Calls the handlers here, then publishes wherever `auto_publish` says; raises the first failure of
        that once all have been tried."""
        event = _event(name, args)
        self._call(event, Exception)
        with self._lock:
            routes = list(self._routes.get(event.name(), {}).items())
        first = None
        for topic, reliable in routes:
            try:
                self._endpoint.publish(topic, event, reliable)
            except Exception as why:
                first = first or why
        if first is not None:
            raise first

    def publish(self, topic, name, *args, reliable=True):
        """To the overlay only: handlers here are not called."""
        self._endpoint.publish(topic, _event(name, args), reliable)

    def wait_ready(self, timeout=10.0):
        """Waits until every endpoint within reach knows what the bus subscribes to."""
        return self._source.wait_ready(timeout)

    def dropped(self):
        """Messages that came and had no room. 0: publishers wait instead."""
        return self._source.dropped()

    def close(self):
        """What was queued is still handled. No handler runs after the return, except where one of them
        calls: what was queued is then handled after it."""
        self._source.close()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _run(self):
        for message in self._source:
            if message.origin != self._id:
                try:
                    parsed = zeek.Message.parse(message.value)
                except Exception as why:
                    self._fail("", why, BaseException)
                else:
                    self._dispatch(parsed)

    def _dispatch(self, message):
        if isinstance(message, zeek.Event):
            # Whatever a handler raises, sys.exit's too, ends only the handler on this thread.
            self._call(message, BaseException)
        elif isinstance(message, zeek.Batch):
            for each in message:
                self._dispatch(each)

    def _call(self, event, caught):
        with self._lock:
            handlers = list(self._handlers.get(event.name(), ()))
        if handlers:
            self.handled += 1
        else:
            self.unhandled += 1
        for fit, handler in handlers:
            try:
                handler(*fit(event))
            except caught as why:
                self._fail(event.name(), why, caught)

    def _fail(self, name, why, caught):
        self.failed += 1
        if self._on_error is not None:
            try:
                self._on_error(name, why)
            except caught:
                pass  # It is counted, and nobody is left to tell.
