"""What bind and connect take, as the URLs of an endpoint."""

import errno
import fcntl
import os
import shutil
import socket
import struct
import tempfile
import threading
import time

from zmq.backend.cython import IPC_PATH_MAX_LEN, strerror

from .errors import ZMQError, refuse

__all__ = ["SCHEMES", "Place", "await_closed", "inproc_bind", "inproc_connect", "inproc_forget", "inproc_unbind",
           "parse", "scheme_of"]

SCHEMES = ("tcp", "ipc", "inproc", "bzmq")
DEFAULT_PORT = 9999  # bzmq://host is bzmq://host:9999, as everywhere in bzmq.
_OF_LIBZMQ = ("udp", "pgm", "epgm", "norm", "tipc", "vmci", "ws", "wss", "gssapi")
_SIOCGIFADDR = 0x8915


class Place:
    """A parsed address: the endpoint's URL, and the form in which LAST_ENDPOINT shows it."""

    def __init__(self, scheme, url, shown):
        self.scheme, self.url, self.shown = scheme, url, shown


def scheme_of(address):
    """The part before "://". Raises what libzmq raises where there is none that it knows."""
    scheme, separator, rest = address.partition("://")
    if not separator or not scheme or not rest:
        raise ZMQError(errno.EINVAL)
    if scheme in _OF_LIBZMQ:
        raise refuse(f"transport {scheme}://", "PUB/SUB over the overlay goes by tcp, ipc, inproc or bzmq")
    if scheme not in SCHEMES:
        raise ZMQError(errno.EPROTONOSUPPORT)
    return scheme


def parse(address, binding):
    """The `Place` of an address that is not inproc."""
    scheme = scheme_of(address)
    rest = address.partition("://")[2]
    return _ipc(rest, binding) if scheme == "ipc" else _tcp(scheme, rest, binding)


def _tcp(scheme, rest, binding):
    if ";" in rest:
        raise refuse("source address", f"{rest!r}: the system chooses it")
    host, separator, port = rest.rpartition(":")
    if not separator:
        if scheme != "bzmq":
            raise ZMQError(errno.EINVAL)
        host, port = rest, str(DEFAULT_PORT)
    if port in ("*", "0") and binding:
        port = "0"
    elif not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ZMQError(errno.EINVAL)
    if not host or (host == "*" and not binding):
        raise ZMQError(errno.EINVAL)
    if binding:
        host = _interface_address(host)
    shown = "0.0.0.0" if host == "*" else host
    return Place(scheme, f"tcp://{host}:{port}", f"{scheme}://{shown}:{port}")


def _interface_address(host):
    """libzmq also binds to interfaces by name."""
    try:
        socket.if_nametoindex(host)
    except OSError:
        return host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            answer = fcntl.ioctl(any_socket, _SIOCGIFADDR, struct.pack("256s", host.encode()[:15]))
        except OSError:
            raise ZMQError(errno.ENODEV) from None
    return socket.inet_ntoa(answer[20:24])


def _ipc(path, binding):
    if path == "*":
        if not binding:
            raise ZMQError(errno.EINVAL)
        path = os.path.join(tempfile.mkdtemp(prefix="bzmq-"), "socket")
    if len(os.fsencode(path)) > IPC_PATH_MAX_LEN:
        raise ZMQError(errno.ENAMETOOLONG, f"ipc path \"{path}\" is longer than {IPC_PATH_MAX_LEN} "
                                           "characters (sizeof(sockaddr_un.sun_path)).")
    folder = os.path.dirname(path)
    if binding and folder and not path.startswith("@") and not os.path.isdir(folder):
        raise ZMQError(errno.ENOENT, f"{strerror(errno.ENOENT)} for ipc path \"{path}\".")
    return Place("ipc", f"ipc://{path}", f"ipc://{path}")


def await_closed(url, patience=1.0):
    """Waits until nobody listens at an endpoint's URL any more: libzmq closes listeners in a thread of its
    own, and takes the file of an ipc one away then."""
    end = time.monotonic() + patience
    while not _closed(url) and time.monotonic() < end:
        time.sleep(0.001)


def _closed(url):
    scheme, _, rest = url.partition("://")
    if scheme == "ipc":
        return not os.path.exists(rest)
    host, _, port = rest.rpartition(":")
    host = host.strip("[]")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("" if host == "*" else host, int(port)))
        except OSError as problem:
            return problem.errno != errno.EADDRINUSE
    return True


# -- inproc ---------------------------------------------------------------------------------------
# Names of a context. Behind each lies an ipc socket in a folder that only this user may enter. Who
# connects first waits for who binds, as in libzmq.

_lock = threading.Lock()
_names = {}    # (context, name) -> (URL, who listens there)
_waiting = {}  # (context, name) -> callbacks


def inproc_bind(context, name, binder, listen):
    """Calls `listen(url)`, then those who wait for the name. Returns the URL."""
    url = f"ipc://{tempfile.mkdtemp(prefix='bzmq-')}/inproc"
    with _lock:
        taken = (context, name) in _names
        if not taken:
            listen(url)
            _names[context, name] = url, binder
            callbacks = _waiting.pop((context, name), [])
    if taken:
        os.rmdir(os.path.dirname(url[len("ipc://"):]))
        raise ZMQError(errno.EADDRINUSE)
    for each in callbacks:
        try:
            each(url, binder)
        except ZMQError:
            pass  # Who waited has closed meanwhile, or has other keys: no failure of this bind.
    return url


def inproc_unbind(context, name):
    with _lock:
        url, _ = _names.pop((context, name), (None, None))
    if url:
        shutil.rmtree(os.path.dirname(url[len("ipc://"):]), ignore_errors=True)


def inproc_connect(context, name, begin):
    """Calls `begin(url, binder)`, now or when somebody binds."""
    with _lock:
        found = _names.get((context, name))
        if found is None:
            _waiting.setdefault((context, name), []).append(begin)
    if found is not None:
        begin(*found)


def inproc_forget(context, name, begin):
    """Waits no longer."""
    with _lock:
        left = [each for each in _waiting.get((context, name), ()) if each != begin]
        if left:
            _waiting[context, name] = left
        else:
            _waiting.pop((context, name), None)
