"""Plots of results, as axes of matplotlib."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import MissingExtraError, UnknownNameError, UsageError
from .comparison import KEYLESS
from .numbers import number_of
from .sections import mean_of, names_of_keys

MOST_GROUPS = 40
"""The most groups of a plot: those with the largest shares of the sum."""


class Plots:
    """Plots of what a result holds, each drawn into matplotlib axes that are passed or made, and returned."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        """`document` is what `to_dict` returns."""
        self._document = document

    def groups(self, loss: str | None = None, *, ax: Any = None) -> Any:
        """Draw the mean of each group of `by` with its 95 % interval, where there is one, and return the axes.

        `loss` names the one of several losses. Raises UsageError without groups, and MissingExtraError without
        matplotlib.
        """
        name, of_loss = self._loss(loss)
        rows = of_loss.get("groups")
        if not rows:
            raise UsageError(f"{name} has no groups; pass by= to the evaluation.")
        keys = names_of_keys(rows)
        top = sorted(rows, key=lambda of: -_finite(of.get("share")))[:MOST_GROUPS][::-1]
        axes = _axes(ax, 0.28 * len(top) + 1)
        ends = [(number_of(of.get("low")), number_of(of.get("high"))) for of in top]
        _intervals(axes, [mean_of(of) for of in top], ends, [", ".join(str(of[key]) for key in keys) for of in top])
        axes.axvline(mean_of(of_loss), color="0.5", linestyle="--", linewidth=1)
        axes.set(xlabel=f"mean of {name}", ylabel=", ".join(keys))
        return axes

    def histogram(self, loss: str | None = None, *, ax: Any = None) -> Any:
        """Draw the distribution of the losses of rows, and return the axes. Raises as :meth:`groups` does."""
        name, of_loss = self._loss(loss)
        bins = (of_loss.get("statistics") or {}).get("histogram")
        if not bins:
            raise UsageError(f'{name} has no histogram; pass stats="histogram" to the evaluation.')
        axes = _axes(ax)
        ends = [(number_of(of["low"]), number_of(of["high"]), of["count"]) for of in bins]
        ends = [(low, high, count) for low, high, count in ends if math.isfinite(low) and math.isfinite(high)]
        logarithmic = all(low >= 0 for low, _, _ in ends)
        if logarithmic and any(low > 0 for low, _, _ in ends):
            axes.set_xscale("log")
            ends = [end for end in ends if end[0] > 0]
        axes.bar(
            [low for low, _, _ in ends],
            [count for _, _, count in ends],
            [high - low for low, high, _ in ends],
            align="edge",
            edgecolor="white",
        )
        axes.set(xlabel=name, ylabel="rows")
        return axes

    def reliability(self, loss: str | None = None, *, ax: Any = None) -> Any:
        """Draw how often predictions of some probability are right, and return the axes. Raises as :meth:`groups`."""
        name, of_loss = self._loss(loss)
        bins = (of_loss.get("statistics") or {}).get("calibration_bins")
        if not bins:
            raise UsageError(f'{name} has no calibration; pass stats="calibration" to the evaluation.')
        axes = _axes(ax)
        axes.plot([0, 1], [0, 1], color="0.5", linestyle="--", linewidth=1)
        axes.plot([number_of(of["confidence"]) for of in bins], [number_of(of["accuracy"]) for of in bins], "o-")
        axes.set(
            xlabel="predicted probability", ylabel="share that was right", xlim=(0, 1), ylim=(0, 1), aspect="equal"
        )
        return axes

    def running(self, loss: str | None = None, *, ax: Any = None) -> Any:
        """Draw the means of equal ranges of the rows, in their order, and return the axes. Raises as :meth:`groups`."""
        name, of_loss = self._loss(loss)
        ranges = (of_loss.get("statistics") or {}).get("running")
        if not ranges:
            raise UsageError(f'{name} has no running loss; pass stats="running" to the evaluation.')
        axes = _axes(ax)
        axes.plot([of["range"] for of in ranges], [number_of(of["mean"]) for of in ranges])
        axes.axhline(mean_of(of_loss), color="0.5", linestyle="--", linewidth=1)
        axes.set(xlabel=f"range of the rows, of {len(ranges):,}", ylabel=f"mean of {name}")
        return axes

    def comparison(self, loss: str | None = None, *, ax: Any = None) -> Any:
        """Draw how models differ from the baseline, with 95 % intervals, by group where there are some.

        Returns the axes. Raises UsageError for the result of one model, and MissingExtraError without matplotlib.
        """
        document = self._document
        if "comparison" not in document:
            raise UsageError("this is the result of one model; sl.compare compares several.")
        losses = list(dict.fromkeys(of["loss"] for of in document["comparison"]))
        name = _one(loss, losses)
        rows = [
            of
            for of in [*document["comparison"], *(document.get("groups") or [])]
            if of["loss"] == name and of["model"] != document["baseline"]
        ][:MOST_GROUPS][::-1]
        labels = [", ".join([*(str(of[key]) for key in of if key not in KEYLESS), of["model"]]) for of in rows]
        axes = _axes(ax, 0.28 * len(rows) + 1)
        ends = [(number_of(of["low"]), number_of(of["high"])) for of in rows]
        _intervals(axes, [number_of(of["difference"]) for of in rows], ends, labels)
        axes.axvline(0, color="0.5", linestyle="--", linewidth=1)
        axes.set(xlabel=f"{name}: difference to {document['baseline']}")
        return axes

    def _loss(self, loss: str | None) -> tuple[str, Mapping[str, Any]]:
        losses = self._document.get("result", self._document)["losses"]
        name = _one(loss, list(losses))
        return name, losses[name]


def _one(name: str | None, names: Sequence[str]) -> str:
    if name is None:
        if len(names) != 1:
            raise UsageError(f"there are {len(names)} losses: {', '.join(names)}; name one: groups({names[0]!r}).")
        return names[0]
    if name not in names:
        raise UnknownNameError("loss", name, names)
    return name


def _axes(ax: Any, height: float = 4.0) -> Any:
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise MissingExtraError("plot", "plot") from error
    return pyplot.subplots(figsize=(7, height), layout="constrained")[1]


def _intervals(axes: Any, values: Sequence[float], ends: Sequence[tuple[float, float]], labels: Sequence[str]) -> None:
    for i, (low, high) in enumerate(ends):
        axes.plot([low, high], [i, i], color="C0", alpha=0.4, linewidth=4, solid_capstyle="butt")
    axes.plot(values, range(len(values)), "o", color="C0")
    axes.set_yticks(range(len(values)), labels)


def _finite(value: Any) -> float:
    number = number_of(value)
    return number if math.isfinite(number) else 0.0
