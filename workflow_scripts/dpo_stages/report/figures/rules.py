"""The graph of the workflow's rules as SVG, laid out in layers from top to bottom. Standard library only.

Rules that feed each other over the iterations form a cycle; one dashed edge, to the highest of them, says "next
iteration". An edge that follows from others is left out, as graphviz' tred does, and so is a rule that hangs on no other.
"""

import html
import itertools
import re
from collections.abc import Mapping

Edges = dict[str, set[str]]

BOX_HEIGHT, LAYER_HEIGHT, GAP, MARGIN = 30, 62, 18, 16
CHARACTER_WIDTH, PADDING = 6.9, 20  # of the label's font at 12 px, generously
SWEEPS = 8

STYLE = """.rule-graph{--ink:#1f2328;--line:#8b949e;--box:#f6f8fa;--edge:#d0d7de}
@media(prefers-color-scheme:dark){.rule-graph{--ink:#e6e3dc;--line:#8a8780;--box:#24262a;--edge:#474a50}}
.rule-graph text{font:12px system-ui,sans-serif;fill:var(--ink);text-anchor:middle}
.rule-graph rect{fill:var(--box);stroke:var(--edge)}
.rule-graph path{fill:none;stroke:var(--line);stroke-width:1.2}
.rule-graph .back{stroke-dasharray:4 3}
.rule-graph .note{font-style:italic;text-anchor:start}"""


def read_dot(text: str) -> Edges:
    """Rules and what hangs on them, from `snakemake --rulegraph dot`; a rule without dependents has an empty set."""
    names = dict(re.findall(r'^\s*(\d+)\[label = "([^"]+)"', text, re.MULTILINE))
    edges: Edges = {name: set() for name in names.values()}
    for start, end in re.findall(r"^\s*(\d+) -> (\d+)\s*$", text, re.MULTILINE):
        edges[names[start]].add(names[end])
    return edges


def without_cycles(edges: Mapping[str, set[str]]) -> tuple[Edges, list[tuple[str, str]]]:
    """The edges without those that lead back, and these.

    Of the rules of a cycle, the one is sought whose edges into the cycle are the fewest that must go. Edges of a rule to
    itself go without a word.
    """
    forward: Edges = {name: set(ends) - {name} for name, ends in edges.items()}
    back: list[tuple[str, str]] = []
    while cycle := _a_cycle(forward):
        reach = {name: _reachable(forward, name) for name in forward}
        knot = sorted(name for name in forward if cycle in reach[name] and name in reach[cycle])

        def cost(name: str, knot: list[str] = knot) -> tuple[bool, int, str]:
            trial = {start: ends - set(knot) if start == name else ends for start, ends in forward.items()}
            inside = {start: trial[start] & set(knot) for start in knot}
            return _a_cycle(inside) is not None, len(forward[name] & set(knot)), name

        cut = min(knot, key=cost)
        back += [(cut, end) for end in sorted(forward[cut] & set(knot))]
        forward[cut] -= set(knot)
    return forward, back


def _a_cycle(edges: Mapping[str, set[str]]) -> str | None:
    """A rule that reaches itself, if there is one."""
    return next((name for name in sorted(edges) if name in _reachable(edges, name)), None)


def _reachable(edges: Mapping[str, set[str]], start: str) -> set[str]:
    found, waiting = set(), [start]
    while waiting:
        for end in edges[waiting.pop()] - found:
            found.add(end)
            waiting.append(end)
    return found


def reduced(edges: Mapping[str, set[str]]) -> Edges:
    """The edges of a graph without cycles, less those that a longer way makes up for."""
    reach = {name: _reachable(edges, name) for name in edges}
    return {
        name: {end for end in ends if not any(end in reach[other] for other in ends)} for name, ends in edges.items()
    }


def layers_of(edges: Mapping[str, set[str]]) -> dict[str, int]:
    """Layer of each rule: one more than the deepest that it hangs on, and sources right above what they feed."""
    before: Edges = {name: {start for start in edges if name in edges[start]} for name in edges}
    layer: dict[str, int] = {}

    def place(name: str) -> int:
        if name not in layer:
            layer[name] = 1 + max((place(start) for start in before[name]), default=-1)
        return layer[name]

    for name in sorted(edges):
        place(name)
    for name in sorted(edges, key=lambda name: -layer[name]):
        if edges[name] and not before[name]:
            layer[name] = min(layer[end] for end in edges[name]) - 1
    return layer


def draw(edges: Mapping[str, set[str]]) -> str:
    """The graph as one SVG element that stands alone or inside a page."""
    forward, back = without_cycles(edges)
    joined = {*(name for name, ends in forward.items() if ends), *(end for ends in forward.values() for end in ends)}
    forward = reduced({name: ends for name, ends in forward.items() if name in joined})
    layer = layers_of(forward)
    back = sorted(back, key=lambda edge: layer[edge[1]])[:1]
    rows, links = _with_bends(forward, layer)
    neighbours: dict[str, list[str]] = {name: [] for row in rows for name in row}
    for start, end in links:
        neighbours[start].append(end)
        neighbours[end].append(start)
    rows = _ordered(rows, neighbours)
    place = _relaxed(rows, neighbours)
    width = max(x + _width(name) / 2 for name, (x, _) in place.items()) + MARGIN
    height = len(rows) * LAYER_HEIGHT - (LAYER_HEIGHT - BOX_HEIGHT) + 2 * MARGIN
    right = width + (100 if back else 0)
    parts = [_curve(place[start], place[end], _is_rule(start), _is_rule(end)) for start, end in links]
    parts += [_loop(place[start], place[end], _width(start), _width(end), width) for start, end in back]
    if back:
        y = (place[back[0][0]][1] + place[back[0][1]][1]) / 2
        parts.append(f'<text class="note" x="{width + 10:.0f}" y="{y:.0f}">next iteration</text>')
    for name, (x, y) in place.items():
        if _is_rule(name):
            wide = _width(name)
            parts.append(
                f'<rect x="{x - wide / 2:.1f}" y="{y - BOX_HEIGHT / 2:.1f}" width="{wide:.1f}" height="{BOX_HEIGHT}" '
                f'rx="6"/><text x="{x:.1f}" y="{y + 4:.1f}">{html.escape(name.replace("_", " "))}</text>'
            )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="rule-graph" role="img" aria-label="Rules of the workflow" '
        f'viewBox="0 0 {right:.0f} {height:.0f}" width="{right:.0f}" height="{height:.0f}"><style>{STYLE}</style>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _is_rule(name: str) -> bool:
    return not name.startswith(">")


