"""The enumerations of bzmq, by the names that Python programs know. The numbers are permanent."""

import enum

__all__ = ["APIFlags", "Backend", "DataType", "EC", "Frontend", "OverflowPolicy", "PeerFlags",
           "PeerStatus", "SC"]


class EC(enum.IntEnum):
    """What kind of failure an `Error` is."""

    NoError = 0
    Unspecified = 1
    PeerIncompatible = 2
    PeerInvalid = 3
    PeerUnavailable = 4
    PeerDisconnectDuringHandshake = 5
    PeerTimeout = 6
    MasterExists = 7
    NoSuchMaster = 8
    NoSuchKey = 9
    RequestTimeout = 10
    TypeClash = 11
    InvalidData = 12
    BackendFailure = 13
    StaleData = 14
    CannotOpenFile = 15
    CannotWriteFile = 16
    InvalidTopic = 17
    NoPathToPeer = 18
    QueueFull = 19
    MessageTooBig = 20
    ShuttingDown = 21
    PeerNotAuthenticated = 22
    RedundantConnection = 23
    AddressInUse = 24
    InvalidAddress = 25
    InvalidConfiguration = 26
    InsecureListener = 27
    InvalidJson = 28
    InvalidCertificate = 29
    DeserializationFailed = 30
    Cancelled = 31
    KeyExists = 32
    RevisionMismatch = 33
    Forbidden = 34

    RequestTimeOut = 10  # The tradition's spelling.


class SC(enum.IntEnum):
    """What a `Status` tells."""

    Unspecified = 0
    PeerAdded = 1
    PeerRemoved = 2
    PeerLost = 3
    EndpointDiscovered = 4
    EndpointUnreachable = 5
    StorePromoted = 6
    StoreStale = 7
    StoreFresh = 8


class PeerStatus(enum.IntEnum):
    """How a peering stands."""

    Connecting = 0
    Handshake = 1
    Peered = 2
    Waiting = 3  #: for the next attempt

    # The tradition's names.
    Initialized = 0
    Connected = 1
    Disconnected = 3
    Reconnecting = 3


class PeerFlags(enum.IntFlag):
    """Where a peer is, and who dialled."""

    Invalid = 0
    Local = 1
    Remote = 2
    Outbound = 4
    Inbound = 8


class APIFlags(enum.IntEnum):
    """Names that older programs know. Nothing takes them: which calls wait, their names tell."""

    Blocking = 1
    NonBlocking = 2


class Backend(enum.IntEnum):
    """Where a master keeps its state."""

    Memory = 0
    LMDB = 1

    SQLite = 1  # The tradition's durable one; "path" names a folder here.


class Frontend(enum.IntEnum):
    Master = 0
    Clone = 1


class OverflowPolicy(str, enum.Enum):
    """What happens to a message that finds a queue full."""

    Block = "block"
    DropNewest = "drop_newest"
    DropOldest = "drop_oldest"
    Disconnect = "disconnect"

    __str__ = str.__str__


class DataType(enum.IntEnum):
    """The types of values, in their order."""

    Nil = 0
    Boolean = 1
    Count = 2
    Integer = 3
    Real = 4
    String = 5
    Address = 6
    Subnet = 7
    Port = 8
    Timestamp = 9
    Timespan = 10
    EnumValue = 11
    Set = 12
    Table = 13
    Vector = 14
