"""Topics: names with parts between slashes."""

import functools

__all__ = ["Topic", "topic_text"]


@functools.total_ordering
class Topic:
    """The name under which a message is published: `Topic("/a") / "b"` is "/a/b".

    Whoever subscribes names a prefix, byte by byte: "/node/1" also matches "/node/10". End a prefix
    with its separator (`as_prefix`) to match that branch only.
    """

    __slots__ = ("_name",)
    separator = "/"

    def __init__(self, name=""):
        self._name = topic_text(name)

    def string(self):
        return self._name

    def split(self):
        """The parts between separators, empty ones left out."""
        return [part for part in self._name.split("/") if part]

    @staticmethod
    def join(parts):
        return Topic("/".join(parts))

    def as_prefix(self):
        """This topic with one separator at its end."""
        return Topic(self._name.rstrip("/") + "/")

    def prefix_of(self, other):
        """True where a message with topic `other` reaches a subscriber of this one."""
        return topic_text(other).startswith(self._name)

    def __truediv__(self, part):
        return Topic(self._name.rstrip("/") + "/" + topic_text(part).lstrip("/"))

    def __str__(self):
        return self._name

    def __repr__(self):
        return f"Topic({self._name!r})"

    def __eq__(self, other):
        if isinstance(other, (Topic, str)):
            return self._name == str(other)
        return NotImplemented

    def __lt__(self, other):
        if isinstance(other, (Topic, str)):
            return self._name < str(other)
        return NotImplemented

    def __hash__(self):
        return hash(self._name)

    def __bzmq_data__(self):
        return self._name


def topic_text(topic):
    """A topic as str; bytes that are not UTF-8 become lone surrogates, as in file names."""
    if isinstance(topic, bytes):
        return topic.decode("utf-8", "surrogateescape")
    if isinstance(topic, (str, Topic)):
        return str(topic)
    raise TypeError(f"a topic is a str, bytes or Topic, not {type(topic).__name__}")


def topic_list(topics):
    """One topic, or any iterable of them, as a list."""
    if isinstance(topics, (str, bytes, Topic)):
        return [topic_text(topics)]
    return [topic_text(topic) for topic in topics]
