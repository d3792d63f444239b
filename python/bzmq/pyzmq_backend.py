"""A back end for pyzmq: PYZMQ_BACKEND=bzmq.pyzmq_backend python3 app.py

PUB, SUB, XPUB and XSUB sockets that bind or connect bzmq://host:port run over the overlay; with
BZMQ_PYZMQ=all every one of them does, whatever its address. All else is libzmq's. docs/pyzmq.md is the
guide.
"""

from zmq.backend.cython import (IPC_PATH_MAX_LEN, Frame, Message, curve_keypair, curve_public, has,
                                strerror, zmq_errno, zmq_version_info)

from ._pyzmq import authentication, monitored_queue
from ._pyzmq.polling import device, proxy, proxy_steerable, zmq_poll
from ._pyzmq.socket import Context, Socket, carry_all_from_environment

authentication.install()
monitored_queue.install()
Socket._carry_all = carry_all_from_environment()

__all__ = ["Context", "Frame", "IPC_PATH_MAX_LEN", "Message", "Socket", "curve_keypair", "curve_public",
           "device", "has", "proxy", "proxy_steerable", "strerror", "zmq_errno", "zmq_poll",
           "zmq_version_info"]
