"""The graph of the workflow's rules as SVG, laid out in layers from top to bottom.

Rules that feed each other over the iterations form a cycle; one dashed edge, to the highest of them, says "next
iteration". An edge that follows from others is left out, as graphviz' tred does, and so is a rule that hangs on no other.
"""

import html
import itertools
import re
from collections.abc import Mapping

import networkx as nx

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


def read_dot(text: str) -> nx.DiGraph:
    """Rules and what hangs on them, from `snakemake --rulegraph dot`."""
    names = dict(re.findall(r'^\s*(\d+)\[label = "([^"]+)"', text, re.MULTILINE))
    graph = nx.DiGraph()
    graph.add_nodes_from(names.values())
    links = re.findall(r"^\s*(\d+) -> (\d+)\s*$", text, re.MULTILINE)
    graph.add_edges_from((names[start], names[end]) for start, end in links)
    return graph


def without_cycles(graph: nx.DiGraph) -> tuple[nx.DiGraph, list[tuple[str, str]]]:
    """The graph without the edges that lead back, and these.

    Of the rules of a cycle, the one is sought whose edges into the cycle are the fewest that must go. Edges of a rule to
    itself go without a word.
    """
    forward = nx.DiGraph(edge for edge in graph.edges if edge[0] != edge[1])
    back: list[tuple[str, str]] = []
    while cycles := [rules for rules in nx.strongly_connected_components(forward) if len(rules) > 1]:
        knot = forward.subgraph(min(cycles, key=min))

        def cost(name: str, knot: nx.DiGraph = knot) -> tuple[bool, int, str]:
            trial = nx.restricted_view(knot, [], knot.out_edges(name))
            return not nx.is_directed_acyclic_graph(trial), knot.out_degree(name), name

        cut = sorted(knot.out_edges(min(knot, key=cost)))
        back += cut
        forward.remove_edges_from(cut)
    return forward, back


def layers_of(graph: nx.DiGraph) -> dict[str, int]:
    """Layer of each rule: one more than the deepest that it hangs on, and sources right above what they feed."""
    layer = {name: number for number, names in enumerate(nx.topological_generations(graph)) for name in names}
    for name in graph:
        if graph.in_degree(name) == 0 < graph.out_degree(name):
            layer[name] = min(layer[end] for end in graph[name]) - 1
    return layer


def draw(graph: nx.DiGraph) -> str:
    """The graph as one SVG element that stands alone or inside a page."""
    forward, back = without_cycles(graph)
    forward = nx.transitive_reduction(forward)
    layer = layers_of(forward)
    back = sorted(back, key=lambda edge: layer[edge[1]])[:1]
    rows, links = _with_bends(forward, layer)
    neighbours = nx.Graph(links)
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


def _with_bends(graph: nx.DiGraph, layer: Mapping[str, int]) -> tuple[list[list[str]], list[tuple[str, str]]]:
    """Rules by layer, and links between neighbouring layers; a longer edge gets a bend (`>…`) in each layer between."""
    rows: list[list[str]] = [[] for _ in range(max(layer.values()) + 1)]
    links = []
    for name in sorted(layer):
        rows[layer[name]].append(name)
    for start, end in sorted(graph.edges):
        bends = {between: f">{start}>{end}>{between}" for between in range(layer[start] + 1, layer[end])}
        for between, bend in bends.items():
            rows[between].append(bend)
        links += itertools.pairwise([start, *bends.values(), end])
    return rows, links


def _ordered(rows: list[list[str]], neighbours: nx.Graph) -> list[list[str]]:
    """Each layer in the order of its neighbours' mean places, swept down and up."""
    for _ in range(SWEEPS):
        for number in [*range(len(rows)), *reversed(range(len(rows)))]:
            place = {name: x for name, (x, _) in _places(rows).items()}
            rows[number] = sorted(rows[number], key=lambda name: (_mean_place(neighbours[name], place), name))
    return rows


def _relaxed(rows: list[list[str]], neighbours: nx.Graph) -> dict[str, tuple[float, float]]:
    """Places where each rule is drawn towards its neighbours as far as the others of its layer let it."""
    place = _places(rows)
    for _ in range(4 * SWEEPS):
        for row in rows:
            across = {name: x for name, (x, _) in place.items()}
            wanted = [_mean_place(neighbours[name], across) for name in row]
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


def _mean_place(names: Mapping[str, object], place: Mapping[str, float]) -> float:
    return sum(place[name] for name in names) / len(names)


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
