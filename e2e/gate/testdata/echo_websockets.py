"""A WebSocket server that echoes, or a client that checks it: python3-websockets."""
import asyncio
import sys

import websockets


async def serve(host, port):
    async def echo(socket, path=None):
        async for message in socket:
            await socket.send(message)

    async with websockets.serve(echo, host, int(port), max_size=None):
        await asyncio.Future()


async def ask(host, port):
    async with websockets.connect(f"ws://{host}:{port}/chat", max_size=None) as socket:
        for n in (0, 1, 125, 126, 65535, 65536, 4 << 20):
            for message in ("x" * n, bytes(n)):
                await socket.send(message)
                assert await socket.recv() == message, n
        await asyncio.wait_for(await socket.ping(), 10)
        await socket.send(["in ", "many ", "parts"])
        assert await socket.recv() == "in many parts"
    assert socket.close_code == 1000, socket.close_code
    print("all echoed")


asyncio.run({"server": serve, "client": ask}[sys.argv[1]](*sys.argv[2].split(":")))
