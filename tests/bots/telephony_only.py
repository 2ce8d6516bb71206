"""Somebody's Pipecat bot for a carrier's websocket: it can join no Daily room."""

from pipecat.runner.types import RunnerArguments
from pipecat.runner.utils import create_transport
from pipecat.transports.base_transport import TransportParams

transport_params = {"twilio": lambda: TransportParams(), "webrtc": lambda: TransportParams()}


async def bot(runner_args: RunnerArguments):
    await create_transport(runner_args, transport_params)