def _width(name: str) -> float:
    return len(name) * CHARACTER_WIDTH + PADDING if _is_rule(name) else 8.0


def _with_bends(
    edges: Mapping[str, set[str]], layer: Mapping[str, int]
) -> tuple[list[list[str]], list[tuple[str, str]]]:
    """Rules by layer, and links between neighbouring layers; a longer edge gets a bend (`>…`) in each layer between."""
    rows: list[list[str]] = [[] for _ in range(max(layer.values()) + 1)]
    links = []
    for name in sorted(layer):
        rows[layer[name]].append(name)
    for start in sorted(edges):
        for end in sorted(edges[start]):
            last = start
            for between in range(layer[start] + 1, layer[end]):
                bend = f">{start}>{end}>{between}"
                rows[between].append(bend)
                links.append((last, bend))
                last = bend
            links.append((last, end))
    return rows, links


def _ordered(rows: list[list[str]], neighbours: Mapping[str, list[str]]) -> list[list[str]]:
    """Each layer in the order of its neighbours' mean places, swept down and up."""
    for _ in range(SWEEPS):
        for number in [*range(len(rows)), *reversed(range(len(rows)))]:
            place = {name: x for name, (x, _) in _places(rows).items()}
            rows[number] = sorted(
                rows[number], key=lambda name: (_mean_place(neighbours[name], place, place[name]), name)
            )
    return rows


def _relaxed(rows: list[list[str]], neighbours: Mapping[str, list[str]]) -> dict[str, tuple[float, float]]:
    """Places where each rule is drawn towards its neighbours as far as the others of its layer let it."""
    place = _places(rows)
    for _ in range(4 * SWEEPS):
        for row in rows:
            across = {name: x for name, (x, _) in place.items()}
            wanted = [_mean_place(neighbours[name], across, across[name]) for name in row]
            apart = [(_width(one) + _width(other)) / 2 + GAP for one, other in itertools.pairwise(row)]
            pushed_right, pushed_left = wanted[:1], wanted[-1:]
            for want, least in zip(wanted[1:], apart, strict=True):
                pushed_right.append(max(want, pushed_right[-1] + least))
            for want, least in zip(wanted[-2::-1], reversed(apart), strict=True):
                pushed_left.append(min(want, pushed_left[-1] - least))
            for name, right, left in zip(row, pushed_right, reversed(pushed_left), strict=True):
                place[name] = ((right + left) / 2, place[name][1])
    start = min(x - _width(name) / 2 for name, (x, _) in place.items())
    return {name: (x - start + MARGIN, y) for name, (x, y) in place.items()}


def _mean_place(names: list[str], place: Mapping[str, float], otherwise: float) -> float:
    return sum(place[name] for name in names) / len(names) if names else otherwise


def _places(rows: list[list[str]]) -> dict[str, tuple[float, float]]:
    """Centre of every rule and bend: each layer is packed and centred."""
    widths = [sum(map(_width, row)) + GAP * (len(row) - 1) for row in rows]
    widest, place = max(widths), {}
    for number, row in enumerate(rows):
        x = MARGIN + (widest - widths[number]) / 2
        for name in row:
            place[name] = (x + _width(name) / 2, MARGIN + BOX_HEIGHT / 2 + number * LAYER_HEIGHT)
            x += _width(name) + GAP
    return place


def _curve(start: tuple[float, float], end: tuple[float, float], from_box: bool, to_box: bool) -> str:
    y0 = start[1] + (BOX_HEIGHT / 2 if from_box else 0)
    y1 = end[1] - (BOX_HEIGHT / 2 if to_box else 0)
    middle = (y0 + y1) / 2
    return f'<path d="M{start[0]:.1f} {y0:.1f}C{start[0]:.1f} {middle:.1f} {end[0]:.1f} {middle:.1f} {end[0]:.1f} {y1:.1f}"/>'


def _loop(start: tuple[float, float], end: tuple[float, float], wide: float, other: float, right: float) -> str:
    """An edge back up, around the right of everything."""
    return (
        f'<path class="back" d="M{start[0] + wide / 2:.1f} {start[1]:.1f}H{right - 8:.1f}Q{right:.1f} {start[1]:.1f} '
        f"{right:.1f} {start[1] - 8:.1f}V{end[1] + 8:.1f}Q{right:.1f} {end[1]:.1f} {right - 8:.1f} {end[1]:.1f}"
        f'H{end[0] + other / 2:.1f}"/>'
    )
