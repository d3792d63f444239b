"""Runs bzmq-cli as real processes, for tests and the demo. Ends only what it started."""

import json
import os
import queue
import signal
import subprocess
import threading
import time


class Process:
    """One bzmq-cli. Its lines of output come in a queue, stamped with the time of arrival."""

    def __init__(self, binary, *arguments, stdin=None, keep=True, on_line=None):
        self.arguments = [str(argument) for argument in arguments]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("BZMQ_")}
        self.process = subprocess.Popen(
            [str(binary), *self.arguments], env=environment, stdin=stdin or subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=1 << 20)
        self.lines = queue.Queue()
        self.seen = []
        self.errors = []
        self._keep = keep
        self._on_line = on_line
        self._readers = [threading.Thread(target=self._read_output, daemon=True),
                         threading.Thread(target=self._read_errors, daemon=True)]
        for reader in self._readers:
            reader.start()

    def _read_output(self):
        for line in self.process.stdout:
            if self._on_line:
                self._on_line(line)
            if self._keep:
                self.lines.put((time.monotonic(), line.rstrip(b"\n")))
        self.lines.put((time.monotonic(), None))

    def _read_errors(self):
        for line in self.process.stderr:
            self.errors.append(line.decode(errors="replace"))

    def line(self, timeout=30):
        """The next line of output; None at its end."""
        try:
            stamp, line = self.lines.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"no output within {timeout} s from {self}") from None
        self.seen.append(line)
        return line

    def event(self, kind, timeout=30, **fields):
        """Waits for a JSON event of a node."""
        deadline = time.monotonic() + timeout
        while True:
            line = self.line(max(0.01, deadline - time.monotonic()))
            assert line is not None, f"ended before {kind}: {self}"
            event = json.loads(line)
            if event["event"] == kind and all(event.get(k) == v for k, v in fields.items()):
                return event

    def rest(self, timeout=60):
        """All further lines until the end of the output."""
        out = []
        while (line := self.line(timeout)) is not None:
            out.append(line)
        return out

    def wait(self, timeout=60):
        code = self.process.wait(timeout)
        for reader in self._readers:
            reader.join(timeout)
        return code

    def signal(self, number=signal.SIGINT):
        self.process.send_signal(number)
        if number == signal.SIGSTOP and self.process.poll() is None:
            # Until its last thread has stopped it still answers.
            os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def error_text(self):
        return "".join(self.errors)

    def end(self):
        """For good, whatever state it is in; false where it did not heed SIGTERM."""
        heeded = True
        if self.process.poll() is None:
            self.process.terminate()
            self.process.send_signal(signal.SIGCONT)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                heeded = False
                self.process.kill()
                self.process.wait()
        for reader in self._readers:
            reader.join(10)
        return heeded

    def __str__(self):
        tail = self.seen[-5:]
        return f"bzmq-cli {' '.join(self.arguments)}: {self.error_text()[-2000:]} ... {tail}"


class Node(Process):
    """`bzmq-cli node --json` on an ephemeral port."""

    def __init__(self, binary, name, *arguments, peers=()):
        peering = [part for url in peers for part in ("--peer", url)]
        super().__init__(binary, "node", "--json", "--name", name,
                         "--listen", "tcp://127.0.0.1:0", *peering, *arguments)
        self.name = name
        try:
            self.url = self.event("listening")["url"]
            self.id = self.event("ready")["id"]
        except BaseException:
            self.end()  # Nobody else knows of it yet.
            raise

    def await_peers(self, names, timeout=30):
        """Waits until peerings with all of these stand, in whatever order they come."""
        missing = set(names)
        deadline = time.monotonic() + timeout
        while missing:
            missing.discard(self.event("peer_added", deadline - time.monotonic())["name"])
