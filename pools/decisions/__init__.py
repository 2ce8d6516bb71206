"""Pure functions of counts, settings and a clock: how much to keep in stock, what to do next. No Django, no effects."""
