"""The demo itself; tools/demo builds and calls it with the path of bzmq-cli."""

import contextlib
import gzip
import hashlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

import zeek_values
from cli_processes import Node, Process

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOGS = ("dns.log.gz", "notice.log.gz", "software.log.gz", "known_services.log.gz")
RELAYS = ["relay-1", "relay-2", "relay-3", "relay-4", "relay-5"]
LINKS = [("relay-1", "relay-2"), ("relay-2", "relay-3"), ("relay-3", "relay-4"),
         ("relay-4", "relay-5"), ("relay-1", "relay-5"), ("relay-2", "relay-5")]
SOURCE = "relay-1"
SUBSCRIBERS = {"reader-3": "relay-3", "reader-4": "relay-4", "reader-5": "relay-5"}
VICTIM, WITNESS = "relay-2", "reader-3"
RATE = 5_000
WAIT = ("--timeout", "30")
DEADLINE = 58


def say(text=""):
    print(text, flush=True)


@contextlib.contextmanager
def undisturbed():
    """Puts signals off: one that comes while a process is started would leave that one behind."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def find_logs(scratch):
    folder = pathlib.Path(os.environ.get("BZMQ_ZEEK_LOGS", ROOT.parent / "shared/data/zeek-logs"))
    found = [folder / name for name in LOGS if (folder / name).exists()]
    if found:
        say(f"logs: {', '.join(path.name for path in found)} from {folder} (real traffic)")
        return found
    say(f"logs: none in {folder}, so generated ones")
    return [generate(scratch / "conn.log.gz", 40_000)]


def generate(path, count):
    """A log of connections as Zeek would write it."""
    rng = random.Random(7)
    with gzip.open(path, "wt") as out:
        out.write("#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n"
                  "#path\tconn\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto"
                  "\tservice\tduration\torig_bytes\tlocal_orig\ttunnel_parents\n#types\ttime\tstring"
                  "\taddr\tport\taddr\tport\tenum\tstring\tinterval\tcount\tbool\tset[string]\n")
        for i in range(count):
            service = rng.choice(["dns", "http", "ssl", "-"])
            out.write(f"{1_700_000_000 + i / 100:.6f}\tC{i:08x}\t10.0.{i % 256}.{rng.randrange(256)}"
                      f"\t{rng.randrange(1024, 65536)}\t192.0.2.{rng.randrange(256)}\t"
                      f"{rng.choice([53, 80, 443])}\t{rng.choice(['tcp', 'udp'])}\t{service}"
                      f"\t{rng.random():.6f}\t{rng.randrange(1 << 20)}\t{rng.choice('TF')}\t(empty)\n")
    return path


class Reader:
    """A subscriber: a digest, the time of arrival and the links crossed, for each message."""

    def __init__(self, binary, name, options):
        self.name = name
        self.digests, self.times, self.hops = [], [], []
        self.process = Process(binary, "sub", "/zeek/", "--json", "--name", name, *options,
                               keep=False, on_line=self.take)

    def take(self, line):
        now = time.monotonic()
        topic, data, hops = zeek_values.message_parts(line.decode())
        self.digests.append(digest(topic, data))
        self.times.append(now)
        self.hops.append(hops)


def digest(topic, data):
    return hashlib.blake2b(f"{topic}\0{data}".encode(), digest_size=16).digest()


class Demo:
    def __init__(self, binary, scratch):
        self.binary, self.scratch = binary, scratch
        self.begun = time.monotonic()
        self.processes, self.nodes = [], {}
        self.victim = self.writer = None
        (scratch / "allowed").mkdir()
        for name in [*RELAYS, *SUBSCRIBERS, "writer", "viewer"]:
            self.call("keygen", scratch / name)
            (scratch / "allowed" / f"{name}.key").write_text((scratch / f"{name}.key").read_text())

    def call(self, *arguments):
        with undisturbed():
            done = subprocess.run([self.binary, *map(str, arguments)], capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"bzmq-cli {' '.join(map(str, arguments))}: "
                             f"exit code {done.returncode}: {done.stderr}")
        return done.stdout

    def options(self, name, relay):
        return ("--peer", self.nodes[relay].url, "--cert", self.scratch / f"{name}.key_secret",
                "--server-key", self.scratch / f"{relay}.key")

    def start_relays(self):
        for name in RELAYS:
            peers = [a for a, b in LINKS if b == name]
            config = self.scratch / f"{name}.toml"
            config.write_text("link_cost = 10\n" + "".join(
                f'[[peers]]\nurl = "{self.nodes[peer].url}"\n'
                f'server_key = "{self.scratch / peer}.key"\n' for peer in peers))
            with undisturbed():
                node = Node(self.binary, name, "--cert", self.scratch / f"{name}.key_secret",
                            "--allow", self.scratch / "allowed", "--config", config)
                self.processes.append(node)
            self.nodes[name] = node
            node.await_peers(peers)

    def topology(self, nodes):
        return self.call("topology", "--nodes", nodes, "--name", "viewer", *WAIT,
                         *self.options("viewer", SOURCE)).rstrip()

    def check_children(self, writer_too):
        """Gives up where one has ended that should not; the writer may, once it is through."""
        for process in self.processes:
            code = process.process.poll()
            may_end = process is self.victim or (
                process is self.writer and (code == 0 or not writer_too))
            if code is not None and not may_end:
                raise SystemExit(f"demo: ended too early, with exit code {code}: {process}")

    def wait_until(self, condition, what, must=True):
        while not condition():
            self.check_children(writer_too=must)
            if time.monotonic() - self.begun > DEADLINE:
                if not must:
                    return
                raise SystemExit(f"demo: {what} did not happen within {DEADLINE} s")
            time.sleep(0.002)

    def run(self, logs):
        say(f"\nStarting {len(RELAYS)} relays, every link encrypted (CurveZMQ), ephemeral ports")
        self.start_relays()
        readers = {}
        for name, relay in SUBSCRIBERS.items():
            with undisturbed():
                readers[name] = Reader(self.binary, name, self.options(name, relay))
                self.processes.append(readers[name].process)
        say(f"Topology before, as an observer at {SOURCE} sees it:")
        say(self.topology(len(RELAYS) + len(readers) + 1))

        expected = [digest(f"/zeek/{name}", data)
                    for log in logs for name, data in zeek_values.expected_records(log)]
        say(f"\nReplaying {len(expected)} records at {SOURCE}, {RATE} a second, reliable, to "
            + ", ".join(f"{name} at {relay}" for name, relay in SUBSCRIBERS.items()))
        with undisturbed():
            writer = Process(self.binary, "replay", *logs, "--rate", RATE, f"--wait={len(readers)}",
                             "--json", "--name", "writer", *WAIT, *self.options("writer", SOURCE))
            self.processes.append(writer)
        self.writer = writer
        witness = readers[WITNESS]
        third = len(expected) // 3
        self.wait_until(lambda: len(witness.digests) >= third, "the first third")
        killed = time.monotonic()
        self.victim = self.nodes[VICTIM]
        os.kill(self.victim.process.pid, signal.SIGKILL)
        say(f"Killed {VICTIM} (kill -9), on the path to {WITNESS}, which had "
            f"{len(witness.digests)} records")
        usual = witness.hops[-1]
        self.wait_until(lambda: witness.hops[-1] != usual, "the reroute")
        view = self.topology(len(RELAYS) - 1 + len(readers) + 2)
        self.wait_until(lambda: all(len(r.digests) >= len(expected) for r in readers.values())
                        or writer.process.poll() not in (None, 0), "the end", must=False)
        code = writer.wait(10)
        say(f"Topology after:\n{view}\n")
        self.tell_reroute(witness, killed, usual)
        sent = json.loads(writer.rest()[0])
        say(f"\nsent      writer    {sent['records']} records in {sent['seconds']:.2f} s")
        good = code == 0 and sent["records"] == len(expected)
        # Whatever came twice would come late: end the subscribers before counting.
        for reader in readers.values():
            reader.process.end()
        for reader in readers.values():
            good &= self.verify(reader, expected)
        return good

    def tell_reroute(self, witness, killed, usual):
        first = next(i for i, hops in enumerate(witness.hops)
                     if hops != usual and witness.times[i] >= killed)
        gap = max(b - a for a, b in zip(witness.times[:-1], witness.times[1:]) if b >= killed)
        say(f"Rerouted in {(witness.times[first] - killed) * 1000:.1f} ms: from kill -9 until {WITNESS} "
            f"printed its first record that came over {witness.hops[first]} links instead of {usual}")
        say(f"Longest pause between two records at {WITNESS} since the kill: {gap * 1000:.1f} ms")

    def verify(self, reader, expected):
        got = reader.digests
        problems = []
        missing = len(set(expected)) - len(set(expected) & set(got))
        if missing:
            problems.append(f"{missing} different records missing")
        if len(got) != len(expected):
            problems.append(f"{len(expected)} expected")
        wrong = next((i for i, pair in enumerate(zip(got, expected)) if pair[0] != pair[1]), None)
        if wrong is not None:
            problems.append(f"record {wrong} differs or is out of order")
        say(f"received  {reader.name}  {len(got)} records: "
            + ("all, once, in order, every value as in the log" if not problems
               else "WRONG: " + ", ".join(problems)))
        return not problems

    def end(self):
        for process in reversed(self.processes):
            process.end()


def stop(*_):
    raise SystemExit(143)


def main():
    begun = time.monotonic()
    signal.signal(signal.SIGTERM, stop)  # Or relays and secret keys would stay.
    binary = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory(prefix="bzmq-demo-") as folder:
        scratch = pathlib.Path(folder)
        logs = find_logs(scratch)
        demo = Demo(binary, scratch)
        try:
            good = demo.run(logs)
        finally:
            demo.end()
    say(f"\n{'Everything arrived' if good else 'FAILED'}; {time.monotonic() - begun:.1f} s")
    return 0 if good else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
