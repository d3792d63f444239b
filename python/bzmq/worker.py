"""Messages to a callback."""

import threading

from .waiting import Deadline

__all__ = ["Worker"]


class Worker:
    """A subscription whose messages go to a callback, on a thread of its own. Lives on without this handle,
    until `stop` or the end of its endpoint."""

    def __init__(self, subscriber, on_next, on_init, on_end):
        self._subscriber = subscriber
        self._thread = threading.Thread(target=self._run, args=(on_next, on_init, on_end),
                                        name="bzmq-worker", daemon=True)
        self._thread.start()

    def stop(self):
        """Ends the subscription; `on_end` follows. May be called from a callback."""
        self._subscriber.close()

    def wait(self, timeout=None):
        """Waits until `on_end` has returned; False at the timeout. At once in a callback, with False."""
        if self._thread is threading.current_thread():
            return False
        self._thread.join(Deadline(timeout).left())
        return not self._thread.is_alive()

    def dropped(self):
        """Messages given up because its queue was full."""
        return self._subscriber.dropped()

    def _run(self, on_next, on_init, on_end):
        problem = None
        try:
            if on_init is not None:
                on_init()
            for message in self._subscriber:
                on_next(message)
        except BaseException as failed:  # SystemExit, too: nobody reads from now on.
            problem = failed
            self._subscriber.close()
        if on_end is not None:
            on_end(problem or self._subscriber.last_error())
        elif problem is not None:
            raise problem  # Nobody else would hear of it: threading.excepthook shows it.
