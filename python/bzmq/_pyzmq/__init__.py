"""PUB, SUB, XPUB and XSUB sockets of pyzmq, carried by the overlay.

One implementation under two faces: `bzmq.pyzmq_backend` and `bzmq.zmq`. docs/pyzmq.md is the guide.

    messages      a ZeroMQ message as topic and value, and back
    addresses     what bind and connect take
    options       what each socket option does
    security      CURVE keys for an endpoint
    authentication  pyzmq's authenticators under the back end
    signal        the edge-triggered descriptor
    subscriptions what a SUB wants, what an XPUB hears
    attachments   bind and connect, and the endpoint behind them
    carrier       one carried socket: its options, queues, descriptor
    monitor       socket events
    socket        the classes that pyzmq's own build on
    polling       zmq_poll, proxy, device
    monitored_queue  the same with a monitor

Nothing here imports pyzmq's top level: the back end is loaded while that is still being imported.
"""
