"""Messages a second and round trips of bzmq in Python, beside pyzmq, in one run.

    python_bench.py [--seconds 1] [--rounds 5] [--json]

Each measurement is a pair of processes over loopback TCP without keys. pyzmq sends one message at a time by
an XPUB with XPUB_NODROP, so that neither loses any; bzmq with the policy `block`. "single" is one call for
each message at both ends; "batch" is `publish_many` of 1,000 and `get(1000)`. "face" is pyzmq's program with `import bzmq.zmq as zmq`, "back end"
the same without a change and PYZMQ_BACKEND=bzmq.pyzmq_backend. Rounds interleave; medians are shown, and the
worst and best round's ratio.
"""

import argparse
import importlib
import json
import multiprocessing
import os
import statistics
import time

SIZES = (64, 1024)
CHUNK = 1000


# -- Throughput -----------------------------------------------------------------------------------
# A receiver tells its place, counts what comes in, and tells messages a second at the end.

def receive_bzmq(pipe, batch):
    import bzmq
    with bzmq.Endpoint(log_level="error") as node:
        subscriber = node.make_bytes_subscriber("t", overflow="block")
        node.listen("127.0.0.1", 0)
        pipe.send(node.listeners()[0])
        count, began = 0, None
        while True:
            messages = subscriber.get(CHUNK, 10.0) if batch else (subscriber.get(),)
            if began is None:
                began = time.perf_counter()
            count += len(messages)
            if messages[-1][1] == b"end":
                break
        pipe.send((count - CHUNK if batch else count - 1) / (time.perf_counter() - began))


def send_bzmq(url, size, seconds, batch):
    import bzmq
    payload = b"x" * size
    with bzmq.Endpoint(log_level="error", peer_overflow="block", subscriber_overflow="block") as node:
        node.peer_url(url)
        node.wait_for_subscriber("t")
        publisher = node.make_publisher("t")
        end = time.perf_counter() + seconds
        chunk = [payload] * CHUNK
        while time.perf_counter() < end:
            if batch:
                publisher.publish_many(chunk)
            else:
                publish = publisher.publish
                for each in chunk:
                    publish(each)
        # A full chunk, since the receiver waits for that.
        publisher.publish_many([b"end"] * CHUNK)
        # Until the receiver has it all: it ends then.
        while node.peers() and node.peers()[0].state == 2:
            time.sleep(0.01)


def receive_pyzmq(pipe, batch, zmq="zmq"):
    zmq = importlib.import_module(zmq)
    context = zmq.Context()
    socket = context.socket(zmq.SUB)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    socket.subscribe(b"t")
    pipe.send(f"tcp://127.0.0.1:{port}")
    count, began = 0, None
    while True:
        topic, payload = socket.recv_multipart()
        if began is None:
            began = time.perf_counter()
        count += 1
        if payload == b"end":
            break
    pipe.send((count - 1) / (time.perf_counter() - began))
    context.destroy(0)


def send_pyzmq(url, size, seconds, batch, zmq="zmq"):
    zmq = importlib.import_module(zmq)
    context = zmq.Context()
    socket = context.socket(zmq.XPUB)
    socket.setsockopt(zmq.XPUB_NODROP, 1)
    socket.connect(url)
    socket.recv()  # the subscription
    message = [b"t", b"x" * size]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for _ in range(CHUNK):
            socket.send_multipart(message)
    socket.send_multipart([b"t", b"end"])
    socket.close(10_000)
    context.term()


# The same program with the one changed import.

def receive_face(pipe, batch):
    receive_pyzmq(pipe, batch, "bzmq.zmq")


def send_face(url, size, seconds, batch):
    send_pyzmq(url, size, seconds, batch, "bzmq.zmq")


# The same program unchanged, its sockets carried. Both processes are new and import zmq after this.

def _as_back_end():
    os.environ.update(PYZMQ_BACKEND="bzmq.pyzmq_backend", BZMQ_PYZMQ="all")


