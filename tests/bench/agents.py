#!/usr/bin/python3
"""Agents behind gateways: memory, the storm of connections, the one after the gateways' restart.

Usage: agents.py [--agents N] [--gateways N] [--build FOLDER]

Starts a node, `bzmq-cli gateway` N times with one side to it and one for a group of agents, and
for each a process of example_agents. Then: an order reaches every agent; all gateways are killed
with SIGKILL and started again; all agents come back and hear another order. Prints one JSON object. Exit status 1 where
anything of it does not happen in time.
"""

import argparse
import json
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tools/dev"))

from cli_processes import Node, Process  # noqa: E402

WAIT_S = 240
# One machine plays all of them at the same time: silence is no sign of death there.
PATIENT = ('connect_timeout = "30s"\nhandshake_timeout = "30s"\nheartbeat_interval = "5s"\n'
           'peer_timeout = "20s"\n')


class Gateway(Process):
    def __init__(self, cli, folder, number):
        super().__init__(cli, "gateway", folder / "inside.toml", folder / f"agents-{number}.toml",
                         "--json", "--from-one", "/agents/")
        self.event("ready", domain=f"agents-{number}")


def memory_kib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def order(cli, hub, processes, gateways):
    """How long it takes until all agents have heard an order."""
    began = time.monotonic()
    sent = subprocess.run([str(cli), "pub", "/agents/all/report", "now", "--peer", hub.url,
                           f"--wait={gateways}", "--reliable", "--timeout", "60", "--bzmq.domain=inside"],
                          capture_output=True, timeout=120, check=False)
    assert sent.returncode == 0, sent.stderr.decode()
    for process in processes:
        process.event("heard", WAIT_S)
    return round(time.monotonic() - began, 3)


def run(agents, count, cli, program, folder):
    running = []
    try:
        hub = Node(cli, "hub", "--bzmq.domain=inside", "--bzmq.peer-timeout=20s")
        running.append(hub)
        (folder / "inside.toml").write_text(f'domain = "inside"\npeers = ["{hub.url}"]\n{PATIENT}')
        # Fixed addresses, since agents must find a gateway's next life at the same one.
        urls = [f"ipc://{folder}/gateway-{i}" for i in range(count)]
        for i, url in enumerate(urls):
            (folder / f"agents-{i}.toml").write_text(
                f'domain = "agents-{i}"\nlisten = ["{url}"]\n{PATIENT}')
        gateways = [Gateway(cli, folder, i) for i in range(count)]
        running += gateways
        share = agents // count
        began = time.monotonic()
        processes = [Process(program, url, share, i * share, f"agents-{i}")
                     for i, url in enumerate(urls)]
        running += processes
        for process in processes:
            process.event("connected", WAIT_S)
        connect = time.monotonic() - began
        memory = sum(process.event("ready", WAIT_S)["rss_kib"] for process in processes)
        heard = order(cli, hub, processes, count)
        gateway_memory = sum(memory_kib(gateway.process.pid) for gateway in gateways)
        for gateway in gateways:
            gateway.signal(signal.SIGKILL)
        for gateway in gateways:
            gateway.wait()
        began = time.monotonic()
        running += [Gateway(cli, folder, i) for i in range(count)]
        for process in processes:
            process.event("connected", WAIT_S)
        reconnect = time.monotonic() - began
        for process in processes:
            process.event("ready", WAIT_S)
        again = order(cli, hub, processes, count)
        return {"agents": share * count, "gateways": count, "connect_s": round(connect, 2),
                "kib_per_agent": round(memory / (share * count)),
                "mib_per_gateway": round(gateway_memory / 1024 / count, 1), "order_s": heard,
                "reconnect_s": round(reconnect, 2), "order_after_s": again}
    finally:
        for process in reversed(running):
            process.process.kill()
            process.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--agents", type=int, default=2000)
    parser.add_argument("--gateways", type=int, default=20)
    parser.add_argument("--build", type=pathlib.Path, default=SOURCE / "build/dev")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # Ends what it started also then.
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bz"))
    try:
        print(json.dumps(run(given.agents, given.gateways, given.build / "tools/bzmq-cli",
                             given.build / "examples/example_agents", folder)))
    except AssertionError as failed:
        print(str(failed)[-2000:], file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
