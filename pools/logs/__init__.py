"""One line of a log, and what must not be in it. For every process, so no Django."""
