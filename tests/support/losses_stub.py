"""Print the type information of ``streamloss.losses``, from the declarations.

python tests/support/losses_stub.py > streamloss/losses.pyi
"""

import collections.abc
import inspect
import types
import typing

from streamloss import losses
from streamloss.api.loss import class_signature, function_signature
from streamloss.formulas._registry import declarations

HEAD = """\
# Written by tests/support/losses_stub.py, from the declarations of the losses: write it anew, never edit it.
from collections.abc import Sequence
from typing import Any, Literal

from .api.interop import deserialize as deserialize
from .api.interop import get as get
from .api.interop import is_categorical_crossentropy as is_categorical_crossentropy
from .api.interop import serialize as serialize
from .api.interop import to_categorical as to_categorical
from .api.loss import Loss as Loss
from .core.types import Reduction as Reduction
"""


def text_of(annotation):
    """Return a type as it is written in code."""
    if annotation is inspect.Parameter.empty:
        return "Any"
    if annotation in (None, type(None)):
        return "None"
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return " | ".join(map(text_of, typing.get_args(annotation)))
    origin, of = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return f"Literal[{', '.join(map(quoted, of))}]"
    if origin is collections.abc.Sequence:
        return f"Sequence[{', '.join(map(text_of, of))}]"
    return annotation.__name__


def parameters(signature, first=()):
    """Return the lines of a definition's parameters."""
    lines, keyword = list(first), False
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not keyword:
            keyword = True
            lines.append("*")
        default = "" if parameter.default is inspect.Parameter.empty else f" = {quoted(parameter.default)}"
        lines.append(f"{parameter.name}: {text_of(parameter.annotation)}{default}")
    return lines


def quoted(value):
    """Return a default as formatters write it."""
    return f'"{value}"' if isinstance(value, str) else repr(value)


def definition(head, lines, result, indent=""):
    inside = "".join(f"{indent}    {line},\n" for line in lines)
    return f"{indent}def {head}(\n{inside}{indent}) -> {result}: ...\n"


def stub():
    """Return the text of ``streamloss/losses.pyi``."""
    names = "".join(f'    "{name}",\n' for name in losses.__all__)
    text = [HEAD, f"__all__ = [\n{names}]\n"]
    for declaration in declarations():
        init = definition("__init__", parameters(class_signature(declaration), ["self"]), "None", "    ")
        text.append(f"class {declaration.class_name}(Loss):\n{init}")
        text.append(definition(declaration.name, parameters(function_signature(declaration)), "Any"))
        if declaration.aliases:
            text.append("".join(f"{alias} = {declaration.name}\n" for alias in declaration.aliases))
    return "\n".join(text)


if __name__ == "__main__":
    print(stub(), end="")
