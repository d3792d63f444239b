"""The options of an endpoint."""

import os
import sys

from . import _bzmq

__all__ = ["BrokerOptions", "Configuration"]


class BrokerOptions:
    """The options that the traditional bindings had.

    disable_forwarding   relay no messages of others
    disable_ssl          no encryption, even where `cert` is set
    ignore_broker_conf   accepted; no file is read unless one is named
    use_real_time        must be True
    """

    __slots__ = ("disable_ssl", "disable_forwarding", "ignore_broker_conf", "use_real_time")

    def __init__(self):
        self.disable_ssl = False
        self.disable_forwarding = False
        self.ignore_broker_conf = False
        self.use_real_time = True


class Configuration(_bzmq.Configuration):
    """Every option of docs/configuration.md as an attribute: `cfg.peer_timeout = 5`.

    Durations are seconds or timedeltas, sizes bytes, policies and levels their names. Options may
    also be given by name: `Configuration(name="worker-1", cert="worker-1.key_secret")`. Nothing is
    read from files or the environment unless `init` is called. An endpoint checks all of it.
    """

    _fields = frozenset(name for name, value in vars(_bzmq.Configuration).items()
                        if isinstance(value, property))

    def __init__(self, options=None, **by_name):
        super().__init__()
        self._plain = False
        self._max_threads = 0
        if isinstance(options, BrokerOptions):
            if not options.use_real_time:
                raise ValueError("use_real_time: bzmq has no simulated clock")
            self.forwarding = not options.disable_forwarding
            self._plain = options.disable_ssl
        elif isinstance(options, dict):
            by_name = {**options, **by_name}
        elif options is not None:
            raise TypeError("expected BrokerOptions or a dict of options")
        for name, value in by_name.items():
            setattr(self, name, value)

    def __setattr__(self, name, value):
        if name.startswith("openssl_"):
            raise AttributeError(f"{name}: bzmq encrypts with CurveZMQ; set `cert`, and `server_key` or "
                                 "`allow` (docs/configuration.md, \"Keys\")")
        if name == "max_threads":
            # Of a scheduler that bzmq does not have: an endpoint has its core's thread and ZeroMQ's.
            if not isinstance(value, int) or value < 0:
                raise ValueError("max_threads: expected an int, not below 0")
            name = "_max_threads"
        if name not in self._fields and not name.startswith("_"):
            raise AttributeError(f"no option {name}; Configuration.help_text() lists them")
        super().__setattr__(name, os.fspath(value) if isinstance(value, os.PathLike) else value)

    @property
    def max_threads(self):
        """Accepted for older programs, without effect: an endpoint has two threads."""
        return self._max_threads

    def init(self, arguments=None, file=None):
        """Reads `file` (TOML; or that named by --config-file or BZMQ_CONFIG_FILE), the environment and
        the arguments, by default the program's own. Returns the arguments that it did not take.

        What code has set wins. Raises InvalidConfiguration, CannotOpenFile.
        """
        if file is not None:
            self._config_file(str(file))
        self._init(list(sys.argv[1:] if arguments is None else arguments))
        return self.remainder

    @classmethod
    def _of(cls, own):
        """One with the options of the extension's."""
        made = cls()
        for name in cls._fields - {"remainder", "help_printed"}:
            setattr(made, name, getattr(own, name))
        return made

    def _for_endpoint(self):
        made = self._copy()
        if self._plain:
            made.cert = ""
        return made
