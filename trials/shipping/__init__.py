"""Checks images, manifests, and the order in which a cluster starts and stops programs.

No cluster is needed, and no registry of images: they are built on a Debian made here, and run as compose.yaml says;
manifests are rendered and validated, and their probes and signals are exercised against the real processes.
"""
