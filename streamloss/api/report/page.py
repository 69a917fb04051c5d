"""A report: one HTML file that needs nothing else, made of a result's JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ...errors import SourceError
from .comparison import comparison_of
from .elements import Element, document_of, element, table
from .numbers import number_of, shown
from .sections import mean_of, sections_of
from .style import STYLE

RESULTS, COMPARISON = ("streamloss.result/1", "streamloss.result/2"), "streamloss.comparison/1"
_ROLES = {role: i for i, role in enumerate(("y_true", "y_pred", "sample_weight", "mask"))}
EMBEDDED = 100_000
"""The most characters of JSON that a report holds beside what it shows."""
_LONG = 100
"""The most entries of each list of the JSON that is embedded where all of it would be too long."""


def html_of(document: Mapping[str, Any], name: str = "the result") -> str:
    """Return the report of a result or comparison, as `to_dict` and ``--json`` give them.

    Raises SourceError for what is none; `name` is what it is called there.
    """
    schema = document.get("schema") if isinstance(document, Mapping) else None
    if schema not in (*RESULTS, COMPARISON):
        raise SourceError(
            f"{name} has the schema {schema!r}; expected {RESULTS[-1]!r} or {COMPARISON!r}, which `streamloss evaluate "
            "--json` and `streamloss compare --json` write."
        )
    try:
        title = f"Comparison with {document['baseline']}" if schema == COMPARISON else "Result of streamloss"
        body = list(_body(document, title, schema == COMPARISON))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise SourceError(f"{name} is no result that streamloss wrote: {type(error).__name__}: {error}.") from error
    return document_of(title, STYLE, body)


def _body(document: Mapping[str, Any], title: str, is_comparison: bool) -> Iterator[Element]:
    result = document["result"] if is_comparison else document
    plan, losses = result.get("plan") or {}, result["losses"]
    yield element("h1", title)
    yield element("p", _run(result), class_="faint")
    for message in result.get("warnings") or ():
        yield element("p", f"Warning: {message}", class_="warning")
    if is_comparison:
        yield from comparison_of(document)
    else:
        for name, loss in losses.items():
            yield element("h2", name)
            yield _headline(loss)
            yield from sections_of(loss, plan.get("shape") or [])
    yield element("h2", "What was evaluated")
    yield from _arrays(plan)
    yield from _settings(losses)
    yield element("script", _json(document), type="application/json", id="streamloss")


def _run(result: Mapping[str, Any]) -> str:
    how = "merged" if result.get("executor") == "merge" else f"{result.get('workers')} × {result.get('executor')}"
    seconds, version = shown(number_of(result.get("seconds")), 3), result.get("streamloss")
    return f"{shown(result['rows'])} rows in {seconds} s, {how}, streamloss {version}. Sums are exact."


def _headline(loss: Mapping[str, Any]) -> Element:
    """Return the values of a loss, the one that counts first."""
    mean, reduction = mean_of(loss), str(loss["reduction"])
    weighted = loss["weighted_mean"] != loss["mean"]
    figures = [(shown(mean, 7), "weighted mean" if weighted else "mean")]
    if "low" in loss:
        of = f"95 % interval, {shown(loss['clusters'])} clusters" if "clusters" in loss else "95 % interval"
        figures.append((f"{shown(loss['low'], 5)} to {shown(loss['high'], 5)}", of))
    if reduction not in ("mean", "sum_over_batch_size", "auto") or weighted:
        figures.append((shown(loss["value"], 7), reduction))
    figures.append((shown(loss["count"]), "losses"))
    figures += [(shown(loss[name]), f"rows {name}") for name in ("ignored", "omitted") if loss.get(name)]
    return element(
        "div",
        *(element("div", element("b", value), element("span", what)) for value, what in figures),
        class_="figures",
    )


def _arrays(plan: Mapping[str, Any]) -> Iterator[Element]:
    arrays = plan.get("arrays") or {}
    body = [
        [role, str(of.get("where")), " × ".join(map(shown, of.get("shape") or [])), str(of.get("dtype"))]
        for role, of in sorted(arrays.items(), key=lambda item: (_ROLES.get(item[0], len(_ROLES)), item[0]))
    ]
    if body:
        yield element("div", table(["array", "place", "shape", "dtype"], body), class_="wide")


def _settings(losses: Mapping[str, Any]) -> Iterator[Element]:
    for name, loss in losses.items():
        config = loss.get("config") or {}
        given = ", ".join(
            f"{key}={value!r}" for key, value in sorted(config.items()) if key != "name" and value is not None
        )
        yield element("p", f"{name}: {loss.get('class_name', name)}({given})", class_="faint")


def _json(document: Mapping[str, Any]) -> str:
    """Return the JSON that the report holds, with long lists cut where it would be too long, and no end of a script."""
    text = json.dumps(document, sort_keys=True)
    if len(text) > EMBEDDED:
        text = json.dumps(_cut(document) | {"cut": f"lists of more than {_LONG} entries were cut"})
    return text.replace("<", "\\u003c") if len(text) <= 2 * EMBEDDED else "null"


def _cut(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: _cut(value) for key, value in content.items()}
    return [_cut(value) for value in content[:_LONG]] if isinstance(content, list | tuple) else content
