"""Requests: between Python endpoints, which the vectors of docs/requests.md tie to those in C++."""

import asyncio
import subprocess
import threading

import pytest

import bzmq
import bzmq.asyncio
from bzmq import Count, errors
from conftest import BUILD, PATIENCE, eventually, run


@pytest.fixture
def asking(pair):
    """(asker, server)"""
    return pair[1], pair[0]


def test_ask_and_answer(asking):
    asker, server = asking

    @server.serve("/calc/add")
    def service(request):
        assert request.topic == "/calc/add" and request.origin == asker.node_id()
        return sum(request.value)

    assert asker.wait_for_server("/calc/add")
    assert asker.request("/calc/add", [1, 2, 3]) == 6
    with pytest.raises(bzmq.Error) as told:
        asker.request("/calc/add", 5)
    assert told.value.message().startswith("TypeError: ")
    assert asker.request("/calc/add", [], to=server.node_id()) == 0
    assert service.requests == 3 and service.malformed == 0
    with pytest.raises(errors.NoPathToPeer, match="nobody serves /calc"):
        asker.request("/calc")


def test_an_endpoint_answers_each_request_once(asking):
    asker, server = asking
    general = server.serve("/calc", lambda request: "general")
    for topic in ("/calc", "calc/", "/calc/add", "/", ""):
        with pytest.raises(errors.InvalidTopic, match="this endpoint serves /calc already"):
            server.serve(topic, lambda request: "special")
    with server.serve("/calculate", lambda request: None), asker.serve("/calc/add", lambda request: 1):
        pass
    assert asker.wait_for_server("/calc/add")
    assert [asker.request("/calc/add") for _ in range(8)] == ["general"] * 8
    general.stop()
    with server.serve("/calc/add", lambda request: "special"):
        assert asker.request("/calc/add", to=server.node_id()) == "special"


def test_errors_keep_their_kind(asking):
    asker, server = asking

    def refuse(request):
        raise errors.make_error(bzmq.EC.NoSuchKey, "not here")

    with server.serve("/find", refuse):
        assert asker.wait_for_server("/find")
        with pytest.raises(errors.NoSuchKey, match="not here"):
            asker.request("/find")


def test_all_servers_and_several_answers(asking):
    asker, server = asking

    def count(request):
        yield from range(request.value)

    with server.serve("/count", count), asker.serve("/count", count):
        assert asker.wait_for_server("/count")
        got = asker.request_all("/count", 3)
        for each in (asker, server):
            assert [value for origin, value, _ in got if origin == each.node_id()] == [0, 1, 2]
        assert len(asker.request_all("/count", 3, count=1)) >= 1


def test_timeout_and_a_server_that_ends(asking, endpoints):
    asker, server = asking
    go_on = threading.Event()
    with server.serve("/slow", lambda request: go_on.wait(PATIENCE)) as service:
        assert asker.wait_for_server("/slow")
        with pytest.raises(errors.RequestTimeout):
            asker.request("/slow", timeout=0.05)
        eventually(lambda: service.requests == 1)
        go_on.set()
        assert asker.request("/slow") is True


def test_a_slow_server_loses_no_request(endpoints):
    asker, slow = endpoints(), endpoints(subscriber_queue_messages=100)
    assert slow.peer("127.0.0.1", asker.listen("127.0.0.1", 0), timeout=PATIENCE)
    go_on, answers = threading.Event(), []

    def serve(request):
        go_on.wait(PATIENCE)
        return request.value

    with slow.serve("/echo", serve) as service:
        assert asker.wait_for_server("/echo")
        asked = [asker._own.request_later("/echo", i, PATIENCE, 1, "", True) for i in range(150)]
        eventually(lambda: any(each["queue_messages"] >= 100 for each in slow.metrics()["subscribers"]))
        go_on.set()
        for each in asked:
            answers += [value for _, value, _ in each.wait()[0]]
        assert answers == list(range(150)) and service.requests == 150 and service.dropped() == 0


def test_a_service_on_a_loop_takes_no_more_than_it_works_at(monkeypatch):
    monkeypatch.setattr("bzmq.requests._TAKEN_MAX", 2)

    async def main():
        async with bzmq.asyncio.Endpoint() as node:
            go_on, busy, most = asyncio.Event(), 0, 0

            async def slow(request):
                nonlocal busy, most
                busy += 1
                most = max(most, busy)
                await go_on.wait()
                busy -= 1
                return request.value

            service = node.serve("/slow", slow)
            asked = [asyncio.create_task(node.request("/slow", i, timeout=PATIENCE)) for i in range(6)]
            while busy < 2 or service._source.available() < 4:
                await asyncio.sleep(0.001)
            go_on.set()
            assert await asyncio.gather(*asked) == list(range(6))
            assert most == 2 and service.requests == 6
    run(main())


