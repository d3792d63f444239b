"""With asyncio: one task answers what others ask, and several ask at the same time.

    asyncio_echo.py
"""

import asyncio

import bzmq.asyncio


async def answer(node):
    async for topic, question in node.make_subscriber("/ask/"):
        node.publish("/answer/" + topic.removeprefix("/ask/"), question.upper())


async def ask(node, name):
    async with node.make_subscriber(f"/answer/{name}/") as answers:
        # The one who answers must know that we listen before we ask.
        await answers.wait_ready()
        node.publish(f"/ask/{name}/", f"hello from {name}")
        topic, text = await answers.get(timeout=10)
        print(name, "got", text)


async def main():
    async with bzmq.asyncio.Endpoint() as server, bzmq.asyncio.Endpoint() as client:
        await client.peer("127.0.0.1", server.listen("127.0.0.1", 0))
        answering = asyncio.create_task(answer(server))
        await client.wait_for_subscriber("/ask/")
        await asyncio.gather(*(ask(client, name) for name in ("ann", "bob", "cid")))
        answering.cancel()


asyncio.run(main())
