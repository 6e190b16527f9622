"""Draw the site's contour lines and its mark: `python deploy/relief.py` writes static/relief*.svg and terrain.svg.

The heights are a sum of smooth hills with fixed places, so the drawing is the same at every run. Contours by
marching squares, joined into lines and thinned.
"""

import itertools
import math
from pathlib import Path

STATIC = Path(__file__).resolve().parent.parent / "static"
WIDTH, HEIGHT, STEP = 1600, 800, 16  # px of the drawing, px of the grid
# x, y, radius across, radius down (px), height (m)
HILLS = (
    (1330, 260, 230, 190, 620),
    (1120, 560, 260, 170, 380),
    (1560, 640, 240, 200, 420),
    (880, 180, 220, 150, 210),
    (1460, 60, 160, 110, 240),
    (720, 720, 260, 140, 170),
)
LEVELS = range(60, 760, 42)  # m


def height(x: float, y: float) -> float:
    ripple = 16 * math.sin(x / 71 + y / 143) + 12 * math.sin(y / 53 - x / 97)
    return ripple + sum(h * math.exp(-(((x - cx) / rx) ** 2) - ((y - cy) / ry) ** 2) for cx, cy, rx, ry, h in HILLS)


def segments(level: float):
    """The pieces of one contour, each a pair of points, in the cells of the grid."""
    for x in range(0, WIDTH, STEP):
        for y in range(0, HEIGHT, STEP):
            corners = ((x, y), (x + STEP, y), (x + STEP, y + STEP), (x, y + STEP))
            heights = [height(*corner) for corner in corners]
            crossings = []
            for i in range(4):
                a, b = heights[i], heights[(i + 1) % 4]
                if (a < level) != (b < level):
                    part = (level - a) / (b - a)
                    (ax, ay), (bx, by) = corners[i], corners[(i + 1) % 4]
                    crossings.append((round(ax + part * (bx - ax), 1), round(ay + part * (by - ay), 1)))
            yield from zip(crossings[::2], crossings[1::2], strict=True)


def lines(level: float):
    """The pieces joined end to end."""
    at: dict[tuple, list] = {}
    for pair in segments(level):
        for end in pair:
            at.setdefault(end, []).append(pair)
    unused = {pair for pairs in at.values() for pair in pairs}
    while unused:
        line = list(unused.pop())
        for _ in range(2):
            while following := next((p for p in at[line[-1]] if p in unused), None):
                unused.discard(following)
                line.append(following[1] if following[0] == line[-1] else following[0])
            line.reverse()
        yield line


def path(line: list) -> str:
    """A smooth path through every second point: quadratic curves between the middles."""
    thin = line[::2] if line[-1] in line[::2] else [*line[::2], line[-1]]
    text = f"M{thin[0][0]:.0f} {thin[0][1]:.0f}"
    for (ax, ay), (bx, by) in itertools.pairwise(thin[1:]):
        text += f"Q{ax:.0f} {ay:.0f} {(ax + bx) / 2:.0f} {(ay + by) / 2:.0f}"
    return text + f"L{thin[-1][0]:.0f} {thin[-1][1]:.0f}"


def relief(stroke: str, paper: str) -> str:
    drawn = []
    for number, level in enumerate(LEVELS):
        data = "".join(path(line) for line in lines(level) if len(line) > 5)
        drawn.append(f'<path d="{data}" stroke-width="{1.8 if number % 5 == 4 else 0.9}"/>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'preserveAspectRatio="xMaxYMid slice">'
        f'<defs><linearGradient id="f"><stop offset=".3" stop-color="{paper}"/>'
        f'<stop offset=".75" stop-color="{paper}" stop-opacity="0"/></linearGradient></defs>'
        f'<g fill="none" stroke="{stroke}" opacity=".62">{"".join(drawn)}</g>'
        f'<path fill="url(#f)" d="M0 0h{WIDTH}v{HEIGHT}H0z"/></svg>\n'
    )


MARK = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40"><rect fill="#0a5a52" width="40" height="40" rx="9"/>'
    '<path fill="none" stroke="#fff" stroke-width="2.6" stroke-linecap="round" stroke-linejoin="round" '
    'd="M5 30c5-9 7-20 15-20s10 9 15 20M11 30c3.500-5.500 4.500-12 9-12s5.500 6.500 9 12'
    'M17 30c1.500-2.500 1.500-4.500 3-4.500s1.500 2 3 4.500"/></svg>\n'
)

if __name__ == "__main__":
    (STATIC / "relief.svg").write_text(relief("#c98a5e", "#ffffff"))
    (STATIC / "relief-dark.svg").write_text(relief("#7a5a44", "#17211f"))
    (STATIC / "terrain.svg").write_text(MARK)
