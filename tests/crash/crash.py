"""Kills a durable master with SIGKILL again and again while ten threads of it and of a clone write
at full speed, and judges after each restart what is there:

    crash.py PROCESS [--rounds 200] [--seed N] [--durability MODE] [--folder PATH] [--json]

- every write whose acknowledgement had left the killed process is there, and of each writer's
  writes exactly the first so many: nothing lost, nothing out of order, no half batch;
- nothing is there that was never written;
- a clone's writes, which wait while the master is away, take effect exactly once;
- a clone never shows half a batch, nor anything that the restarted master does not know.

A killed process keeps what it gave to the operating system: this says nothing about a power cut.
"""

import argparse
import json
import os
import pathlib
import random
import selectors
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time

RECORD = struct.Struct("<HHIQ")
READY, FACT, ACKNOWLEDGED, DONE = 1, 2, 3, 4

# As in store_process.cpp.
WINDOW = 16
SLOTS = 64
LEFT, RIGHT, COUNTER = 1000, 1001, 1002
MASTER_WRITERS = 8
COUNTERS = (6, 7, 8)
BATCHES = (0, 1, 2, 3, 9)
CLONE_COUNTER, CLONE_BATCHES = 8, 9
WRITERS = range(10)

PATIENCE = 60
LONGEST_RUN = 0.4
STARTUP = 0.15


class Broken(Exception):
    """A promise was not kept."""


