"""CURVE keys of a socket as an endpoint's."""

import contextlib
import errno
import os
import tempfile

from zmq.backend.cython import Socket as LibzmqSocket, curve_public
from zmq.constants import SocketOption
from zmq.utils import z85

from .. import _bzmq
from .errors import ZMQError, refuse

__all__ = ["Allowed", "ZAP_ADDRESS", "check_addresses", "curve_options", "role", "who_may_connect"]

ZAP_ADDRESS = "inproc://zeromq.zap.01"
_CURVE = 2  # zmq.CURVE

# Contexts with a ZAP handler, by their libzmq address, and what it was told by bzmq.zmq.auth: the folder
# of keys that may connect, or zmq.auth.CURVE_ALLOW_ANY. Without a word nobody can say whom it lets in.
_ANY = "*"
_LOCAL = {"127.0.0.1", "::1"}
_handlers = {}
_allowed, _denied = {}, {}  # By context, the addresses that its authenticator was told.


class Allowed:
    """Who may connect to the CURVE servers of a context."""

    @staticmethod
    def handler_bound(context):
        _handlers.setdefault(context, None)

    @staticmethod
    def handler_gone(context):
        for each in (_handlers, _allowed, _denied):
            each.pop(context, None)

    @staticmethod
    def tell(context, who):
        _handlers[context] = who

    @staticmethod
    def tell_allowed(context, *addresses):
        _allowed.setdefault(context, set()).update(addresses)

    @staticmethod
    def tell_denied(context, *addresses):
        _denied.setdefault(context, set()).update(addresses)


def role(socket):
    """The string "server" or "client", or None without keys."""
    if LibzmqSocket.get(socket, SocketOption.MECHANISM) != _CURVE:
        return None
    return "server" if LibzmqSocket.get(socket, SocketOption.CURVE_SERVER) else "client"


@contextlib.contextmanager
def curve_options(socket, keys):
    """The endpoint's options for a socket's keys; the files that they name live as long as this.

    `keys`: options that the program has set, by their numbers; libzmq does not let pyzmq read keys
    """
    who = role(socket)
    if who is None:
        yield {}
        return
    secret = _z85(keys.get(SocketOption.CURVE_SECRETKEY))
    if secret is None:
        raise ZMQError(errno.EINVAL, "CURVE without CURVE_SECRETKEY")
    public = curve_public(secret)
    with tempfile.TemporaryDirectory(prefix="bzmq-") as folder:  # Only this user may look into it.
        path = os.path.join(folder, "own.key_secret")
        with open(path, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(f"curve\n    public-key = \"{public.decode()}\"\n"
                       f"    secret-key = \"{secret.decode()}\"\n")
        made = {"cert": path}
        if who == "client":
            made["server_key"] = _z85(keys[SocketOption.CURVE_SERVERKEY]).decode()
        yield made


def _z85(key):
    """libzmq also takes keys as 32 bytes."""
    return z85.encode(key) if key is not None and len(key) == 32 else key


def who_may_connect(context):
    """The endpoint's options for the peers of a CURVE server for which no list of keys is configured."""
    if context not in _handlers:
        return {"allow_any_client": True}  # As libzmq without a ZAP handler.
    told = _handlers[context]
    if told == _ANY:
        return {"allow_any_client": True}
    if told is None:
        raise refuse("CURVE_SERVER with a ZAP handler",
                     "the overlay cannot ask it; name the allowed keys in BZMQ_ALLOW, or use bzmq.zmq.auth")
    return {"allow": os.path.abspath(told)}


def check_addresses(context, url):
    """Refuses to listen where the authenticator's addresses would have to be looked at. At a loopback address
    only this machine arrives, so there they hold."""
    allowed, denied = _allowed.get(context), _denied.get(context, ())
    if not allowed and not denied:
        return
    local = url.startswith("tcp://") and _bzmq.is_loopback_url(url)
    if not local or (allowed and _LOCAL.isdisjoint(allowed)) or not _LOCAL.isdisjoint(denied):
        raise refuse("Authenticator.allow and deny", "the overlay admits by keys, not by addresses; bind to a "
                                                     "loopback address, or leave them out")
