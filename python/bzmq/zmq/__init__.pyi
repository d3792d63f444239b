from typing import Any

import zmq as _zmq
from zmq.constants import *
from zmq.error import *

from .. import Endpoint

class Socket(_zmq.Socket[bytes]):
    bzmq_endpoint: Endpoint | None

class Context(_zmq.Context[Socket]): ...

class Poller(_zmq.Poller): ...

# All else is pyzmq's.
def __getattr__(name: str) -> Any: ...
