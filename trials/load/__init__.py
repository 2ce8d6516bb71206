"""Load runs: the real service in a private world, as many leads as a campaign has, figures printed and kept as JSON.

python -m trials.load api       pushes and connects at a steady rate through gunicorn; it has a --help of its own
python -m trials.load attack    what a tenant and what nobody can do to the API, and how /health fares meanwhile
python -m trials.load dial      telephones dialled at Daily's documented rate, then faster, while web callers connect
"""
