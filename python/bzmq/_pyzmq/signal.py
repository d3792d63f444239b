"""The descriptor that pyzmq's programs watch.

libzmq's is signalled on each change, and a look at EVENTS, a send or a recv takes the signal back. An epoll
descriptor whose members are edge-triggered does just that: it is readable from an edge until somebody
collects it.
"""

import select

__all__ = ["Signal"]


class Signal:
    def __init__(self, libzmq_fd):
        self._epoll = select.epoll(4)
        # Level-triggered: it is libzmq's own, which has its own manners. It tells of the context's end,
        # and until the socket is carried, of everything.
        self._epoll.register(libzmq_fd, select.EPOLLIN)

    def fileno(self):
        return self._epoll.fileno()

    def watch(self, fd):
        """From now on each time that `fd` becomes readable is a signal; also if it is so already."""
        self._epoll.register(fd, select.EPOLLIN | select.EPOLLET)

    def clear(self):
        """Takes signals back. To be called before a look at what there is, so that none is lost."""
        self._epoll.poll(0, 4)

    def close(self):
        self._epoll.close()
