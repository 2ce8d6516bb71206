"""Lets a language model end a conversation: it calls a function that names the outcome and hangs up."""

from typing import Any

from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import EndWorkerFrame, FunctionCallResultProperties, TTSSpeakFrame
from pipecat.services.llm_service import FunctionCallParams

from pools.agent import report
from pools.agent.bots.script import Script

END_CALL = "end_call"
GOODBYE = "Goodbye!"


def tools(script: Script) -> ToolsSchema:
    """Describe `end_call(outcome, goodbye)` to the model, with the template's outcomes if there are any."""
    outcome: dict[str, Any] = {"type": "string", "description": "In one or two words, how the call went."}
    if script.outcomes:
        meanings = "; ".join(f"{word}: {meaning}" if meaning else word for word, meaning in script.outcomes.items())
        outcome = {"type": "string", "enum": list(script.outcomes), "description": f"How the call went. {meanings}"}
    goodbye = {"type": "string", "description": "What to say to the caller before hanging up: one short sentence."}
    return ToolsSchema(
        standard_tools=[
            FunctionSchema(
                name=END_CALL,
                description="End the call, once its purpose is settled or the caller wants to go.",
                properties={"outcome": outcome, "goodbye": goodbye},
                required=["outcome"],
            )
        ]
    )


async def end_call(params: FunctionCallParams) -> None:
    """Report the model's outcome, say goodbye, and hang up."""
    report(outcome=str(params.arguments.get("outcome") or "completed"))
    await params.result_callback({"ended": True}, properties=FunctionCallResultProperties(run_llm=False))
    goodbye = params.arguments.get("goodbye")
    await params.llm.push_frame(TTSSpeakFrame(goodbye if isinstance(goodbye, str) and goodbye.strip() else GOODBYE))
    await params.llm.push_frame(EndWorkerFrame())
