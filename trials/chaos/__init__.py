"""Faults on purpose: real pods, a real database, real callers; processes killed, Daily broken, and an audit at the end.

`make chaos` goes through the promises fault by fault and then repeats faults at random moments; `make soak` runs for
minutes under load; `make rolling` restarts pods one after the other. All of it in a private world on 127.0.0.1.
"""
