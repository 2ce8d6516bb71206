"""Load runs: the real service in a private world, as many leads as a campaign has, figures printed and kept as JSON.

python -m trials.load api       pushes and connects at a steady rate through gunicorn; it has a --help of its own
python -m trials.load dial      telephones dialled at Daily's documented rate, then faster, while web callers connect
"""
