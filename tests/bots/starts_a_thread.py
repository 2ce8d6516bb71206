import threading

threading.Thread(target=threading.Event().wait, name="the-bots-own", daemon=True).start()


async def bot(runner_args):
    pass
