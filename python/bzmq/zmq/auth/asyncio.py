"""zmq.auth.asyncio for carried sockets."""

from zmq.auth import asyncio as _asyncio

from . import TellsEndpoints

__all__ = ["AsyncioAuthenticator"]


class AsyncioAuthenticator(TellsEndpoints, _asyncio.AsyncioAuthenticator):
    __doc__ = _asyncio.AsyncioAuthenticator.__doc__
