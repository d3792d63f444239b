"""Two endpoints of one process: one publishes, the other subscribes.

    pubsub.py [URL]

With a URL the publisher also peers with whoever listens there.
"""

import sys

import bzmq

with bzmq.Endpoint() as listener, bzmq.Endpoint() as publisher:
    messages = listener.make_subscriber("/example/")
    port = listener.listen("127.0.0.1", 0)
    if not publisher.peer("127.0.0.1", port):
        sys.exit(f"no peering: {publisher.last_error()}")
    if len(sys.argv) > 1:
        publisher.peer_url(sys.argv[1])

    # From here on no message can be missed.
    if not publisher.wait_for_subscriber("/example/"):
        sys.exit("nobody subscribes")
    publisher.publish(bzmq.Topic("/example") / "greeting", "hello")
    publisher.publish("/example/answer", bzmq.Count(42))
    publisher.publish("/example/list", [bzmq.Count(1), "two", 3.0])

    for topic, value in messages.get(3):
        print(topic, "=", value)
