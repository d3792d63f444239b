"""bzmq's failures as pyzmq's."""

import errno

from zmq.error import Again, ContextTerminated, ZMQError

from ..enums import EC
from ..errors import Error, ForkError

__all__ = ["Again", "ContextTerminated", "ZMQError", "as_zmq_error", "refuse"]

ENOTSOCK = errno.ENOTSOCK

_ERRNO = {
    EC.AddressInUse: errno.EADDRINUSE,
    EC.InvalidAddress: errno.EINVAL,
    EC.InsecureListener: errno.EACCES,
    EC.CannotOpenFile: errno.EACCES,
    EC.InvalidConfiguration: errno.EINVAL,
    EC.InvalidCertificate: errno.EINVAL,
    EC.MessageTooBig: errno.EMSGSIZE,
    EC.QueueFull: errno.EAGAIN,
    EC.InvalidTopic: errno.EINVAL,
    EC.ShuttingDown: errno.ENOTSOCK,
}


def as_zmq_error(problem):
    """The ZMQError that tells a program of pyzmq what bzmq says."""
    if isinstance(problem, ForkError):
        return ZMQError(errno.ENOTSOCK, str(problem))
    code = _ERRNO.get(problem.code(), errno.EFAULT) if isinstance(problem, Error) else errno.EFAULT
    return ZMQError(code, f"{problem.message()}" if isinstance(problem, Error) else str(problem))


def refuse(what, why):
    """What cannot be carried: ENOTSUP, naming it."""
    return ZMQError(errno.ENOTSUP, f"{what}: {why} (docs/pyzmq.md)")
