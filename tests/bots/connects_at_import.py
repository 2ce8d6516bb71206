"""Both ends of a connection, made while it is imported: as a client of a provider would be that was used once."""

import socket

server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
accepted, _ = server.accept()


async def bot(runner_args):
    client.sendall(b"a question")
