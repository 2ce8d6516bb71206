"""What callers say in tests: spoken by espeak-ng when it is asked for, as 16-bit mono samples."""

import json
import subprocess
import sys
import wave
from functools import cache
from pathlib import Path

import numpy as np

from trials.bench.voice_caller import RATE

# In a process of its own, because the bots' modules import Pipecat, which no process with Django may.
_SPEAK = """
import json, sys
from pools.agent.bots.espeak import Espeak
espeak = Espeak()
samples = espeak.speak(sys.argv[1])
sys.stdout.buffer.write(json.dumps({"rate": espeak.sample_rate}).encode() + b"\\n" + samples)
"""


@cache
def speech(text: str) -> np.ndarray:
    """`text`, spoken, at RATE."""
    result = subprocess.run([sys.executable, "-c", _SPEAK, text], capture_output=True, check=True, timeout=60)
    header, _, samples = result.stdout.partition(b"\n")
    rate = json.loads(header.splitlines()[-1])["rate"]
    spoken = np.frombuffer(samples, dtype=np.int16)
    at = np.arange(0, len(spoken), rate / RATE)
    return np.interp(at, np.arange(len(spoken)), spoken).astype(np.int16)


def speech_file(path: Path, text: str, silence: float = 0.0) -> Path:
    """A WAV file with `silence` seconds of silence and then `text`."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(bytes(2 * int(RATE * silence)) + speech(text).tobytes())
    return path
