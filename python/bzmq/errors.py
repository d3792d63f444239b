"""Failures: one exception class for each code, all of them `Error`."""

from .enums import EC

__all__ = ["Error", "ForkError", "make_error", "refuses_for_good"]


class Error(Exception):
    """A failure: its code, and a sentence for a person.

    Raised by whatever fails, and yielded as a value by status subscribers. Each code has a class of
    its own, `bzmq.errors.<code>`, e.g. `bzmq.errors.NoSuchKey`.
    """

    _code = EC.Unspecified

    def __init__(self, message="", code=None):
        super().__init__(message)
        self._message = message
        if code is not None:
            self._code = EC(code)

    def code(self):
        """The `EC`."""
        return self._code

    def message(self):
        return self._message

    def context(self):
        """The tradition's name for the message."""
        return self._message

    def __str__(self):
        name = self._code.name
        return f"{name}: {self._message}" if self._message else name

    def __repr__(self):
        return f"{type(self).__name__}({self._message!r})"

    def __eq__(self, other):
        if isinstance(other, Error):
            return self._code == other._code and self._message == other._message
        if isinstance(other, EC):
            return self._code == other
        return NotImplemented

    def __hash__(self):
        return hash((self._code, self._message))

    def __reduce__(self):
        return (make_error, (int(self._code), self._message))


# Those whose meaning Python has a name for can be caught by that name, too.
_ALSO = {
    EC.NoSuchKey: KeyError,
    EC.RequestTimeout: TimeoutError,
    EC.PeerTimeout: TimeoutError,
    EC.PeerUnavailable: ConnectionError,
    EC.NoPathToPeer: ConnectionError,
    EC.TypeClash: TypeError,
    EC.InvalidData: ValueError,
    EC.InvalidTopic: ValueError,
    EC.InvalidAddress: ValueError,
    EC.InvalidConfiguration: ValueError,
    EC.InvalidJson: ValueError,
    EC.CannotOpenFile: OSError,
    EC.CannotWriteFile: OSError,
    EC.AddressInUse: OSError,
}

_CLASSES = {}
for _each in EC:
    _bases = (Error, _ALSO[_each]) if _each in _ALSO else (Error,)
    _CLASSES[_each] = globals()[_each.name] = type(
        _each.name, _bases, {"__doc__": f"`EC.{_each.name}`", "_code": _each,
                             "__module__": __name__})
    __all__.append(_each.name)
del _each, _bases


class ForkError(_CLASSES[EC.ShuttingDown], RuntimeError):
    """An object of the parent was used in a forked child."""


# Of what a store's master only answers with a code.
_SENTENCES = {
    EC.TypeClash: "the value there has a type that this cannot be done to",
    EC.InvalidData: "nothing to take there, or the result is out of range",
}


def make_error(code, message=""):
    """The exception for a code."""
    try:
        message = message or _SENTENCES.get(code, "")
        return _CLASSES[EC(code)](message)
    except ValueError:
        return Error(f"{message} (code {code})")


def refuses_for_good(code):
    """Is it a refusal of a peering that only a change on one of the two sides mends? `code` is an `EC` or an
    `Error`."""
    from . import _bzmq
    return _bzmq.refuses_for_good(int(code.code() if isinstance(code, Error) else code))


def raise_forked():
    raise ForkError("this object belongs to the process before the fork; make new ones in the child, "
                    "or use multiprocessing's start method \"spawn\"")
