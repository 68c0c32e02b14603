"""A WebSocket server that echoes, or a client that checks it: python3-autobahn."""
import asyncio
import sys

from autobahn.asyncio.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
    WebSocketServerFactory,
    WebSocketServerProtocol,
)

MESSAGES = [(b"x" * n, binary) for n in (0, 1, 125, 126, 65535, 65536, 1 << 20) for binary in (True, False)]


class Echo(WebSocketServerProtocol):
    def onMessage(self, payload, isBinary):
        self.sendMessage(payload, isBinary)


class Ask(WebSocketClientProtocol):
    def onOpen(self):
        self.left = list(MESSAGES)
        self.sendMessage(*self.left[0])

    def onMessage(self, payload, isBinary):
        assert (payload, isBinary) == self.left.pop(0)
        if self.left:
            self.sendMessage(*self.left[0])
        else:
            self.sendClose(1000)

    def onClose(self, wasClean, code, reason):
        print("all echoed" if wasClean and code == 1000 and not self.left else (wasClean, code, reason))
        asyncio.get_event_loop().stop()


side, address = sys.argv[1:]
host, port = address.split(":")
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
if side == "server":
    factory = WebSocketServerFactory(f"ws://{address}")
    factory.protocol = Echo
    loop.run_until_complete(loop.create_server(factory, host, int(port)))
else:
    factory = WebSocketClientFactory(f"ws://{address}/chat")
    factory.protocol = Ask
    loop.run_until_complete(loop.create_connection(factory, host, int(port)))
loop.run_forever()
