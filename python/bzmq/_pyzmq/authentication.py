"""Under the back end, pyzmq's own authenticators tell carried CURVE servers whom they let in."""

import importlib.abc
import importlib.machinery
import sys
import threading

from .security import Allowed

__all__ = ["install"]

_CLASSES = {"zmq.auth.base": "Authenticator", "zmq.auth.thread": "ThreadAuthenticator"}


def install():
    """Those that are imported from now on do."""
    sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    """pyzmq's modules import the back end before they can be imported themselves: so they are extended when
    the program imports them."""

    def find_spec(self, name, path, target=None):
        if name not in _CLASSES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            _extend(getattr(module, _CLASSES[name]))
        spec.loader.exec_module = exec_module
        return spec


def _extend(kind):
    def after(name, tell):
        plain = getattr(kind, name)

        def told(self, *arguments, **options):
            plain(self, *arguments, **options)
            # What goes to an authenticator's thread has been told by the thread that sent it, in its order.
            if type(threading.current_thread()).__name__ != "AuthenticationThread":
                tell(self.context.underlying, *arguments, **options)
        told.__doc__ = plain.__doc__
        setattr(kind, name, told)
    after("configure_curve", lambda context, domain="*", location=".": Allowed.tell(context, location))
    after("configure_curve_callback", lambda context, *_, **__: Allowed.tell(context, None))
    after("allow", Allowed.tell_allowed)
    after("deny", Allowed.tell_denied)
