"""What the pools tell Prometheus.

    fleet      read from the database at each scrape: the stock, sessions, history; the same whichever process is asked
    claims     counted by the processes that serve HTTP: claims and refusals
    daily      counted by every process that calls Daily
    pod        counted by `runpools`: hand-offs, warm-ups, turns of its loop, retries
    processes  memory and CPU of a process tree, read from /proc at each scrape

Labels have few values, all of them known here: no ids, no names of leads, no texts.
"""
