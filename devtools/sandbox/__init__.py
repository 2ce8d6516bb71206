"""A server that speaks Daily's REST protocol, for development, tests and load runs. No Django in here.

It keeps everything in memory. Real Daily clients cannot hold a call in its rooms (there is no media), but
participants can join, be seen by the presence endpoints and be ejected: by WebSocket, where the connection is
the presence, or as callers that the sandbox simulates.

Where Daily's documentation is silent the sandbox takes the answer that is hardest on a client, and says so in
a comment.
"""

SANDBOX_API_KEY = "sandbox-key-not-a-secret-0123456789abcdef"
"""The key of every sandbox that was not given another one. It opens nothing but a sandbox."""
