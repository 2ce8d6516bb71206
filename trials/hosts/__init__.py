"""Several hosts on one machine: network namespaces with addresses of their own, and cables that can be pulled.

    callers ─┬─ outside (10.119.2.0/24): the Internet ─┬─ daily
             │                                         │
            api                          pods1, pods2, pods3
             │                                         │
             └─ inside (10.119.1.0/24) ────────────────┴─ database

Each host has its own network, process numbers and host name; the disk and the clock are this machine's. PostgreSQL asks
for a password. `make hosts` needs root and leaves nothing behind: what a killed run has left, the next one removes.
"""
