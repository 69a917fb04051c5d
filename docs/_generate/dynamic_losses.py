"""An extension of griffe, which reads the code for the reference: the losses are made as they are asked for, and have
no source to read, so they are read from the module as it is when it runs.
"""

import inspect
import re

import griffe

from streamloss import losses

DEFAULT = re.compile(r"^(\w+) : (.*?)(?:, )?\bdefault (?:'[^']*'|[^,\n]*?)(?:, (?=in )|(?= or a list)|$)", re.MULTILINE)
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
    cls.docstring = griffe.Docstring(_without_defaults(inspect.getdoc(made)), parent=cls, lineno=1)
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


def _without_defaults(doc):
    """Leave out the defaults in the types of parameters: the reference has them from the signature."""
    parameters = DEFAULT.sub(lambda match: f"{match[1]} : {match[2]}", doc)
    parameters = parameters.replace(" :  or a list", " : number or list")
    return re.sub(r"^(\w+) : *$", r"\1", parameters, flags=re.MULTILINE)


def _without_roles(part, seen):
    """Write Sphinx' roles, such as :func:`evaluate`, as code, which is what they are in Markdown."""
    if part.is_alias or id(part) in seen:
        return
    seen.add(id(part))
    if part.docstring is not None:
        part.docstring.value = ROLE.sub(r"`\1`", part.docstring.value)
    for member in part.members.values():
        _without_roles(member, seen)