def test_a_service_on_a_thread_takes_few_between_two_answers(asking, monkeypatch):
    monkeypatch.setattr("bzmq.requests._TAKEN_MAX", 2)
    asker, server = asking
    taken = []

    def several(request):
        eventually(lambda: request.value > 0 or service._source.available() == 5)
        yield 1
        taken.append(len(service._later))
        yield 2

    with server.serve("/several", several) as service:
        assert asker.wait_for_server("/several")
        asked = [threading.Thread(target=asker.request_all, args=("/several", i, PATIENCE)) for i in range(6)]
        asked[0].start()
        eventually(lambda: service.requests == 1)
        for each in asked[1:]:
            each.start()
        for each in asked:
            each.join(PATIENCE)
    assert taken[0] == 2 and max(taken) == 2 and service.requests == 6


def test_the_command_line_holds_few_answers_that_nobody_reads(endpoints):
    node = endpoints()
    port = node.listen("127.0.0.1", 0)
    with node.serve("/many", lambda request: ("x" * 2**20 for _ in range(100))) as service:
        asker = subprocess.Popen(
            [BUILD / "tools/bzmq-cli", "request", "/many", "1", "--all", "--timeout", str(PATIENCE), "--peer",
             f"tcp://127.0.0.1:{port}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        eventually(lambda: service.requests == 1 and not service._open)
        out, told = asker.communicate(timeout=PATIENCE)
    assert asker.returncode == 1 and b"answers were dropped" in told
    assert 1 <= out.count(b"\n") < 100


def test_requests_that_wait_are_told_when_the_service_stops(asking):
    asker, server = asking
    go_on = threading.Event()

    def serve(request):
        go_on.wait(PATIENCE)
        return request.value

    service = server.serve("/slow", serve)
    assert asker.wait_for_server("/slow")
    first = asker._own.request_later("/slow", 1, PATIENCE, 1, "", True)
    eventually(lambda: service.requests == 1)
    waiting = [asker._own.request_later("/slow", 2, PATIENCE, 0, "", True) for _ in range(10)]
    eventually(lambda: service._source.available() == 10)
    stopping = threading.Thread(target=service.stop)
    stopping.start()
    eventually(lambda: service._source.ended())
    go_on.set()
    stopping.join(PATIENCE)
    assert first.wait()[0][0][1] == 1
    for each in waiting:
        [(_, _, problem)] = each.wait()[0]
        assert isinstance(problem, errors.Cancelled) and problem.message() == "the service has stopped"


def test_a_handler_that_exits_fails_only_its_request(asking):
    asker, server = asking

    def serve(request):
        if request.value:
            raise SystemExit(3)
        return "fine"

    with server.serve("/calc", serve):
        assert asker.wait_for_server("/calc")
        with pytest.raises(bzmq.Error, match="SystemExit: 3"):
            asker.request("/calc", True)
        assert asker.request("/calc", False) == "fine"


def test_what_is_no_request_is_counted(asking):
    asker, server = asking
    with server.serve("/calc", lambda request: request.value) as service:
        assert asker.wait_for_server("/calc")
        for wrong in ("x", (), (Count(1), Count(9), Count(1)), (Count(1), Count(0), Count(1))):
            asker.publish("/bzmq/requests/calc/", wrong)
        eventually(lambda: service.malformed == 4)
        assert asker.request("/calc", False) is False


def test_asyncio():
    async def main():
        async with bzmq.asyncio.Endpoint() as server, bzmq.asyncio.Endpoint() as asker:
            assert await asker.peer("127.0.0.1", server.listen("127.0.0.1", 0))
            started, stopped = asyncio.Event(), asyncio.Event()

            async def slow(request):
                try:
                    started.set()
                    await asyncio.Event().wait()
                finally:
                    stopped.set()

            async def letters(request):
                for each in request.value:
                    yield each

            services = [server.serve("/slow", slow), server.serve("/letters", letters),
                        server.serve("/plain", lambda request: request.value)]
            for topic in ("/slow", "/letters", "/plain"):
                assert await asker.wait_for_server(topic)
            assert [each.value for each in await asker.request_all("/letters", "abc")] == list("abc")
            echoes = await asyncio.gather(*(asker.request("/plain", i) for i in range(20)))
            assert echoes == list(range(20))
            with pytest.raises(errors.InvalidTopic):
                server.serve("/plain/and/simple", slow)
            # Cancelled here, the server's task is cancelled there.
            asked = asyncio.ensure_future(asker.request("/slow"))
            await started.wait()
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
            await stopped.wait()
            # Stopped, the service tells those whose tasks it cancels.
            started.clear()
            asked = asyncio.ensure_future(asker.request("/slow", timeout=PATIENCE))
            await started.wait()
            for each in services:
                each.stop()
            with pytest.raises(errors.Cancelled, match="the service has stopped"):
                await asked
            server.serve("/plain", slow).stop()
    run(main())
