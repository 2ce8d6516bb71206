"""What operators change: sizes, pauses, reservations, roll-outs, drains. For the admin, the terminal and the API."""
