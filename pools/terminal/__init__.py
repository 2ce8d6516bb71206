"""What the verbs of `manage.py pools` have in common: how people type and how they are answered."""
