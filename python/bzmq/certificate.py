"""CurveZMQ key pairs and their files, as pyzmq's `zmq.auth` and CZMQ read and write them."""

import os

from . import _bzmq

__all__ = ["Certificate"]


class Certificate:
    """A public key (Z85) and, where its owner holds it, the secret one. `repr` does not show it."""

    def __init__(self, public_key, secret_key=None, metadata=None):
        self.public_key = public_key
        self.secret_key = secret_key
        self.metadata = dict(metadata or {})

    @classmethod
    def generate(cls, metadata=None):
        """A new key pair from the system's random source."""
        public, secret, _ = _bzmq.generate_certificate()
        return cls(public, secret, metadata)

    @classmethod
    def load(cls, path):
        """Reads a `.key` or `.key_secret` file. Raises CannotOpenFile, InvalidCertificate."""
        return cls(*_bzmq.load_certificate(os.fspath(path)))

    def write(self, prefix, force=False):
        """Writes PREFIX.key and, with a secret key, PREFIX.key_secret (mode 0600). Without `force`
        nothing is overwritten. Raises CannotWriteFile, InvalidCertificate."""
        _bzmq.write_certificate(os.fspath(prefix), self.public_key, self.secret_key, self.metadata,
                                force)

    def __repr__(self):
        return f"Certificate({self.public_key!r}{', with its secret key' if self.secret_key else ''})"