class Child:
    """A store_process, and what it has told."""

    def __init__(self, binary, *arguments):
        self.process = subprocess.Popen([binary, *map(str, arguments)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.buffer = b""
        self.ended = False

    def records(self):
        """What has come since the last call."""
        while True:
            try:
                more = os.read(self.process.stdout.fileno(), 1 << 20)
            except BlockingIOError:
                break
            if not more:
                self.ended = True
                break
            self.buffer += more
        whole = len(self.buffer) // RECORD.size * RECORD.size
        now, self.buffer = self.buffer[:whole], self.buffer[whole:]
        return RECORD.iter_unpack(now)

    def finish(self):
        self.process.stdin.close()

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Judge:
    """Knows what was acknowledged, and compares."""

    def __init__(self):
        self.acknowledged = dict.fromkeys(WRITERS, 0)
        self.total = dict.fromkeys(WRITERS, 0)
        self.facts = {}
        self.found = {}

    def acknowledge(self, writer, number):
        if number != self.acknowledged[writer] + 1:
            raise Broken(f"writer {writer}: {number} acknowledged after {self.acknowledged[writer]}")
        self.acknowledged[writer] = number
        self.total[writer] += 1

    def fact(self, writer, slot, value):
        self.facts[writer, slot] = value

    def newest(self, writer):
        """The newest of a writer's writes that is there; all before it must be there as well."""
        if writer in COUNTERS:
            return self.facts[writer, COUNTER]
        values = [self.facts[writer, slot] for slot in range(SLOTS)]
        newest = max(values)
        if writer in BATCHES:
            halves = self.facts[writer, LEFT], self.facts[writer, RIGHT]
            if halves != (newest, newest):
                raise Broken(f"writer {writer}: half a batch: {halves} and {newest}")
        for slot, value in enumerate(values):
            due = newest - (newest - slot) % SLOTS
            if value != max(due, 0):
                raise Broken(f"writer {writer}: of {newest} writes slot {slot} has {value}, "
                             f"not {max(due, 0)}")
        return newest

    def judge(self, before_start):
        """After a restart. The clone writes on meanwhile: what it may have sent shows later."""
        for writer in WRITERS:
            before = self.found.get(writer)
            if writer >= MASTER_WRITERS and before is not None \
                    and before > self.acknowledged[writer] + WINDOW:
                raise Broken(f"writer {writer}: {before} was there, more than it can have sent")
            newest = self.newest(writer)
            least = before_start[writer]
            if newest < least:
                raise Broken(f"writer {writer}: {least} was acknowledged, {newest} is there")
            if writer < MASTER_WRITERS:
                if newest > least + WINDOW:
                    raise Broken(f"writer {writer}: {newest} is there, {least} was acknowledged")
                self.acknowledged[writer] = newest  # It goes on behind that.
            self.found[writer] = newest
        self.facts.clear()


class Test:
    def __init__(self, options):
        self.options = options
        self.random = random.Random(options.seed)
        self.judge = Judge()
        self.restarts = []
        self.returns = []
        self.kills = {"while it wrote": 0, "while it started": 0}
        self.ready_value = None
        self.is_ready = False
        self.is_done = False
        self.clone = Child(options.process, "clone")
        self.master = None
        self.pump(lambda: self.ready_value is not None, "the clone to listen", [self.clone])
        self.port = self.ready_value

    def take(self, child):
        for kind, writer, slot, value in child.records():
            if kind == ACKNOWLEDGED:
                self.judge.acknowledge(writer, value)
            elif kind == FACT:
                self.judge.fact(writer, slot, value)
            elif kind == READY:
                self.ready_value = value
                if child is self.master:
                    self.is_ready = True
                    self.judge.judge(self.before)
            elif kind == DONE:
                self.is_done = True

    def pump(self, until, what, children=None, patience=PATIENCE):
        """Reads what the processes tell until a condition holds; without one, until the time is
        over."""
        children = children or [self.clone, self.master]
        deadline = time.monotonic() + patience
        with selectors.DefaultSelector() as selector:
            for child in children:
                selector.register(child.process.stdout, selectors.EVENT_READ, child)
            while until is None or not until():
                left = deadline - time.monotonic()
                if left <= 0:
                    if until is None:
                        return
                    raise Broken(f"waited {patience} s for {what}")
                for key, _ in selector.select(left):
                    self.take(key.data)
                    if key.data.ended:
                        if until is not None and until():
                            return
                        raise Broken(f"{key.data.process.args[1]} ended by itself, with code "
                                     f"{key.data.process.wait()}")

    def start_master(self, writers):
        self.take(self.clone)
        self.before = dict(self.judge.acknowledged)
        self.is_ready = False
        self.judge.facts.clear()
        self.started = time.monotonic()
        self.master = Child(self.options.process, "master", self.folder, self.port, writers,
                            self.options.durability)

    def await_master(self):
        self.pump(lambda: self.is_ready, "the master to start")
        self.restarts.append(time.monotonic() - self.started)

    def kill(self):
        self.master.process.send_signal(signal.SIGKILL)
        self.master.process.wait()
        # What it told before it died counts.
        while not self.master.ended:
            self.take(self.master)
        self.master.process.stdout.close()
        self.master.process.stdin.close()

    def round(self, number):
        self.start_master(MASTER_WRITERS)
        if self.random.random() < 1 / 8:
            self.pump(None, "", patience=self.random.random() * STARTUP)
            self.kills["while it started"] += 1
            self.kill()
            return
        self.await_master()
        totals = dict(self.judge.total)
        moved = lambda writers: any(self.judge.total[w] > totals[w] for w in writers)
        self.pump(lambda: moved(range(MASTER_WRITERS)), "a write at the master")
        if self.random.random() < 1 / 2:
            self.pump(lambda: moved([CLONE_COUNTER, CLONE_BATCHES]), "a write at the clone")
            self.returns.append(time.monotonic() - self.started)
        self.pump(None, "", patience=self.random.random() * LONGEST_RUN)
        self.kills["while it wrote"] += 1
        self.kill()
        if number % 20 == 0 and not self.options.json:
            print(f"round {number}: {sum(self.judge.total.values())} writes acknowledged",
                  flush=True)

    def finish(self):
        """With a master that writes nothing, the clone's writes come to an end."""
        self.start_master(0)
        self.await_master()
        self.clone.finish()
        self.pump(lambda: self.is_done, "the clone to finish")
        if self.clone.process.wait(PATIENCE) != 0:
            raise Broken("the clone did not end well")
        self.is_done = False
        self.judge.facts.clear()
        self.master.finish()
        self.pump(lambda: self.is_done, "the master to finish", [self.master])
        for writer in WRITERS:
            newest, acknowledged = self.judge.newest(writer), self.judge.acknowledged[writer]
            if newest != acknowledged:
                raise Broken(f"writer {writer}: {acknowledged} writes acknowledged, {newest} done")

    def run(self):
        with tempfile.TemporaryDirectory(dir=self.options.folder) as scratch:
            self.folder = pathlib.Path(scratch) / "s"
            try:
                for number in range(1, self.options.rounds + 1):
                    self.round(number)
                self.finish()
            finally:
                for child in (self.clone, self.master):
                    if child is not None:
                        child.end()

    def figures(self):
        total = self.judge.total
        return {
            "rounds": self.options.rounds, "seed": self.options.seed,
            "durability": self.options.durability, "kills": self.kills,
            "acknowledged at the master": sum(total[w] for w in range(MASTER_WRITERS)),
            "acknowledged at the clone": sum(total[w] for w in (CLONE_COUNTER, CLONE_BATCHES)),
            "start to ready ms": spread(self.restarts),
            "start to the clone's first acknowledgement ms": spread(self.returns)}


def spread(seconds):
    if not seconds:
        return None
    return {"median": round(statistics.median(seconds) * 1000, 1),
            "max": round(max(seconds) * 1000, 1)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("process")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--durability", choices=("sync", "group", "async"), default="group")
    parser.add_argument("--folder", help="where to make the store; a folder on a real disk")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    test = Test(options)
    begun = time.monotonic()
    try:
        test.run()
    except Broken as why:
        print(f"seed {options.seed}: {why}", file=sys.stderr)
        return 1
    figures = test.figures() | {"seconds": round(time.monotonic() - begun, 1)}
    if options.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name}: {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
