"""Ping and pong by events, and an event that goes out by itself."""

import threading

import bzmq

done = threading.Event()


def report(event, why):
    print(f"{event}: {why}")


with bzmq.Endpoint() as ann, bzmq.Endpoint() as bob, \
        bzmq.EventBus(ann, "/events/", report) as here, bzmq.EventBus(bob, "/events/", report) as there:

    @there.event
    def ping(text: str, number: int):
        there.publish("/events/pong", "pong", text, number + 1)

    @here.event
    def pong(text: str, number: int):
        print("pong", text, number, flush=True)
        here.raise_("finished", number)     # calls the handler here, and goes to bob

    @here.event("finished")
    def finished_here(number):
        print("finished, here", flush=True)

    @there.event("finished")
    def finished_there(number):
        print("finished, there", flush=True)
        done.set()

    here.auto_publish("/events/finished", "finished")
    ann.peer("127.0.0.1", bob.listen("127.0.0.1", 0))
    ann.wait_for_subscriber("/events/")
    bob.wait_for_subscriber("/events/")
    here.publish("/events/ping", "ping", "hello", 1)
    done.wait()
