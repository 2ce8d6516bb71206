"""A real MP4 file of silence: one AAC track, as short or long as the recording that it stands for."""

import struct

SAMPLE_RATE = 44_100
FRAME_SAMPLES = 1024
SILENT_FRAME = bytes.fromhex("00c800802380")  # AAC-LC, mono
# MPEG-4 audio: object type 2 (AAC-LC), frequency index 4 (44,100 Hz), one channel.
AUDIO_SPECIFIC_CONFIG = bytes([0x12, 0x08])
MAX_SECONDS = 3600


def silent_mp4(seconds: float) -> bytes:
    frames = max(1, round(min(seconds, MAX_SECONDS) * SAMPLE_RATE / FRAME_SAMPLES))
    ftyp = _box(b"ftyp", b"M4A ", _u32(0x200), b"M4A mp42isom")
    media = _box(b"mdat", SILENT_FRAME * frames)
    return ftyp + media + _moov(frames, first_sample=len(ftyp) + 8)


def _moov(frames: int, first_sample: int) -> bytes:
    duration = frames * FRAME_SAMPLES
    matrix = b"".join(_u32(value) for value in (0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000))
    table = _box(
        b"stbl",
        _full(b"stsd", _u32(1), _mp4a()),
        _full(b"stts", _u32(1, frames, FRAME_SAMPLES)),  # all frames are equally long
        _full(b"stsc", _u32(1, 1, frames, 1)),  # and in one chunk
        _full(b"stsz", _u32(len(SILENT_FRAME), frames)),
        _full(b"stco", _u32(1, first_sample)),
    )
    information = _box(
        b"minf",
        _full(b"smhd", _u32(0)),
        _box(b"dinf", _full(b"dref", _u32(1), _full(b"url ", flags=1))),
        table,
    )
    media = _box(
        b"mdia",
        _full(b"mdhd", _u32(0, 0, SAMPLE_RATE, duration), struct.pack(">HH", 0x55C4, 0)),
        _full(b"hdlr", _u32(0), b"soun", bytes(12), b"SoundHandler\0"),
        information,
    )
    track = _box(
        b"trak",
        _full(b"tkhd", _u32(0, 0, 1, 0, duration), bytes(8), _u32(0, 0x01000000), matrix, _u32(0, 0), flags=3),
        media,
    )
    header = _full(
        b"mvhd", _u32(0, 0, SAMPLE_RATE, duration, 0x10000), b"\x01\0" + bytes(10), matrix, bytes(24), _u32(2)
    )
    return _box(b"moov", header, track)


def _mp4a() -> bytes:
    decoder = _descriptor(0x04, bytes([0x40, 0x15]) + bytes(11) + _descriptor(0x05, AUDIO_SPECIFIC_CONFIG))
    stream = _descriptor(0x03, struct.pack(">HB", 1, 0) + decoder + _descriptor(0x06, b"\x02"))
    entry = bytes(6) + struct.pack(">HIIHHHHI", 1, 0, 0, 1, 16, 0, 0, SAMPLE_RATE << 16)
    return _box(b"mp4a", entry, _full(b"esds", stream))


def _descriptor(tag: int, content: bytes) -> bytes:
    return bytes([tag, len(content)]) + content


def _u32(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def _box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return _u32(len(body) + 8) + kind + body


def _full(kind: bytes, *content: bytes, flags: int = 0) -> bytes:
    return _box(kind, _u32(flags), *content)
