"""`make bench`: what the pools do for a caller, in milliseconds, beside what they aim for.

Brings up a world of its own (embedded PostgreSQL with fsync on, the Daily sandbox with latency, gunicorn, `runpools`
with the default bot) in a temporary directory and on free ports, measures through the HTTP API, and ends it all.
"""
