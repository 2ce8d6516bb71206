"""Fixtures for all tests. The database comes from the plugin `tests/embedded_database.py`."""
