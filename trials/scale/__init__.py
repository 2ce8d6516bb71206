"""`make bench-scale`: a hundred pods on one PostgreSQL, and what that costs the database.

The supervisors are the real ones, with their webhooks, their dialler and their probes; only the agent processes are
played (see stubs.py), and twenty-five supervisors share an operating system's process, each in a thread of its own with
its own connections. So the pods' CPU is not that of a hundred real pods, and is reported apart from PostgreSQL's.
"""
