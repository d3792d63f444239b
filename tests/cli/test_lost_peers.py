"""What becomes of a peer whose process stops, or is killed: real processes over real sockets."""

import signal
import time

from support import OK, WAIT, Node, run

PEER_TIMEOUT = 3  # Seconds: the default of the option peer_timeout.


def two_peers(start, dialled):
    """A node that stays, and one for the test to hurt, in either direction of the link."""
    if dialled:
        victim = start("victim", kind=Node)
        watcher = start("watcher", kind=Node, peers=[victim.url])
    else:
        watcher = start("watcher", kind=Node)
        victim = start("victim", kind=Node, peers=[watcher.url])
    watcher.event("peer_added", name="victim")
    victim.event("peer_added", name="watcher")
    return watcher, victim


def test_a_stopped_process_is_lost_within_the_peer_timeout_and_comes_back(start):
    for dialled in (False, True):
        watcher, victim = two_peers(start, dialled)
        victim.signal(signal.SIGSTOP)
        stopped = time.monotonic()
        try:
            lost = watcher.event("peer_lost", name="victim")
            took = time.monotonic() - stopped
            assert lost["id"] == victim.id
            assert "is silent" in lost["message"]
            # A heartbeat may have been on its way; and this machine may be busy.
            assert PEER_TIMEOUT - 1.5 < took < PEER_TIMEOUT + 5
            watcher.event("endpoint_unreachable", name="victim")
        finally:
            victim.signal(signal.SIGCONT)
        back = watcher.event("peer_added", name="victim", timeout=60)
        assert back["id"] == victim.id, "the same process, with all that it knew"
        seen = run("topology", "--peer", victim.url, "--nodes", "3", "--json", *WAIT)
        assert seen.returncode == OK, seen.stderr


def test_a_killed_process_is_lost_at_once(start):
    for dialled in (False, True):
        watcher, victim = two_peers(start, dialled)
        victim.signal(signal.SIGKILL)
        killed = time.monotonic()
        watcher.event("peer_lost", name="victim")
        assert time.monotonic() - killed < PEER_TIMEOUT - 0.5, "no time-out is needed for that"
        watcher.event("endpoint_unreachable", name="victim")
