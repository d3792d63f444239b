"""Zeek's events as functions. docs/zeek.md is the guide."""

import inspect
import threading
import typing

from . import zeek

__all__ = ["EventBus"]


class EventBus:
    """Calls functions by events, from this program and from the overlay, and sends events there.

        bus = EventBus(endpoint, "/events/")

        @bus.event
        def ping(text: str, number: int): ...

        bus.publish("/events/ping", "ping", "hello", 7)

    Handlers of what comes from the overlay run on a thread of the bus, in order; those of `raise_` on the
    caller's. Annotated parameters are checked by isinstance. What fits no handler, and what a handler
    raises, goes to `on_error(name, exception)` and is counted in `failed`.
    """

    def __init__(self, endpoint, topics=(), on_error=None):
        self._endpoint = endpoint
        self._id = endpoint.node_id()
        self._on_error = on_error
        self._lock = threading.Lock()
        self._handlers = {}
        self._routes = {}
        self.handled = self.unhandled = self.failed = 0
        self._source = endpoint.make_subscriber(topics)
        self._thread = threading.Thread(target=self._run, name="bzmq-bus", daemon=True)
        self._thread.start()

    def event(self, name=None):
        """A decorator: the function handles the events with its name, or `@bus.event("other")`."""
        if callable(name):
            return self.on(name.__name__, name)
        return lambda handler: self.on(name or handler.__name__, handler)

    def on(self, name, handler):
        with self._lock:
            self._handlers.setdefault(name, []).append((_checker(handler), handler))
        return handler

    def auto_publish(self, topic, name, reliable=True):
        """Raising this event here publishes it under `topic` as well."""
        with self._lock:
            self._routes.setdefault(name, {})[topic] = reliable

    def auto_unpublish(self, topic, name):
        with self._lock:
            self._routes.get(name, {}).pop(topic, None)

    def raise_(self, name, *args):
        """Calls the handlers here, then publishes where `auto_publish` says."""
        event = zeek.Event(name, *args)
        self._call(event)
        with self._lock:
            routes = list(self._routes.get(name, {}).items())
        for topic, reliable in routes:
            self._endpoint.publish(topic, event, reliable)

    def publish(self, topic, name, *args, reliable=True):
        """To the overlay only: handlers here are not called."""
        self._endpoint.publish(topic, zeek.Event(name, *args), reliable)

    def wait_ready(self, timeout=10.0):
        """Waits until every endpoint within reach knows what the bus subscribes to."""
        return self._source.wait_ready(timeout)

    def close(self):
        """No handler runs after the return, except where one of them calls."""
        self._source.close()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _run(self):
        for message in self._source:
            if self._source.ended():
                return
            if message.origin != self._id:
                try:
                    self._dispatch(zeek.Message.parse(message.value))
                except ValueError as why:
                    self._fail("", why)

    def _dispatch(self, message):
        if isinstance(message, zeek.Event):
            self._call(message)
        elif isinstance(message, zeek.Batch):
            for each in message:
                self._dispatch(each)

    def _call(self, event):
        with self._lock:
            handlers = list(self._handlers.get(event.name(), ()))
        if handlers:
            self.handled += 1
        else:
            self.unhandled += 1
        for check, handler in handlers:
            try:
                args = event.args()
                check(args)
                handler(*args)
            except Exception as why:
                self._fail(event.name(), why)

    def _fail(self, name, why):
        self.failed += 1
        if self._on_error is not None:
            try:
                self._on_error(name, why)
            except Exception:
                pass  # It is counted, and nobody is left to tell.


def _checker(handler):
    """Raises TypeError for arguments that do not fit the handler's parameters."""
    signature = inspect.signature(handler)
    try:
        hints = typing.get_type_hints(handler)
    except Exception:
        hints = {}  # Names that cannot be found: nothing to check by.
    kinds = [hints.get(each) for each in signature.parameters]

    def check(args):
        signature.bind(*args)
        for at, (value, kind) in enumerate(zip(args, kinds)):
            if not isinstance(kind, type):
                continue
            fits = isinstance(value, kind) and (not isinstance(value, bool) or kind in (bool, object))
            if not fits:
                raise TypeError(f"argument {at}: expected {kind.__name__}, got {type(value).__name__}")
    return check
