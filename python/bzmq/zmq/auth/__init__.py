"""zmq.auth for carried sockets: their endpoints let in whom the authenticator lets in by key."""

from zmq.auth import *  # noqa: F401,F403
from zmq.auth import CURVE_ALLOW_ANY
from zmq.auth.base import Authenticator as _Authenticator

from ..._pyzmq.errors import refuse
from ..._pyzmq.security import Allowed

__all__ = ["Authenticator", "CURVE_ALLOW_ANY", "create_certificates", "load_certificate",
           "load_certificates"]


class TellsEndpoints:
    """What is told to the authenticator also goes to the endpoints of CURVE servers that bind afterwards.
    They read the folder again when it changes."""

    def configure_curve(self, domain="*", location="."):
        """Who may connect: a folder of public keys, or CURVE_ALLOW_ANY."""
        super().configure_curve(domain, location)
        Allowed.tell(self.context.underlying, location)

    def configure_curve_callback(self, domain="*", credentials_provider=None):
        """For libzmq's sockets. A carried CURVE server cannot ask a function, and refuses to bind."""
        super().configure_curve_callback(domain, credentials_provider)
        Allowed.tell(self.context.underlying, None)

    def allow(self, *addresses):
        """ENOTSUP: the overlay admits by keys."""
        raise refuse("Authenticator.allow", "the overlay admits by keys, not by addresses")

    def deny(self, *addresses):
        """ENOTSUP: the overlay admits by keys."""
        raise refuse("Authenticator.deny", "the overlay admits by keys, not by addresses")


class Authenticator(TellsEndpoints, _Authenticator):
    __doc__ = _Authenticator.__doc__
