"""What is done for the whole fleet by one of its pods: clean-up at Daily, reaping, retention."""
