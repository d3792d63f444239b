"""bzmq: brokerless messaging on ZeroMQ.

    import bzmq

    with bzmq.Endpoint() as node:
        node.listen("127.0.0.1", 9999)
        messages = node.make_subscriber("/example/")
        topic, value = messages.get()

docs/python.md is the guide. `import bzmq as broker` runs programs for the traditional bindings.
"""

import datetime as _datetime
import ipaddress as _ipaddress

from . import errors, store_file, zeek
from ._bzmq import Data, Message, is_loopback_url, make_url, normalise_url
from ._types import Count, Enum, Port, Timespan, Timestamp, frozendict
from .bus import EventBus
from .certificate import Certificate
from .configuration import BrokerOptions, Configuration
from .endpoint import Endpoint
from .enums import (EC, SC, APIFlags, Backend, DataType, Frontend, OverflowPolicy, PeerFlags,
                    PeerStatus)
from .errors import Error, ForkError
from .gateway import Gateway
from .pool import Pool, PoolMember, node_topic, owner_of, role_topic
from .publisher import Publisher
from .requests import Answer, Request, Service, request_topic
from .status import EndpointInfo, NetworkInfo, PeerInfo, Status, StatusSubscriber, TopologyNode
from .store import (Batch, CloneInfo, Entry, Info, Outcome, Response, Store, StoreEvent, StoreEvents,
                    StoreProxy)
from .subscriber import SafeSubscriber, Subscriber
from .table import StoreTable
from .topic import Topic
from .worker import Worker

__version__ = "0.1.0"

utc = _datetime.timezone.utc

# The tradition's names for what Python has types for.
Address = _ipaddress.ip_address
Subnet = _ipaddress.ip_network
Set, Table, Vector = set, dict, list
Data.Type = DataType


class ImmutableData:
    """`to_py` of a `Data`, with values that cannot change."""

    @staticmethod
    def to_py(data):
        return Data.to_py(data, frozen=True)


class Version:
    MAJOR, MINOR, PATCH = map(int, __version__.split("."))

    @staticmethod
    def string():
        return __version__

    @staticmethod
    def compatible(version):
        """Does a program built for `version` run with this one?"""
        return version[:2] == (Version.MAJOR, Version.MINOR)


def now():
    """The time in UTC."""
    return _datetime.datetime.now(utc)
