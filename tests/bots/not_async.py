def bot(runner_args):
    """Not a coroutine function."""
