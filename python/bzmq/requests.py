"""Requests and their answers; docs/requests.md has the promises and the bytes."""

import asyncio
import collections
import inspect
import threading
import time
import typing

from ._types import Count
from .enums import EC
from .errors import Cancelled, Error, make_error
from .topic import topic_text

__all__ = ["Answer", "Request", "Service"]

_VERSION = Count(1)
_ASK, _CANCEL, _MORE, _LAST, _END, _FAILED = map(Count, range(6))
_ANSWERS = "/bzmq/answers/"
_PREFIX = "/bzmq/requests"
_STOPPED = "the service has stopped"

# Of all endpoints: whoever looks which services there are makes or ends one.
_services_lock = threading.Lock()

# So many requests are at work on a loop, or wait for a thread. The others stay where their number holds
# askers up.
_TAKEN_MAX = 1024


class Answer(typing.NamedTuple):
    """One answer: the id of the endpoint, and its value or its error."""

    origin: str
    value: object
    error: "Exception | None"


class Request(typing.NamedTuple):
    """What a server is asked; `timeout` is a timedelta."""

    topic: str
    value: object
    origin: str
    timeout: object


def request_topic(topic):
    """The topic of the messages that carry requests for `topic`."""
    topic = _PREFIX + ("" if topic.startswith("/") else "/") + topic
    return topic if topic.endswith("/") else topic + "/"


def _served_topic(topic):
    return topic[len(_PREFIX):-1] or "/"


def first_answer(answers, why):
    for _, value, error in answers:
        if error is None:
            return value
    if answers:
        raise answers[0][2]
    if why is not None:
        raise why
    raise make_error(EC.NoSuchKey, "the server ended without an answer")


def all_answers(answers, why):
    # At the timeout, and after the answers that came, there is nothing to raise.
    if why is not None and not answers:
        raise why
    return [Answer(*each) for each in answers]


def _snake(name):
    return "".join("_" + each.lower() if each.isupper() else each for each in name).lstrip("_")


class _Asked:
    """One request at its server: the messages that answer it."""

    def __init__(self, own, message, id, timeout):
        self._own, self._to, self._id = own, message.origin, id
        self._until = time.monotonic() + timeout.total_seconds()
        self.cancelled = False
        self.task = None

    def wanted(self):
        return not self.cancelled and time.monotonic() < self._until

    def tell(self, kind, *rest):
        self._own.publish_to(self._to, _ANSWERS, (_VERSION, kind, self._id, *rest), True)

    def fail(self, problem):
        if isinstance(problem, Error):
            name, text = _snake(problem.code().name), problem.message()
        else:
            name, text = "unspecified", f"{type(problem).__name__}: {problem}"
        try:
            self.tell(_FAILED, name, text)
        except Error:
            pass  # The asker is gone, and with it who would want to know.


class Service:
    """Serves a topic until `stop`, or the end of its endpoint. A context manager."""

    def __init__(self, endpoint, topic):
        self._own = endpoint._own
        self._topic = request_topic(topic_text(topic))
        self._open = {}
        self.requests = 0
        self.malformed = 0
        self._others = endpoint._services
        self._come()
        try:
            self._source = endpoint.make_subscriber(self._topic, overflow="block")
        except BaseException:
            self._leave()
            raise

    def _come(self):
        """Each request has one answer: no two services whose topics are equal, or one below the other."""
        with _services_lock:
            for each in self._others:
                if self._topic.startswith(each._topic) or each._topic.startswith(self._topic):
                    mine, theirs = (_served_topic(it._topic) for it in (self, each))
                    raise make_error(EC.InvalidTopic, f"{mine}: this endpoint serves {theirs} already")
            self._others.add(self)

    def _leave(self):
        with _services_lock:
            self._others.discard(self)

    def stop(self):
        """No request is taken after the return. Those that have come and wait for their turn are told
        `Cancelled`."""
        self._source.close()
        self._leave()

    @property
    def open(self):
        """Of the `requests` that came, those that are not ended."""
        return len(self._open)

    def last_error(self):
        """Why it has ended: an `Error`, or None while it serves and after `stop`."""
        return self._source.last_error()

    def dropped(self):
        """Messages that came and had no room. 0: askers wait instead."""
        return self._source.dropped()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _read(self, message):
        """(request, _Asked) of what came; None where there is nothing to answer."""
        value = message.value
        if not (isinstance(value, tuple) and len(value) > 2 and value[0] == _VERSION
                and isinstance(value[1], Count) and isinstance(value[2], Count)):
            self.malformed += 1
        elif value[1] == _CANCEL and len(value) == 3:
            if (asked := self._open.get((message.origin, value[2]))) is not None:
                asked.cancelled = True
                self._cancel(asked)
        elif value[1] == _ASK and len(value) == 5 and hasattr(value[3], "total_seconds"):
            self.requests += 1
            asked = _Asked(self._own, message, value[2], value[3])
            self._open[message.origin, value[2]] = asked
            return Request(_served_topic(message.topic), value[4], message.origin, value[3]), asked
        else:
            self.malformed += 1
        return None

    def _cancel(self, asked):
        pass

    def _forget(self, asked):
        self._open.pop((asked._to, asked._id), None)


