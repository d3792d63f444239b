"""A service, and who asks it."""

import bzmq

with bzmq.Endpoint() as server, bzmq.Endpoint() as asker:

    @server.serve("/calc/add")
    def adding(request):
        if not isinstance(request.value, tuple):
            raise bzmq.errors.make_error(bzmq.EC.TypeClash, "expected vector, got string")
        return sum(request.value)

    asker.peer("127.0.0.1", server.listen("127.0.0.1", 0))
    asker.wait_for_server("/calc/add")
    print(asker.request("/calc/add", [1, 2]))
    for topic, question in (("/calc/add", "text"), ("/calc/subtract", None)):
        try:
            asker.request(topic, question)
        except bzmq.Error as why:
            print(why)
    adding.stop()
