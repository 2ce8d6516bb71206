"""Checks of what is shipped: images, manifests, the order in which a cluster starts and stops things.

Neither a container engine nor a cluster is needed: the Dockerfile's steps are executed in a clean
Debian root, manifests are rendered and validated, and the probes and signals of the
manifests are exercised against the real processes.
"""
