"""The state of the fleet, read from its rows: for the status endpoints, Prometheus and the charts."""
