"""Take docs/demo.svg: run the demo in a tmux of fixed size, press its buttons, and draw what the terminal shows.

python docs/tools/demo_picture.py        # needs tmux
"""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.terminal_theme import DIMMED_MONOKAI as THEME
from rich.text import Text

ROOT: Final = Path(__file__).parents[2]
PICTURE: Final = ROOT / "docs" / "demo.svg"
COLUMNS, ROWS = 101, 43
SOCKET: Final = "campus-demo-picture"
START_S: Final = 40.0
"""Until every camera was looked at."""
STEPS: Final = (("1", 2.2), ("3", 2.2), ("g", 5.0), ("v", 4.5), ("o", 1.5), ("b", 0.8), ("2", 16.0))
"""A key, and the seconds after it: one acknowledged, a duress alarm, gas and no fan, the dormitory door, the broker
gone, and one that only the second paths bring out."""
CELL_X, CELL_Y, MARGIN, BASELINE = 9, 19, 10, 14
BACKGROUND: Final = "#191919"
RUN: Final = re.compile(r"[\u2e80-\uffef]+|[^\s\u2e80-\uffef]+(?: [^\s\u2e80-\uffef]+)*")
"""What is placed as one piece: wide or narrow characters, up to a gap. Each piece is stretched to its columns, whatever
font the reader has."""
HEAD: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">
<style>text {{ white-space: pre; font-family: Menlo, Consolas, "DejaVu Sans Mono", "Noto Sans Mono CJK SC", \
"Microsoft YaHei", monospace; font-size: 15px }} .b {{ font-weight: bold }}</style>
<rect width="100%" height="100%" rx="8" fill="{background}"/>
"""


def tmux(*words: str) -> str:
    """Run one command of an own tmux server."""
    done = subprocess.run(["tmux", "-L", SOCKET, "-f", "/dev/null", *words], check=True, capture_output=True)
    return done.stdout.decode()


def screen() -> str:
    """What the terminal shows after the keys, with its colours."""
    command = f"cd {ROOT} && LANG=C.UTF-8 {sys.executable} -m agent.demo --lang zh-CN"
    tmux("new-session", "-d", "-x", str(COLUMNS), "-y", str(ROWS), command)
    try:
        time.sleep(START_S)
        for key, seconds in STEPS:
            tmux("send-keys", key)
            time.sleep(seconds)
        return tmux("capture-pane", "-p", "-e").rstrip()
    finally:
        tmux("send-keys", "q")
        time.sleep(1)
        subprocess.run(["tmux", "-L", SOCKET, "kill-server"], check=False, capture_output=True)


def draw(shown: str) -> Iterator[str]:
    """Draw the lines of a screen."""
    console = Console(width=COLUMNS, force_terminal=True, color_system="truecolor")
    lines = [Text.from_ansi(line) for line in shown.splitlines()]
    yield HEAD.format(
        width=COLUMNS * CELL_X + 2 * MARGIN, height=len(lines) * CELL_Y + 2 * MARGIN, background=BACKGROUND
    )
    for row, line in enumerate(lines):
        column = 0
        for segment in line.render(console):
            yield from pieces(segment, row, column)
            column += cell_len(segment.text)
    yield "</svg>\n"


def pieces(segment: Segment, row: int, column: int) -> Iterator[str]:
    """Draw one segment: its background if it has one, and its characters."""
    style = segment.style or Style()
    front, back = color(style, reverse=bool(style.reverse))
    y = MARGIN + row * CELL_Y
    if back:
        yield (
            f'<rect x="{MARGIN + column * CELL_X}" y="{y}" width="{cell_len(segment.text) * CELL_X}" '
            f'height="{CELL_Y}" fill="{back}"/>\n'
        )
    for run in RUN.finditer(segment.text):
        x = MARGIN + (column + cell_len(segment.text[: run.start()])) * CELL_X
        bold = ' class="b"' if style.bold else ""
        yield (
            f'<text x="{x}" y="{y + BASELINE}" textLength="{cell_len(run[0]) * CELL_X}" fill="{front}"{bold}>'
            f"{escape(run[0])}</text>\n"
        )


def color(style: Style, *, reverse: bool) -> tuple[str, str | None]:
    """The colours of text and background."""
    front = (style.color.get_truecolor(THEME) if style.color else THEME.foreground_color).hex
    back = style.bgcolor.get_truecolor(THEME, foreground=False).hex if style.bgcolor else None
    if style.dim:
        front = "#8a8a8a"
    return (back or BACKGROUND, front) if reverse else (front, back if back != BACKGROUND else None)


def main() -> None:
    """Run the demo and write the picture; print the same as text, for the READMEs."""
    shown = screen()
    PICTURE.write_text("".join(draw(shown)), encoding="utf-8")
    print(Text.from_ansi(shown).plain)
    print(PICTURE, PICTURE.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
