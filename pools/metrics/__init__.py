"""What a process counts in its memory for Prometheus; what is read from rows instead is in `pools.status`.

    claims     counted by the processes that serve HTTP: claims and refusals
    daily      counted by every process that calls Daily
    pod        counted by `runpools`: hand-offs, warm-ups, turns of its loop, retries
    processes  memory and CPU of a process tree, read from /proc at each scrape

Labels have few values, all of them known here: no ids, no names of leads, no texts.
"""
