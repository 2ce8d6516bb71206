"""What is done for the whole fleet, by its oldest live pod: clean-up at Daily, reaping, retention."""
