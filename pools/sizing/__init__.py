"""How large the pools should be: the formula, recommendations, and a simulation around the production code. No Django
but in `history.py`, which learns from recorded sessions, and `arguments.py`, which asks it."""
