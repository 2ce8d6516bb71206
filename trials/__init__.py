"""Trials: benchmarks, chaos, hosts, load and shipping, each against a private service. `python -m trials --help`."""
