"""Values that Python has no type of its own for."""

import datetime
import enum

__all__ = ["Count", "Enum", "Port", "Timespan", "Timestamp", "frozendict"]


class Count(int):
    """A number from 0 to 2**64 - 1: bzmq's `count`, where an int is an `integer`.

    Behaves as an int and equals one; arithmetic yields ints. ValueError out of range.
    """

    __slots__ = ()

    def __new__(cls, value=0):
        made = super().__new__(cls, value)
        if not 0 <= made < 1 << 64:
            raise ValueError(f"a count lies between 0 and 2**64 - 1, not {int(made)}")
        return made

    @property
    def value(self):
        return int(self)

    def __repr__(self):
        return f"Count({int(self)})"

    __str__ = int.__repr__


class Enum:
    """The value of an enumeration that both sides know: its name."""

    __slots__ = ("name",)

    def __init__(self, name):
        object.__setattr__(self, "name", str(name))

    def __setattr__(self, *_):
        raise AttributeError("an Enum cannot change")

    def __eq__(self, other):
        return self.name == other.name if isinstance(other, Enum) else NotImplemented

    def __lt__(self, other):
        return self.name < other.name if isinstance(other, Enum) else NotImplemented

    def __hash__(self):
        return hash((Enum, self.name))

    def __repr__(self):
        return f"Enum({self.name!r})"

    def __str__(self):
        return self.name

    def __reduce__(self):
        return (Enum, (self.name,))


class Port:
    """A port number (0 to 65535) with its protocol: `Port(80, Port.TCP)`."""

    __slots__ = ("_number", "_protocol")

    class Protocol(enum.IntEnum):
        Unknown = 0
        TCP = 1
        UDP = 2
        ICMP = 3

    Unknown, TCP, UDP, ICMP = Protocol

    def __init__(self, number=0, protocol=Protocol.Unknown):
        number = int(number)
        if not 0 <= number <= 65535:
            raise ValueError(f"a port number lies between 0 and 65535, not {number}")
        object.__setattr__(self, "_number", number)
        object.__setattr__(self, "_protocol", Port.Protocol(protocol))

    def __setattr__(self, *_):
        raise AttributeError("a Port cannot change")

    def number(self):
        return self._number

    def get_type(self):
        return self._protocol

    def _key(self):
        return (self._number, self._protocol)

    def __eq__(self, other):
        return self._key() == other._key() if isinstance(other, Port) else NotImplemented

    def __lt__(self, other):
        return self._key() < other._key() if isinstance(other, Port) else NotImplemented

    def __hash__(self):
        return hash(self._key())

    def __str__(self):
        name = "?" if self._protocol == Port.Unknown else self._protocol.name.lower()
        return f"{self._number}/{name}"

    def __repr__(self):
        return f"Port({self._number}, Port.{self._protocol.name})"

    def __reduce__(self):
        return (Port, (self._number, int(self._protocol)))


class _Exact:
    """Comparisons of a timedelta or datetime that also see what lies below its microsecond."""

    __slots__ = ()

    def __eq__(self, other):
        same = super().__eq__(other)
        return _below(self) == _below(other) if same is True else same

    def __ne__(self, other):
        return _not(self.__eq__(other))

    def __lt__(self, other):
        less = super().__lt__(other)
        return _below(self) < _below(other) if less is False and super().__eq__(other) else less

    def __gt__(self, other):
        more = super().__gt__(other)
        return _below(self) > _below(other) if more is False and super().__eq__(other) else more

    def __le__(self, other):
        return _not(self.__gt__(other))

    def __ge__(self, other):
        return _not(self.__lt__(other))

    def __hash__(self):
        plain, below = super().__hash__(), _below(self)
        return hash((plain, below)) if below else plain


def _below(value):
    return getattr(value, "nanoseconds", 0) % 1000


def _not(answer):
    return answer if answer is NotImplemented else not answer


class Timespan(_Exact, datetime.timedelta):
    """A timedelta that knows its nanoseconds: made where microseconds are not exact.

    As a timedelta it is the microseconds below; `nanoseconds` is exact, and is what is sent.
    """

    def __new__(cls, nanoseconds=0):
        made = super().__new__(cls, microseconds=nanoseconds // 1000)
        made.nanoseconds = nanoseconds
        return made

    def __repr__(self):
        return f"Timespan({self.nanoseconds})"

    def __reduce__(self):
        return (Timespan, (self.nanoseconds,))


class Timestamp(_Exact, datetime.datetime):
    """A datetime in UTC that knows its nanoseconds: made where microseconds are not exact.

    `nanoseconds` counts from 1970-01-01T00:00:00Z, and is what is sent.
    """

    def __new__(cls, nanoseconds=0):
        at = _EPOCH + datetime.timedelta(microseconds=nanoseconds // 1000)
        made = super().__new__(cls, at.year, at.month, at.day, at.hour, at.minute, at.second,
                               at.microsecond, datetime.timezone.utc)
        made.nanoseconds = nanoseconds
        return made

    # What datetime's own methods make of it has lost the nanoseconds, and is a plain datetime.
    def __add__(self, other):
        return self._plain() + other

    __radd__ = __add__

    def __sub__(self, other):
        return self._plain() - other

    def astimezone(self, tz=None):
        return self._plain().astimezone(tz)

    def replace(self, *args, **kwargs):
        return self._plain().replace(*args, **kwargs)

    def _plain(self):
        return datetime.datetime(self.year, self.month, self.day, self.hour, self.minute,
                                 self.second, self.microsecond, self.tzinfo)

    def __repr__(self):
        return f"Timestamp({self.nanoseconds})"

    def __reduce__(self):
        return (Timestamp, (self.nanoseconds,))

    def __reduce_ex__(self, _protocol):
        return self.__reduce__()


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


class frozendict(dict):
    """A dict that cannot change and has a hash: what a table within a set becomes."""

    __slots__ = ()

    def __hash__(self):
        return hash(frozenset(self.items()))

    def _refuse(self, *_args, **_kwargs):
        raise TypeError("a frozendict cannot change")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def copy(self):
        return self

    def __repr__(self):
        return f"frozendict({super().__repr__()})"

    def __reduce__(self):
        return (frozendict, (dict(self),))
