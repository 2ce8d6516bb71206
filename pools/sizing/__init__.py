"""How large the pools should be: recommendations, and a simulation around the production code. No Django but in
`history.py`, which learns from recorded sessions. The formula is also the pods': pools/decisions/formula.py."""
