"""A ZeroMQ message as an overlay message, and back.

The first frame goes into the topic, behind a marker; what follows it is the value: none, one string, or a
vector of strings. So `PUB.send_multipart([b"weather/rome", b"21"])` is the topic "zmq/weather/rome" with the
value "21" to every other bzmq program, and the other way round. A first frame of `HEAD_MAX` bytes or more
is cut there, and the value is a vector that begins with the rest of it.
"""

from .. import _bzmq

__all__ = ["HEAD_MAX", "MARKER", "MESSAGE_MAX", "decode", "encode", "topic_of"]

MARKER = b"zmq/"
HEAD_MAX = 255
MESSAGE_MAX = 64 << 20  # bytes of a message, an endpoint's longest

_FULL = len(MARKER) + HEAD_MAX


def encode(parts):
    """(topic, value) of a message, a non-empty list of bytes."""
    head = parts[0]
    if len(head) < HEAD_MAX:
        if len(parts) == 1:
            return MARKER + head, None
        if len(parts) == 2:
            return MARKER + head, parts[1]
        return MARKER + head, tuple(parts[1:])
    return MARKER + head[:HEAD_MAX], (head[HEAD_MAX:], *parts[1:])


def decode(topic, value):
    """The frames of a message that a bytes subscriber yielded. What no PUB has sent, but another bzmq
    program, comes as JSON where it is not a string."""
    kind = type(value)
    if kind is tuple:
        parts = [each if type(each) is bytes else _json(each) for each in value]
        if len(topic) < _FULL:
            return [topic[len(MARKER):], *parts]
        return [topic[len(MARKER):] + (parts[0] if parts else b""), *parts[1:]]
    if value is None:
        return [topic[len(MARKER):]]
    return [topic[len(MARKER):], value if kind is bytes else _json(value)]


def topic_of(prefix):
    """The overlay topic that a subscription to `prefix` needs. Where `prefix` is longer than what fits in a
    topic, the receiver looks at the whole frame."""
    return MARKER + prefix[:HEAD_MAX]


def _json(value):
    return _bzmq.Data(value).to_json().encode()
