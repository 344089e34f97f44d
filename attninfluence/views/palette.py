"""The colours of every piece, in light and in dark."""

from __future__ import annotations

LIGHT = {
    "page": "#fdfcf9",
    "panel": "#f5f2ea",
    "ink": "#1f2328",
    "quiet": "#5a5f66",
    "rule": "#d9d4c7",
    "accent": "#a8481a",
    "bar": "#8d887c",
    "control": "#2f6a99",
    "nan": "#e4e0d6",
}
DARK = {
    "page": "#16181c",
    "panel": "#1e2126",
    "ink": "#e6e3dc",
    "quiet": "#a5a39c",
    "rule": "#383c43",
    "accent": "#f0945c",
    "bar": "#73767c",
    "control": "#74aec6",
    "nan": "#2b2e34",
}
# A cell's background and the colour of the number on it, from the lowest value to the highest.
SEQUENTIAL_LIGHT = (
    ("#f3f0e8", "#1f2328"),
    ("#e0e5e4", "#1f2328"),
    ("#c8d9e0", "#1f2328"),
    ("#adcadb", "#1f2328"),
    ("#8cb8d1", "#1f2328"),
    ("#699fc4", "#14171a"),
    ("#3c74a1", "#ffffff"),
    ("#285d8c", "#ffffff"),
    ("#17446f", "#ffffff"),
)
SEQUENTIAL_DARK = (
    ("#20242a", "#e6e3dc"),
    ("#222d36", "#e6e3dc"),
    ("#233a49", "#e6e3dc"),
    ("#254a5e", "#e6e3dc"),
    ("#285b74", "#e6e3dc"),
    ("#4f95b4", "#0f1114"),
    ("#74aec6", "#0f1114"),
    ("#9bc7d8", "#0f1114"),
    ("#c6e3ec", "#0f1114"),
)
# A token's background by the rise of its loss: a step below zero (blue) and a step above (orange).
FALL_LIGHT = ("#e3ecf4", "#cbddec", "#aecbe3", "#8db5d8", "#6b9dc9")
RISE_LIGHT = ("#fbe7d9", "#f8d2b7", "#f4b890", "#ee9b6b", "#e57f4c")
FALL_DARK = ("#1f2a35", "#21384c", "#224867", "#22567d", "#245f90")
RISE_DARK = ("#33271f", "#4d301f", "#68391d", "#81401b", "#9a4717")
STEPS = len(RISE_LIGHT)
