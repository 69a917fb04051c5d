"""The docstrings and signatures of the losses, from their declarations: sections as numpydoc has them."""

from __future__ import annotations

import functools
import inspect
import operator
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ..formulas._parameters import Parameter
from ..formulas._registry import Declaration

OF_EVERY_LOSS = (
    (
        "reduction : str or None, default 'sum_over_batch_size'",
        "A name of `Reduction`, in any case; None: no reduction.",
    ),
    ("name : str", "Names the loss in results."),
    (
        "dtype : str, default None",
        "'float64' makes the losses of rows float64 whatever the predictions' dtype; 'float16' and 'bfloat16' round "
        "labels and predictions to it first, and make losses float32.",
    ),
)
ARRAYS = (
    ("y_true : array_like", "Labels."),
    ("y_pred : array_like", "Predictions; float64 makes losses float64, anything else float32."),
)
RAISES_OF_CALLS = (
    ("ShapeError", "Where the arrays do not align."),
    ("ValueRangeError", "For a label or prediction that has no loss; the message names it."),
)
RAISES_OF_PARAMETERS = (("UsageError", "For a parameter that is unknown, or not in the range of its values."),)
_WIDTH = 100


def class_doc(declaration: Declaration) -> str:
    """Return the docstring of a class of losses."""
    summary, notes, source, example = parts(declaration.doc)
    return _joined(
        summary,
        _section("Parameters", [*_parameters(declaration.parameters), *OF_EVERY_LOSS]),
        _section("Raises", RAISES_OF_PARAMETERS),
        _texts("Notes", [*notes, *_other_names(declaration)]),
        _texts("References", [source] if source else []),
        _texts("Examples", [example] if example else []),
    )


def function_doc(declaration: Declaration) -> str:
    """Return the docstring of the function form of a loss."""
    summary, notes, source, example = parts(declaration.doc)
    returns = [("array", "The losses of rows, unreduced, in the losses' shape: float64 for float64 predictions, else "
                "float32.")]  # fmt: skip
    return _joined(
        summary,
        _section("Parameters", [*ARRAYS, *_parameters(declaration.parameters)]),
        _section("Returns", returns),
        _section("Raises", [*RAISES_OF_CALLS, *RAISES_OF_PARAMETERS]),
        _texts("Notes", [*notes, *_other_names(declaration)]),
        _texts("References", [source] if source else []),
        _texts(
            "Examples", [f"By :class:`{declaration.class_name}`, which reduces what this function returns:", example]
        ),
    )


def parts(doc: str) -> tuple[str, list[str], str, str]:
    """Return the summary with the formula, further paragraphs, the source and the example of a declaration; those that
    it has not, as one that a user wrote may not, are empty.
    """
    summary, *rest = doc.split("\n\n")
    notes = [text for text in rest if not text.startswith(("Source:", ">>>"))]
    source = next((text.removeprefix("Source:").strip() for text in rest if text.startswith("Source:")), "")
    example = "\n\n".join(text for text in rest if text.startswith(">>>"))
    return summary, notes, source, example


def annotation(parameter: Parameter) -> Any:
    """Return the type of a parameter's values, for signatures and stubs."""
    if parameter.choices:
        return Literal[parameter.choices]
    types = [kind for kind in parameter.types if kind is not int or float not in parameter.types]
    several: Any = Sequence
    lists = [several[functools.reduce(operator.or_, (kind for kind in types if kind is not type(None)))]]
    alternatives = [*types, *lists * parameter.several]
    return functools.reduce(operator.or_, sorted(alternatives, key=lambda kind: kind is type(None)))  # None comes last


def signature(positional: Sequence[str], defaults: Mapping[str, Any], types: Mapping[str, Any]) -> inspect.Signature:
    """Return the signature with `positional` in their order, and the others by keyword."""
    either, keyword = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    rest = [name for name in defaults if name not in positional]
    kinds = [(name, either) for name in positional] + [(name, keyword) for name in rest]
    empty = inspect.Parameter.empty
    return inspect.Signature(
        [
            inspect.Parameter(name, kind, default=defaults[name], annotation=types.get(name, empty))
            for name, kind in kinds
        ]
    )


def _parameters(parameters: Mapping[str, Parameter]) -> list[tuple[str, str]]:
    described = []
    for name, parameter in parameters.items():
        where = f", in {parameter.interval}" if parameter.interval else ""
        several = " or a list" * parameter.several
        text = f"{parameter.doc[0].upper()}{parameter.doc[1:]}."
        described.append((f"{name} : default {parameter.default!r}{where}{several}", text))
    return described


def _other_names(declaration: Declaration) -> list[str]:
    names = " ".join(f"``{name}``," for name in declaration.aliases).rstrip(",")
    return [f"Other names: {names}."] if names else []


def _section(title: str, entries: Sequence[tuple[str, str]]) -> str:
    lines = [title, "-" * len(title)]
    for head, text in entries:
        lines += [head, *textwrap.wrap(text, _WIDTH, initial_indent="    ", subsequent_indent="    ")]
    return "\n".join(lines)


def _texts(title: str, paragraphs: Sequence[str]) -> str:
    return "\n".join([title, "-" * len(title), "\n\n".join(paragraphs)]) if any(paragraphs) else ""


def _joined(*sections: str) -> str:
    return "\n\n".join(filter(None, sections))
