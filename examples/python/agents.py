"""A gateway with agents: a cluster, and a domain beside it whose members see the gateway alone.

    agents.py [CLI]

CLI is the program bzmq-cli, which runs the gateway. Each agent hears what the cluster says to all or
to it, and answers; nobody in the cluster sees an agent in its topology, and no agent sees another one.
"""

import contextlib
import json
import pathlib
import subprocess
import sys
import tempfile

import bzmq

COUNT = 5


@contextlib.contextmanager
def gateway(cli, cluster_url):
    """Yields the URL at which agents reach it."""
    with tempfile.TemporaryDirectory() as folder:
        inside, outside = pathlib.Path(folder, "inside.toml"), pathlib.Path(folder, "outside.toml")
        inside.write_text(f'name = "gateway"\ndomain = "cluster"\npeers = ["{cluster_url}"]\n')
        outside.write_text('name = "gateway"\ndomain = "agents"\nhide_peers = true\n'
                           'listen = ["tcp://127.0.0.1:0"]\n')
        with subprocess.Popen([cli, "gateway", inside, outside, "--json"],
                              stdout=subprocess.PIPE, text=True) as process:
            try:
                events = map(json.loads, process.stdout)
                yield next(each["url"] for each in events if each["event"] == "listening")
            finally:
                process.terminate()


def answer(agent, name):
    def on_next(message):
        _, value = message
        agent.publish(f"/agents/answer/{name}", value, reliable=True)
    return agent.subscribe(["/agents/all/", f"/agents/{name}/"], on_next=on_next)


with contextlib.ExitStack() as stack:
    manager = stack.enter_context(bzmq.Endpoint(domain="cluster", name="manager"))
    port = manager.listen("127.0.0.1", 0)
    answers = manager.make_subscriber("/agents/answer/")
    cli = sys.argv[1] if len(sys.argv) > 1 else "bzmq-cli"
    url = stack.enter_context(gateway(cli, f"tcp://127.0.0.1:{port}"))

    agents, workers = [], []
    for name in (f"agent-{i}" for i in range(COUNT)):
        agent = stack.enter_context(bzmq.Endpoint(domain="agents", name=name, forwarding=False))
        workers.append(answer(agent, name))
        agent.peer_url(url)
        if not agent.wait_for_subscriber("/agents/answer/x"):
            sys.exit("the gateway does not take answers")
        if not manager.wait_for_subscriber(f"/agents/{name}/x"):
            sys.exit(f"the manager does not hear of {name}")
        agents.append(agent)

    manager.publish("/agents/all/question", "who is there?", reliable=True)
    manager.publish("/agents/agent-3/question", "and you?", reliable=True)
    for topic, value in answers.get(COUNT + 1, 20):
        print(f"{topic}: {value}")
    print(f"the manager sees {len(manager.topology())} endpoints, "
          f"an agent {len(agents[0].topology())}")
