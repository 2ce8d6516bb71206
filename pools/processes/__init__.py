"""The agent processes of one pod, from start to burial, and the hand-off of sessions to them."""
