"""An extension of griffe, which reads the code for the reference: the losses are made as they are asked for, and have
no source to read, so they are read from the module as it is when it runs.
"""

import inspect
import re
import types
import typing

import griffe

from streamloss import losses

DEFAULT = re.compile(
    r"^(?P<name>\w+) : default ('[^']*'|[^,\n]*?)(?P<interval>, in [\[(].*?[\])])?(?P<several> or a list)?$",
    re.MULTILINE,
)
NAMES = {type(None): "None"}
ROLE = re.compile(r":(?:class|func|meth|mod|attr):`~?([\w.]+)`")
KINDS = {
    inspect.Parameter.POSITIONAL_ONLY: griffe.ParameterKind.positional_only,
    inspect.Parameter.POSITIONAL_OR_KEYWORD: griffe.ParameterKind.positional_or_keyword,
    inspect.Parameter.VAR_POSITIONAL: griffe.ParameterKind.var_positional,
    inspect.Parameter.KEYWORD_ONLY: griffe.ParameterKind.keyword_only,
    inspect.Parameter.VAR_KEYWORD: griffe.ParameterKind.var_keyword,
}


class DynamicLosses(griffe.Extension):
    def on_package(self, *, pkg, **_):
        module = pkg.members["losses"]
        for name in [n for n in vars(losses)["__dir__"]() if isinstance(getattr(losses, n), type)]:
            made = getattr(losses, name)
            if made.__module__ == losses.__name__:
                module.set_member(name, _class_of(name, made, module))
        _without_roles(pkg, set())


def _class_of(name, made, module):
    cls = griffe.Class(name, parent=module, lineno=1, endlineno=1)
    cls.docstring = griffe.Docstring(
        _with_types(inspect.getdoc(made), inspect.signature(made).parameters), parent=cls, lineno=1
    )
    parameters = [
        griffe.Parameter(
            p.name,
            kind=KINDS[p.kind],
            default=None if p.default is inspect.Parameter.empty else repr(p.default),
        )
        for p in inspect.signature(made).parameters.values()
    ]
    init = griffe.Function("__init__", parameters=griffe.Parameters(*parameters), parent=cls, lineno=1, endlineno=1)
    cls.set_member("__init__", init)
    return cls


def _with_types(doc, parameters):
    """Write types in the place of defaults, which the signature has: "axis : default -1" is "axis : int or None"."""

    def typed(match):
        name, interval, several = match["name"], match["interval"] or "", match["several"] or ""
        interval = "" if "e+" in interval else interval  # of any integer
        annotation = parameters[name].annotation
        kinds = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
        names = [NAMES.get(kind) or getattr(kind, "__name__", "") for kind in kinds if not typing.get_args(kind)]
        choices = [
            repr(c) for kind in kinds if typing.get_origin(kind) is typing.Literal for c in typing.get_args(kind)
        ]
        return f"{name} : {' or '.join(names + choices)}{interval}{several}"

    return DEFAULT.sub(typed, doc)


def _without_roles(part, seen):
    """Write Sphinx' roles, such as :func:`evaluate`, as code, which is what they are in Markdown."""
    if part.is_alias or id(part) in seen:
        return
    seen.add(id(part))
    if part.docstring is not None:
        part.docstring.value = ROLE.sub(r"`\1`", part.docstring.value)
    for member in part.members.values():
        _without_roles(member, seen)
