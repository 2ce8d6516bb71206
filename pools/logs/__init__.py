"""The format of log lines, and the masking of secrets. Used by every process, so without Django."""
