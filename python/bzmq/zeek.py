"""Zeek's messages within bzmq's: events, and batches of them.

    endpoint.publish("/zeek/events", zeek.Event("ping", "hello", bzmq.Count(1)))

    topic, value = subscriber.get()
    event = zeek.Event(value)
    print(event.name(), event.args())

A message is the vector (count 1, count type, (fields...)).
"""

import datetime
import enum

from ._bzmq import Data
from ._types import Count

__all__ = ["Batch", "Event", "Message", "MetadataType", "SafeBatch", "SafeEvent"]

_FORMAT = Count(1)


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


class Message:
    """Any of Zeek's messages: its `type` and its `fields`."""

    _frozen = False

    def __init__(self, type, fields):
        self._type = Type(type)
        self._fields = tuple(fields)

    @classmethod
    def parse(cls, value):
        """From a received value. ValueError where that is no such message."""
        if isinstance(value, Data):
            value = Data.to_py(value, frozen=cls._frozen)
        parts = _parts(value)
        if parts[0] == Type.Event:
            return (SafeEvent if cls._frozen else Event)._of(parts[1])
        if parts[0] == Type.Batch:
            return (SafeBatch if cls._frozen else Batch)._of(parts[1])
        return Message(*parts)

    def type(self):
        return self._type

    def fields(self):
        return self._fields

    def as_data(self):
        """The message as a value to publish. Publishing does it by itself."""
        return (_FORMAT, Count(self._type), self._fields)

    __bzmq_data__ = to_data = as_data

    def __eq__(self, other):
        if isinstance(other, Message):
            return self._type == other._type and self._fields == other._fields
        return NotImplemented

    __hash__ = None


def _parts(value):
    if (isinstance(value, (tuple, list)) and len(value) == 3 and value[0] == 1
            and isinstance(value[2], (tuple, list))):
        try:
            return Type(value[1]), value[2]
        except ValueError:
            pass
    raise ValueError("not one of Zeek's messages")


class Event(Message):
    """`Event(name, *args)` to send; `Event(value)` from what was received (ValueError where that is no
    event). `metadata`: a dict of `MetadataType` or numbers to values."""

    def __init__(self, *args, metadata=None):
        if len(args) == 1 and not isinstance(args[0], str):
            self._read(args[0])
            return
        if not args or not isinstance(args[0], str):
            raise TypeError("an event needs a name")
        self._type = Type.Event
        self._fields = (args[0], tuple(args[1:]))
        if metadata:
            pairs = metadata.items() if isinstance(metadata, dict) else metadata
            self._fields += (tuple((Count(key), value) for key, value in pairs),)

    @classmethod
    def _of(cls, fields):
        made = cls.__new__(cls)
        made._take(fields)
        return made

    def _read(self, value):
        if isinstance(value, Data):
            value = Data.to_py(value, frozen=self._frozen)
        type, fields = _parts(value)
        if type != Type.Event:
            raise ValueError(f"a {type.name}, not an event")
        self._take(fields)

    def _take(self, fields):
        if len(fields) < 2 or not isinstance(fields[0], str) or not isinstance(fields[1], (tuple, list)):
            raise ValueError("not an event")
        self._type = Type.Event
        self._fields = tuple(fields)

    def name(self):
        return self._fields[0]

    def args(self):
        """The arguments: a list, or a tuple of a safe event."""
        return list(self._fields[1])

    def metadata(self):
        """{number: value}; empty where there is none."""
        if len(self._fields) < 3:
            return {}
        return {int(key): value for key, value in self._fields[2]}

    def ts(self):
        """The network timestamp of its metadata, or None."""
        found = self.metadata().get(MetadataType.NetworkTimestamp)
        return found if isinstance(found, datetime.datetime) else None

    def valid(self):
        return True

    def __repr__(self):
        arguments = "".join(f", {each!r}" for each in self._fields[1])
        return f"{type(self).__name__}({self._fields[0]!r}{arguments})"


class SafeEvent(Event):
    """An event of a safe subscriber: its arguments cannot change."""

    _frozen = True

    def args(self):
        return tuple(self._fields[1])


class Batch(Message):
    """Several messages that travel as one: `Batch(event, event)`, or `Batch(value)` from what was
    received. Iterates over its messages."""

    def __init__(self, *messages):
        if len(messages) == 1 and not isinstance(messages[0], Message):
            value = messages[0]
            if isinstance(value, Data):
                value = Data.to_py(value, frozen=self._frozen)
            type, fields = _parts(value)
            if type != Type.Batch:
                raise ValueError(f"a {type.name}, not a batch")
            self._take(fields)
            return
        self._type = Type.Batch
        self._messages = list(messages)

    @classmethod
    def _of(cls, fields):
        made = cls.__new__(cls)
        made._take(fields)
        return made

    def _take(self, fields):
        self._type = Type.Batch
        parser = SafeMessage if self._frozen else Message
        self._messages = [parser.parse(each) for each in fields]

    @property
    def _fields(self):
        return tuple(each.as_data() for each in self._messages)

    def add(self, message):
        self._messages.append(message)

    def messages(self):
        return list(self._messages)

    def __iter__(self):
        return iter(self._messages)

    def __len__(self):
        return len(self._messages)


class SafeMessage(Message):
    _frozen = True


class SafeBatch(Batch):
    _frozen = True
