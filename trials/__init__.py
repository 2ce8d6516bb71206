"""What proves the product: benchmarks, chaos, hosts, load, shipping."""
