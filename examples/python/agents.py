"""A gateway with agents: a cluster, and a domain beside it whose members see the gateway alone.

Each agent hears what the cluster says to all or to it, and answers; nobody in the cluster sees an agent in
its topology, and no agent sees another one.
"""

import contextlib
import sys

import bzmq

COUNT = 5


def answer(agent, name):
    def on_next(message):
        _, value = message
        agent.publish(f"/agents/answer/{name}", value, reliable=True)
    return agent.subscribe(["/agents/all/", f"/agents/{name}/"], on_next=on_next)


with contextlib.ExitStack() as stack:
    manager = stack.enter_context(bzmq.Endpoint(domain="cluster", name="manager"))
    cluster_port = manager.listen("127.0.0.1", 0)
    answers = manager.make_subscriber("/agents/answer/")

    gate = stack.enter_context(bzmq.Gateway({"domain": "cluster", "name": "gateway"},
                                            {"domain": "agents", "name": "gateway", "hide_peers": True}))
    agents_port = gate.other.listen("127.0.0.1", 0)
    if not gate.one.peer("127.0.0.1", cluster_port):
        sys.exit(f"the gateway does not reach the cluster: {gate.one.last_error()}")

    agents, workers = [], []
    for name in (f"agent-{i}" for i in range(COUNT)):
        agent = stack.enter_context(bzmq.Endpoint(domain="agents", name=name, forwarding=False))
        workers.append(answer(agent, name))
        if not agent.peer("127.0.0.1", agents_port):
            sys.exit(f"{name} does not reach the gateway: {agent.last_error()}")
        if not agent.wait_for_subscriber("/agents/answer/x"):
            sys.exit("the gateway does not take answers")
        agents.append(agent)
    if not (gate.other.wait_for_subscriber("/agents/all/x", COUNT)
            and manager.wait_for_subscriber("/agents/agent-3/x")):
        sys.exit("the manager does not hear of the agents")

    manager.publish("/agents/all/question", "who is there?", reliable=True)
    manager.publish("/agents/agent-3/question", "and you?", reliable=True)
    for topic, value in answers.get(COUNT + 1, 20):
        print(f"{topic}: {value}")
    print(f"the manager sees {len(manager.topology())} endpoints, "
          f"an agent {len(agents[0].topology())}")
