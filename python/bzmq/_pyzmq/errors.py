"""bzmq's failures as pyzmq's."""

import errno
import os

from zmq.error import Again, ContextTerminated, ZMQError

from ..enums import EC
from ..errors import Error

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

# What the system said of an address stands at the end of bzmq's sentence.
_OF_THE_SYSTEM = {os.strerror(each): each for each in errno.errorcode}


def as_zmq_error(problem):
    """The ZMQError that tells a program of pyzmq what bzmq says."""
    if not isinstance(problem, Error):
        return ZMQError(errno.EFAULT, str(problem))
    said = problem.message().rpartition(": ")[2]
    return ZMQError(_OF_THE_SYSTEM.get(said, _ERRNO.get(problem.code(), errno.EFAULT)), problem.message())


def refuse(what, why):
    """What cannot be carried: ENOTSUP, naming it."""
    return ZMQError(errno.ENOTSUP, f"{what}: {why} (docs/pyzmq.md)")
