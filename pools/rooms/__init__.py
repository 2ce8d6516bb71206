"""Rooms at Daily: the stock of one pod, and one made on demand when there is none."""
