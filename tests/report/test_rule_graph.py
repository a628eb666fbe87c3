"""The graph of the rules: cycles of the iterations, layers, and an SVG in which nothing lies on anything."""

import itertools
import re
import xml.etree.ElementTree

import networkx as nx

from dpo_stages.report.figures.rules import draw, layers_of, read_dot, without_cycles

DOT = """digraph snakemake_dag {
    graph[bgcolor=white, margin=0];
	0[label = "table", color = "0.1 0.6 0.85", style="rounded"];
	1[label = "train", color = "0.2 0.6 0.85", style="rounded"];
	2[label = "sample", color = "0.2 0.6 0.85", style="rounded"];
	3[label = "label", color = "0.2 0.6 0.85", style="rounded"];
	4[label = "fetch", color = "0.2 0.6 0.85", style="rounded"];
	5[label = "alone", color = "0.2 0.6 0.85", style="rounded"];
	1 -> 0
	1 -> 1
	1 -> 2
	2 -> 3
	3 -> 1
	4 -> 1
	4 -> 2
}
"""
EDGES = {
    "table": set(), "train": {"table", "train", "sample"}, "sample": {"label"}, "label": {"train"},
    "fetch": {"train", "sample"}, "alone": set(),
}  # fmt: skip


def test_snakemakes_graph_is_read():
    assert {name: set(ends) for name, ends in read_dot(DOT).adj.items()} == EDGES


def test_the_edge_back_into_the_next_iteration_is_found():
    edges = {**EDGES, "logps": {"train"}, "label": {"train", "logps"}, "train": EDGES["train"] | {"logps"}}
    forward, back = without_cycles(nx.DiGraph(edges))
    assert back == [("train", "logps"), ("train", "sample")]
    assert set(forward["train"]) == {"table"} and set(forward["sample"]) == {"label"}


def test_an_edge_that_follows_from_others_is_left_out():
    assert draw(nx.DiGraph({"a": {"b", "c"}, "b": {"c"}})).count("<path") == 2  # from a to b, and from b to c


def test_every_edge_leads_down():
    forward, _ = without_cycles(nx.DiGraph(EDGES))
    layer = layers_of(forward)
    assert all(layer[start] < layer[end] for start, end in forward.edges)


def test_boxes_lie_apart_and_inside_and_hold_their_names():
    svg = draw(nx.DiGraph(EDGES))
    root = xml.etree.ElementTree.fromstring(svg)
    _, _, width, height = map(float, root.get("viewBox").split())
    boxes = [
        tuple(float(rect.get(key)) for key in ("x", "y", "width", "height"))
        for rect in root.iter("{http://www.w3.org/2000/svg}rect")
    ]
    assert len(boxes) == 5  # a rule that hangs on no other is left out
    assert all(x >= 0 and y >= 0 and x + w <= width and y + h <= height for x, y, w, h in boxes)
    for (x, y, w, h), (a, b, c, d) in itertools.combinations(boxes, 2):
        assert x + w <= a or a + c <= x or y + h <= b or b + d <= y
    assert re.findall(r">([a-z ]+)</text>", svg).count("next iteration") == 1


def test_names_are_escaped():
    assert "<script>" not in draw(nx.DiGraph([("<script>", "b")]))
