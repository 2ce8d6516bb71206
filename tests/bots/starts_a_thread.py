import threading

threading.Thread(target=threading.Event().wait, daemon=True).start()


async def bot(runner_args):
    pass
