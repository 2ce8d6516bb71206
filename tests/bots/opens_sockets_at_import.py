"""An event loop of its own (it has a socket pair), a closed connection, and a socket for datagrams: all harmless."""

import asyncio
import socket

loop = asyncio.new_event_loop()
with socket.create_server(("127.0.0.1", 0)) as server:
    socket.create_connection(server.getsockname()).close()
statistics = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
statistics.connect(("127.0.0.1", 9125))


async def bot(runner_args):
    pass
