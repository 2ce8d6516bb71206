"""The state of the fleet, read from its rows: for people, for Prometheus, for the charts."""