def receive_back_end(pipe, batch):
    _as_back_end()
    receive_pyzmq(pipe, batch)


def send_back_end(url, size, seconds, batch):
    _as_back_end()
    send_pyzmq(url, size, seconds, batch)


def throughput(receive, send, size, seconds, batch):
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    receiver = spawn.Process(target=receive, args=(theirs, batch))
    receiver.start()
    url = ours.recv()
    sender = spawn.Process(target=send, args=(url, size, seconds, batch))
    sender.start()
    rate = ours.recv()
    sender.join()
    receiver.join()
    return rate


# -- Round trips ----------------------------------------------------------------------------------

def echo_bzmq(pipe):
    import bzmq
    with bzmq.Endpoint(log_level="error") as node:
        subscriber = node.make_bytes_subscriber("ping")
        node.listen("127.0.0.1", 0)
        pipe.send(node.listeners()[0])
        while True:
            payload = subscriber.get()[1]
            node.publish("pong", payload)
            if payload == b"end":
                pipe.recv()
                return


def ping_bzmq(url, count):
    import bzmq
    with bzmq.Endpoint(log_level="error") as node:
        subscriber = node.make_bytes_subscriber("pong")
        node.peer_url(url)
        node.wait_for_subscriber("ping")
        subscriber.wait_ready()
        times = []
        for i in range(count + 1):
            began = time.perf_counter()
            node.publish("ping", b"x" * 64 if i < count else b"end")
            subscriber.get()
            times.append(time.perf_counter() - began)
    return times


def echo_pyzmq(pipe):
    import zmq
    context = zmq.Context()
    socket = context.socket(zmq.ROUTER)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    pipe.send(f"tcp://127.0.0.1:{port}")
    while True:
        parts = socket.recv_multipart()
        socket.send_multipart(parts)
        if parts[1] == b"end":
            pipe.recv()
            return


def ping_pyzmq(url, count):
    import zmq
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.connect(url)
        times = []
        for i in range(count + 1):
            began = time.perf_counter()
            socket.send(b"x" * 64 if i < count else b"end")
            socket.recv()
            times.append(time.perf_counter() - began)
    return times


def round_trip(echo, ping, count=2000):
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=echo, args=(theirs,))
    process.start()
    times = ping(ours.recv(), count)
    ours.send("end")
    process.join()
    return statistics.median(times[100:]) * 1e6


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seconds", type=float, default=1)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--json", action="store_true")
    chosen = arguments.parse_args()
    found = {}

    def note(name, value):
        found.setdefault(name, []).append(value)

    for _ in range(chosen.rounds):
        for size in SIZES:
            for name, receive, send, batch in (("pyzmq", receive_pyzmq, send_pyzmq, False),
                                               ("face single", receive_face, send_face, False),
                                               ("back end single", receive_back_end, send_back_end,
                                                False),
                                               ("bzmq single", receive_bzmq, send_bzmq, False),
                                               ("bzmq batch", receive_bzmq, send_bzmq, True)):
                note(f"{name} {size} B", throughput(receive, send, size, chosen.seconds, batch))
        note("pyzmq round trip", round_trip(echo_pyzmq, ping_pyzmq))
        note("bzmq round trip", round_trip(echo_bzmq, ping_bzmq))
    medians = {name: statistics.median(values) for name, values in found.items()}
    if chosen.json:
        print(json.dumps({"medians": medians, "all": found}))
        return
    for name, value in medians.items():
        trip = name.endswith("round trip")
        base = "pyzmq round trip" if trip else "pyzmq " + " ".join(name.split()[-2:])
        ratios = [a / b for a, b in zip(found[name], found[base])]
        print(f"{name:22} {value:12,.0f} {'us p50' if trip else 'messages/s':10} "
              f"{statistics.median(ratios):6.2f}x ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