class _Threaded(Service):
    def __init__(self, endpoint, topic, handler):
        super().__init__(endpoint, topic)
        self._handler = handler
        self._later = collections.deque()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="bzmq-serve", daemon=True)
        self._thread.start()

    def stop(self):
        self._stopped = True
        super().stop()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self):
        for message in self._source:
            self._take(message)
            while self._later:
                self._answer(*self._later.popleft())
        self._leave()

    def _take(self, message):
        if (got := self._read(message)) is not None:
            self._later.append(got)

    def _answer(self, request, asked):
        try:
            if self._stopped:
                raise Cancelled(_STOPPED)
            result = self._handler(request)
            if inspect.isgenerator(result):
                for each in result:
                    if not asked.wanted():
                        result.close()
                        break
                    asked.tell(_MORE, each)
                    # A cancellation that came meanwhile is heard between two answers.
                    for message in self._source.poll(_TAKEN_MAX - len(self._later)):
                        self._take(message)
                asked.tell(_END)
            else:
                asked.tell(_LAST, result)
        except BaseException as problem:  # sys.exit's too: it is the handler that ends.
            asked.fail(problem)
        finally:
            self._forget(asked)


class _Looped(Service):
    """On an event loop: each request is a task, which a cancellation cancels."""

    def __init__(self, endpoint, topic, handler):
        super().__init__(endpoint, topic)
        self._handler = handler
        self._tasks = set()
        self._room = asyncio.Semaphore(_TAKEN_MAX)
        self._loop = asyncio.get_running_loop()
        self._reader = self._loop.create_task(self._run())
        # It also ends with its loop.
        self._reader.add_done_callback(lambda _: self._leave())

    def stop(self):
        super().stop()
        self._reader.cancel()
        for each in list(self._tasks):
            each.cancel()
        waiting = [got[1] for got in map(self._read, self._source.poll()) if got is not None]
        for asked in waiting:
            self._forget(asked)
        self._refuse(waiting)

    def _refuse(self, waiting):
        if waiting and not self._loop.is_closed():
            self._loop.run_in_executor(
                None, lambda: [each.fail(Cancelled(_STOPPED)) for each in waiting])

    async def _run(self):
        # Room first: what is taken is answered, also where this is cancelled.
        while True:
            await self._room.acquire()
            try:
                message = await anext(self._source)
            except StopAsyncIteration:
                return
            if (got := self._read(message)) is None:
                self._room.release()
                continue
            task = asyncio.get_running_loop().create_task(self._answer(*got))
            got[1].task = task
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task):
        self._tasks.discard(task)
        self._room.release()

    def _cancel(self, asked):
        if asked.task is not None:
            asked.task.cancel()

    async def _answer(self, request, asked):
        # What is sent waits for the endpoint's thread, for a moment: not on the loop.
        async def tell(*what):
            await asyncio.get_running_loop().run_in_executor(None, asked.tell, *what)
        try:
            result = self._handler(request)
            if inspect.isasyncgen(result):
                async for each in result:
                    await tell(_MORE, each)
                await tell(_END)
            else:
                await tell(_LAST, await result if inspect.isawaitable(result) else result)
        except asyncio.CancelledError:
            if not asked.cancelled:  # By `stop`, or by the handler's own doing: its asker waits.
                self._refuse([asked])
            raise
        except Exception as problem:
            await asyncio.get_running_loop().run_in_executor(None, asked.fail, problem)
        finally:
            self._forget(asked)


def _start(kind, endpoint, topic, handler):
    if handler is None:
        return lambda decorated: kind(endpoint, topic, decorated)
    return kind(endpoint, topic, handler)


def serve(endpoint, topic, handler):
    return _start(_Threaded, endpoint, topic, handler)


def serve_async(endpoint, topic, handler):
    return _start(_Looped, endpoint, topic, handler)
