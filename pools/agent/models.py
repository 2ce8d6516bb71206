"""Loads the voice activity and end-of-turn models before the fork, and shares them with the bot's own analyzers.

A bot builds `SileroVADAnalyzer()` and `LocalSmartTurnAnalyzerV3()` when its session begins (Pipecat's aggregators
build the second by default): 70 ms and the models' memory, once a session. An ONNX session holds no state between
runs (the recurrent state of the VAD lies in its analyzer) and may be run by several threads, so that the analyzers of
all children can use those that the zygote has loaded.
"""

import os
from typing import Any

import numpy as np
import onnxruntime
from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3
from pipecat.audio.vad.silero import SileroVADAnalyzer

_SAMPLE_RATE = 16_000  # Hz, of both models
_VAD_WINDOW_BYTES = 512 * 2
_TURN_SECONDS = 8

_shared: dict[tuple[Any, ...], "SharedSession"] = {}
_collecting = False


class SharedSession(onnxruntime.InferenceSession):
    """An `InferenceSession` that is, for a model loaded by `load_and_run`, always the same one."""

    def __new__(cls, path_or_bytes: Any, sess_options: Any = None, providers: Any = None, **others: Any) -> Any:
        return _shared.get(_key(path_or_bytes, sess_options, providers, others)) or super().__new__(cls)

    def __init__(self, path_or_bytes: Any, sess_options: Any = None, providers: Any = None, **others: Any) -> None:
        if "_loaded" in self.__dict__:
            return
        super().__init__(path_or_bytes, sess_options, providers, **others)
        self._loaded = True
        if _collecting:
            _shared[_key(path_or_bytes, sess_options, providers, others)] = self


def _key(path: Any, options: Any, providers: Any, others: dict[str, Any]) -> tuple[Any, ...]:
    """Return a key that is equal for sessions that can be shared; only sessions of files are shared."""
    if not isinstance(path, str | os.PathLike):
        return (id(path),)
    threads = (options.intra_op_num_threads, options.inter_op_num_threads) if options is not None else ()
    return (os.fspath(path), threads, tuple(map(str, providers or ())), tuple(sorted(map(str, others.items()))))


def load_and_run() -> dict[str, float]:
    """Load both models, run each once in this thread (an executor's thread would not survive the fork), share them.

    Returns their results for silence. Raises whatever a model that does not work raises.
    """
    global _collecting
    onnxruntime.InferenceSession = SharedSession
    _collecting = True
    try:
        vad = SileroVADAnalyzer(sample_rate=_SAMPLE_RATE)
        vad.set_sample_rate(_SAMPLE_RATE)
        turn = LocalSmartTurnAnalyzerV3(sample_rate=_SAMPLE_RATE)
    finally:
        _collecting = False
    confidence: Any = vad.voice_confidence(bytes(_VAD_WINDOW_BYTES))
    if isinstance(confidence, int):  # it has logged an error and answers with a plain 0
        raise RuntimeError("the voice activity model does not run")
    # The public method would run it in the analyzer's executor.
    prediction = turn._predict_endpoint(np.zeros(_SAMPLE_RATE * _TURN_SECONDS, dtype=np.float32))
    return {"silero_vad": round(float(confidence.item()), 4), "smart_turn_v3": round(prediction["probability"], 4)}
