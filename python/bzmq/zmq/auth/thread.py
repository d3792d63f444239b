"""zmq.auth.thread for carried sockets."""

from zmq.auth import thread as _thread

from . import TellsEndpoints

__all__ = ["ThreadAuthenticator"]


class ThreadAuthenticator(TellsEndpoints, _thread.ThreadAuthenticator):
    __doc__ = _thread.ThreadAuthenticator.__doc__
