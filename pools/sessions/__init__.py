"""A voice session, from its claim to its end, and what is told about it afterwards. The API and the pods use this."""
