"""Zeek's messages within bzmq's: events, logs, variables, and batches of them.

    endpoint.publish("/zeek/events", zeek.Event("ping", "hello", bzmq.Count(1)))

    topic, value = subscriber.get()
    message = zeek.Message.parse(value)
    if isinstance(message, zeek.Event):
        print(message.name(), message.args())

A message is the vector (count 1, count type, (fields...)); docs/zeek.md shows each.
"""

import datetime
import enum

from ._bzmq import Data
from ._types import Count, Enum

__all__ = ["Batch", "Event", "IdentifierUpdate", "LogCreate", "LogWrite", "Message", "MetadataType",
           "SafeBatch", "SafeEvent", "SafeMessage", "Type", "make_log_create", "make_log_write"]

_FORMAT = Count(1)
_BATCH_DEPTH_MAX = 8
_LOG_FIELDS_MAX = 1000


class MetadataType(enum.IntEnum):
    """Keys of an event's metadata. Users' own begin with 200."""

    NetworkTimestamp = 1


class Type(enum.IntEnum):
    """The kinds of messages."""

    Event = 1
    LogCreate = 2
    LogWrite = 3
    IdentifierUpdate = 4
    Batch = 5


def _is_vector(value):
    return isinstance(value, (tuple, list))


def _plain(value, frozen):
    return Data.to_py(value, frozen=frozen) if isinstance(value, Data) else value


def _parts(value):
    if (_is_vector(value) and len(value) == 3 and isinstance(value[0], Count) and value[0] == _FORMAT
            and isinstance(value[1], Count) and _is_vector(value[2])):
        try:
            return Type(value[1]), tuple(value[2])
        except ValueError:
            pass
    raise ValueError("expected one of Zeek's messages, (1, type 1 to 5, (fields...))")


class Message:
    """Any of Zeek's messages: its `type` and its `fields`."""

    _frozen = False
    _expected = None

    def __init__(self, *_):
        raise TypeError("make an Event, LogCreate, LogWrite, IdentifierUpdate or Batch")

    @classmethod
    def parse(cls, value):
        """From a received value. ValueError, with what was expected, where that is no such message."""
        type, fields = _parts(_plain(value, cls._frozen))
        return _kinds(cls._frozen)[type]._of(fields)

    @classmethod
    def _read(cls, value):
        type, fields = _parts(_plain(value, cls._frozen))
        if type != cls._expected:
            raise ValueError(f"expected a message {cls._expected.name}, got {type.name}")
        return fields

    @classmethod
    def _of(cls, fields):
        made = cls.__new__(cls)
        made._take(fields)
        return made

    def _take(self, fields):
        self._check(fields)
        self._fields = fields

    def _check(self, fields):
        """Raises ValueError for fields that do not fit."""

    def _has(self, fields, least, most=None):
        if not least <= len(fields) <= (most or least):
            wanted = f"{least} or {most}" if most else least
            self._refuse(f"expected {wanted} fields, got {len(fields)}")

    def _need(self, value, kinds, what, wanted):
        if not isinstance(value, kinds):
            self._refuse(f"expected the {what} as {wanted}, got {type(value).__name__}")

    def _refuse(self, why):
        raise ValueError(f"{self._expected.name}: {why}")

    def type(self):
        return self._expected

    def fields(self):
        return self._fields

    def as_data(self):
        """The message as a value to publish. Publishing does it by itself."""
        return (_FORMAT, Count(self._expected), self._fields)

    __bzmq_data__ = to_data = as_data

    def __eq__(self, other):
        if isinstance(other, Message):
            return Data(self.as_data()) == Data(other.as_data())
        return NotImplemented

    __hash__ = None

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(map(repr, self._fields))})"


class Event(Message):
    """`Event(name, *args)` to send; `Event(value)` from what was received: look at `valid()`, since where
    that is no event all else raises ValueError. `Message.parse` raises it at once. `metadata`: a dict of
    `MetadataType` or numbers to values, or pairs."""

    _expected = Type.Event
    _problem = None

    def __init__(self, *args, metadata=None):
        if len(args) == 1 and not isinstance(args[0], str):
            self._try(lambda: self._read(args[0]))
            return
        if not args or not isinstance(args[0], str):
            raise TypeError("an event needs a name")
        fields = (args[0], tuple(args[1:]))
        if metadata:
            pairs = metadata.items() if isinstance(metadata, dict) else metadata
            fields += (tuple((Count(key), value) for key, value in pairs),)
        self._try(lambda: fields)

    def _try(self, fields):
        try:
            self._take(fields())
        except ValueError as why:
            self._problem = why

    @property
    def _fields(self):
        if self._problem is not None:
            raise self._problem
        return self._held

    def _take(self, fields):
        self._check(fields)
        self._held = fields

    def _check(self, fields):
        self._has(fields, 2, 3)
        # A name that is not UTF-8 comes as bytes.
        self._need(fields[0], (str, bytes), "name", "str")
        if not fields[0]:
            self._refuse("the name is empty")
        self._need(fields[1], (tuple, list), "arguments", "vector")
        if len(fields) == 3:
            self._need(fields[2], (tuple, list), "metadata", "vector")
            for each in fields[2]:
                if not (_is_vector(each) and len(each) == 2 and isinstance(each[0], Count)):
                    self._refuse("expected metadata as pairs (count, value)")
                if each[0] == MetadataType.NetworkTimestamp:
                    self._need(each[1], datetime.datetime, "network time", "datetime")

    def name(self):
        return self._fields[0]

    def args(self):
        """The arguments: a list, or a tuple of a safe event."""
        return list(self._fields[1])

    def metadata(self):
        """Its pairs of number and value, a list; None where there are none. `dict` makes a dict of it."""
        if len(self._fields) < 3:
            return None
        return [tuple(each) for each in self._fields[2]]

    def ts(self):
        """The network timestamp of its metadata, or None."""
        return dict(self.metadata() or ()).get(MetadataType.NetworkTimestamp)

    def valid(self):
        """Is it an event? `problem()` tells what it is not."""
        return self._problem is None

    def problem(self):
        """The ValueError of what is no event, or None."""
        return self._problem

    def __repr__(self):
        if self._problem is not None:
            return f"<{type(self).__name__}, invalid: {self._problem}>"
        arguments = "".join(f", {each!r}" for each in self._fields[1])
        return f"{type(self).__name__}({self._fields[0]!r}{arguments})"


