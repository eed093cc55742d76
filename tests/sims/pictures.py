"""What comes out of a stream: decoded again with FFmpeg."""

import io
from pathlib import Path

import av
from av.container import InputContainer


def times_of(data: bytes | Path, form: str = "mp4") -> list[float]:
    """The times of the pictures that can be decoded, in the order of their showing."""
    source = str(data) if isinstance(data, Path) else io.BytesIO(data)
    with av.open(source, "r", format=form) as file:
        assert isinstance(file, InputContainer)
        return [frame.time or 0.0 for frame in file.decode(video=0)]
