"""What operators order and do: stock, pods, roll-outs. The admin and `manage.py pools` call this."""
