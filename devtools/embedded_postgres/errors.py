class EmbeddedPostgresError(Exception):
    """The embedded server cannot run here; the message is one line for people and says what helps."""
