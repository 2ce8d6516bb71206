"""The verbs of `manage.py pools`, by subject, and what they share: arguments, quantities, output."""
