"""pyzmq with PUB, SUB, XPUB and XSUB carried by the overlay: `import bzmq.zmq as zmq`.

All names are pyzmq's (Debian: python3-zmq). Sockets of other types are libzmq's, as ever. docs/pyzmq.md is
the guide.
"""

import importlib as _importlib
import importlib.util as _util
import sys as _sys

try:
    import zmq as _zmq
except ImportError as _problem:
    raise ImportError("bzmq.zmq builds on pyzmq; install it (Debian: python3-zmq)") from _problem

from zmq import *  # noqa: F401,F403

from .._pyzmq.monitored_queue import monitored_queue
from .._pyzmq.polling import device, proxy, proxy_steerable, zmq_poll
from ._sockets import Context, Poller, Socket, select

__version__ = _zmq.__version__
__all__ = [*_zmq.__all__, "monitored_queue", "zmq_poll"]

# pyzmq's modules that know sockets only by what they are given: the same ones under this name.
_SHARED = ("constants", "error", "utils", "utils.garbage", "utils.jsonapi", "utils.monitor",
           "utils.strtypes", "utils.z85")
# Those that make contexts: copies that make ours.
_COPIED = ("decorators", "log", "log.handlers")


def _copy(name):
    spec = _util.find_spec(f"zmq.{name}")
    copied = _util.spec_from_file_location(f"{__name__}.{name}", spec.origin,
                                           submodule_search_locations=spec.submodule_search_locations)
    module = _util.module_from_spec(copied)
    _sys.modules[copied.name] = module
    copied.loader.exec_module(module)
    if hasattr(module, "zmq"):
        module.zmq = _sys.modules[__name__]
    return module


for _name in _SHARED + _COPIED:
    _module = _copy(_name) if _name in _COPIED else _importlib.import_module(f"zmq.{_name}")
    _sys.modules[f"{__name__}.{_name}"] = _module
    if "." not in _name:
        globals()[_name] = _module
    elif _name in _COPIED:
        setattr(globals()[_name.partition(".")[0]], _name.partition(".")[2], _module)
del _name, _module


def __getattr__(name):
    return getattr(_zmq, name)