class SafeEvent(Event):
    """An event of a safe subscriber: its arguments cannot change."""

    _frozen = True

    def args(self):
        return tuple(self._fields[1])


class _Log(Message):
    def _check(self, fields):
        self._has(fields, 4)
        self._need(fields[0], Enum, "stream", "Enum")
        self._need(fields[1], Enum, "writer", "Enum")

    def stream(self):
        return self._fields[0]

    def writer(self):
        return self._fields[1]


class LogCreate(_Log):
    """A log begins: `LogCreate(stream, writer, info, fields)`, or `LogCreate(value)` from what was
    received. `make_log_create` makes those of bzmq's own programs."""

    _expected = Type.LogCreate

    def __init__(self, *args):
        self._take(args if len(args) != 1 else self._read(args[0]))

    def info(self):
        return self._fields[2]

    def columns(self):
        """[(name, type)] of a log that `make_log_create` began; ValueError for others."""
        columns = self._fields[3]
        if not _is_vector(columns) or len(columns) > _LOG_FIELDS_MAX:
            self._refuse(f"expected at most {_LOG_FIELDS_MAX} fields, ((name, type)...)")
        names = set()
        for each in columns:
            if not (_is_vector(each) and len(each) == 2
                    and all(isinstance(part, (str, bytes)) for part in each)):
                self._refuse("expected (name, type) for each field")
            if each[0] in names:
                self._refuse(f"the field {each[0]} comes twice")
            names.add(each[0])
        return [tuple(each) for each in columns]


class LogWrite(_Log):
    """A record of a log: `LogWrite(stream, writer, path, record)`. The record is a tuple of values in
    the order of the log's fields, or str or bytes, what Zeek serialised."""

    _expected = Type.LogWrite

    def __init__(self, *args):
        self._take(args if len(args) != 1 else self._read(args[0]))

    def _check(self, fields):
        super()._check(fields)
        self._need(fields[2], (str, bytes), "path", "str")
        self._need(fields[3], (tuple, list, str, bytes), "record", "vector, str or bytes")

    def path(self):
        return self._fields[2]

    def record(self):
        return self._fields[3]


class IdentifierUpdate(Message):
    """A global variable has this value now: `IdentifierUpdate(id, value)`."""

    _expected = Type.IdentifierUpdate

    def __init__(self, *args):
        self._take(args if len(args) != 1 else self._read(args[0]))

    def _check(self, fields):
        self._has(fields, 2)
        self._need(fields[0], (str, bytes), "id", "str")

    def id(self):
        return self._fields[0]

    def value(self):
        return self._fields[1]


class Batch(Message):
    """Several messages that travel as one: `Batch(event, event)`, or `Batch(value)` from what was
    received. Iterates over its messages."""

    _expected = Type.Batch

    def __init__(self, *messages):
        if len(messages) == 1 and not isinstance(messages[0], Message):
            self._take(self._read(messages[0]))
            return
        self._messages = []
        for each in messages:
            self.add(each)

    def _take(self, fields, depth=0):
        if depth == _BATCH_DEPTH_MAX:
            self._refuse(f"batches within each other deeper than {_BATCH_DEPTH_MAX}")
        kinds = _kinds(self._frozen)
        self._messages = []
        for each in fields:
            try:
                type, inner = _parts(each)
                made = kinds[type].__new__(kinds[type])
                made._take(inner, *((depth + 1,) if type == Type.Batch else ()))
            except ValueError as why:
                raise ValueError(f"Batch, message {len(self._messages)}: {why}") from None
            self._messages.append(made)

    @property
    def _fields(self):
        return tuple(each.as_data() for each in self._messages)

    def add(self, message):
        if not isinstance(message, Message):
            raise TypeError(f"a batch holds messages, not {type(message).__name__}")
        self._messages.append(message)

    def messages(self):
        return list(self._messages)

    def __iter__(self):
        return iter(self._messages)

    def __len__(self):
        return len(self._messages)


class SafeMessage(Message):
    """`parse` with values that cannot change."""

    _frozen = True


class SafeBatch(Batch):
    _frozen = True


def _kinds(frozen):
    return {Type.Event: SafeEvent if frozen else Event, Type.LogCreate: LogCreate,
            Type.LogWrite: LogWrite, Type.IdentifierUpdate: IdentifierUpdate,
            Type.Batch: SafeBatch if frozen else Batch}


def make_log_create(path, columns):
    """How bzmq's own programs begin a log; `columns`: pairs of name and type, as Zeek writes it."""
    return LogCreate(Enum(f"{path}::LOG"), Enum("Log::WRITER_ASCII"), {"path": path},
                     tuple((name, type) for name, type in columns))


def make_log_write(path, values):
    """A record of such a log: as many values as the log has columns."""
    return LogWrite(Enum(f"{path}::LOG"), Enum("Log::WRITER_ASCII"), path, tuple(values))
