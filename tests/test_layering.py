"""Imports point down only, formulas use our own exp and log, and only the command line prints."""

import ast
from pathlib import Path

import pytest

import streamloss

PACKAGE = Path(streamloss.__file__).parent

FLOORS = [
    {"errors", "types", "grid", "uris", "machine", "_jit", "_primitives"},
    {"exact", "losses.*"},
    {"kernels", "sources", "sinks"},
    {"cuda"},
    {"alignment", "reductions"},
    {"blocking", "jobs", "planning"},
    {"executors"},
    {"partial", "checkpoint", "collecting"},
    {"loss", "interop", "nn", "outputs", "result", "findings", "preparation", "chunks"},
    {"merging", "lazy", "evaluation", "losses", ""},
    {"config"},
    {"cli", "__main__"},
]
"""Lowest first; "losses" is the package's face, "losses.*" its families and registry, "" the package itself."""

APART = [("kernels", "sources"), ("kernels", "sinks")]
"""Rooms of one floor that do not know each other: mathematics and storage."""

LAZY_FACES = {"", "losses"}
"""Their functions may import upwards: names are loaded on first use, and nothing below calls them."""

TOOLKIT = "cuda.toolkit"
"""The only module that knows who compiles for CUDA."""

DOCUMENTED = {("loss", "evaluation")}
"""Calling a loss evaluates it: an import inside a function."""


def modules():
    """All modules as (name inside the package, tree)."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        yield ".".join(parts), path, ast.parse(path.read_text(encoding="utf-8"))


MODULES = list(modules())
NAMES = {name for name, _, _ in MODULES}
TREES = [pytest.param(name, path, tree, id=name or "streamloss") for name, path, tree in MODULES]


def room(module):
    """The entry of FLOORS that a module belongs to."""
    first, _, rest = module.partition(".")
    return "losses.*" if first == "losses" and rest else first


def floor(module):
    return next(i for i, rooms in enumerate(FLOORS) if room(module) in rooms)


def is_type_checking(node):
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def statements(tree):
    """All nodes with whether they are inside a function; what only type checkers see is left out."""
    todo = [(tree, False)]
    while todo:
        node, lazy = todo.pop()
        yield node, lazy
        inner = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        children = node.orelse if is_type_checking(node) else ast.iter_child_nodes(node)
        todo += [(child, inner) for child in children]


def imports(module, path, tree):
    """Imports of our own modules: (imported module, what of it, whether inside a function)."""
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    package = [part for part in package if part]
    for node, lazy in statements(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                assert alias.name.partition(".")[0] != "streamloss", f"{path}: import relatively"
        if not isinstance(node, ast.ImportFrom):
            continue
        assert node.level or node.module.partition(".")[0] != "streamloss", f"{path}: import relatively"
        if not node.level:
            continue
        base = package[: len(package) - (node.level - 1)] + (node.module.split(".") if node.module else [])
        for alias in node.names:
            full = ".".join([*base, alias.name])
            yield (full, "", lazy) if full in NAMES else (".".join(base), alias.name, lazy)


def edges():
    """Who imports whom, without the documented exceptions."""
    for module, path, tree in MODULES:
        for imported, _, lazy in imports(module, path, tree):
            if lazy and (module in LAZY_FACES or (module, imported) in DOCUMENTED):
                continue
            yield module, imported


def test_the_test_sees_the_house():
    assert ("executors.job", "kernels.cpu") in set(edges())
    assert ("losses.crossentropy", "losses._scalar") in set(edges())
    assert ("executors", "executors.threads") in set(edges()), "an import inside a function"
    assert ("loss", "evaluation") not in set(edges())


@pytest.mark.parametrize("module", sorted(NAMES))
def test_every_module_has_a_floor(module):
    assert any(room(module) in rooms for rooms in FLOORS), f"{module}: put it on a floor in {__file__}"


def test_imports_point_down():
    upwards = [
        f"{module} imports {imported}"
        for module, imported in edges()
        if floor(imported) > floor(module) and imported != ""
    ]
    assert not upwards


def test_only_the_version_is_taken_from_the_package_itself():
    taken = {name for module in MODULES for imported, name, _ in imports(*module) if imported == ""}
    assert taken <= {"__version__"}


@pytest.mark.parametrize(("one", "other"), APART)
def test_siblings_do_not_know_each_other(one, other):
    assert not [(m, i) for m, i in edges() if {room(m), room(i)} == {one, other}]


def test_no_cycles():
    graph = {}
    for module, imported in edges():
        if imported != module:
            graph.setdefault(module, set()).add(imported)
    done, path = set(), []

    def visit(module):
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module in done:
            return
        path.append(module)
        for imported in graph.get(module, ()):
            visit(imported)
        path.pop()
        done.add(module)

    for module in sorted(graph):
        visit(module)


@pytest.mark.parametrize(("module", "path", "tree"), TREES)
def test_only_the_command_line_prints(module, path, tree):
    if room(module) in ("cli", "__main__"):
        return
    for node in ast.walk(tree):
        called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id
        assert called != "print", f"{path}:{node.lineno}"
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {getattr(node, "module", None), *(alias.name for alias in node.names)}
            assert not {"click", "rich"} & {str(name).partition(".")[0] for name in names}, f"{path}:{node.lineno}"


@pytest.mark.parametrize(("module", "path", "tree"), TREES)
def test_formulas_use_our_own_elementary_functions(module, path, tree):
    """The C library's last bits, behind math and NumPy, differ between platforms."""
    if not module.startswith("losses."):
        return
    forbidden = {
        "exp", "exp2", "expm1", "log", "log1p", "log2", "log10", "logaddexp", "pow", "power", "tanh", "sinh", "cosh",
        "sin", "cos", "tan", "arctan", "atan", "cbrt", "erf", "gamma", "lgamma", "hypot",
    }  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            library = node.value.id in ("math", "np", "numpy", "cmath")
            assert not (library and node.attr in forbidden), f"{path}:{node.lineno}: {node.value.id}.{node.attr}"
        if isinstance(node, ast.ImportFrom) and node.module in ("math", "numpy"):
            assert not {alias.name for alias in node.names} & forbidden, f"{path}:{node.lineno}"


@pytest.mark.parametrize(("module", "path", "tree"), TREES)
def test_numba_is_configured_in_one_place(module, path, tree):
    if module in ("_jit", TOOLKIT):
        return
    for node in ast.walk(tree):
        text = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
        assert text not in ("njit", "jit", "vectorize", "guvectorize"), f"{path}:{node.lineno}: use streamloss.core.jit"


def test_cuda_is_imported_only_where_it_was_asked_for():
    behind = {"executors.cuda", *(name for name in NAMES if room(name) == "cuda")}
    for module, path, tree in MODULES:
        for imported, _, lazy in imports(module, path, tree):
            if imported in behind and module not in behind:
                assert lazy, f"{module} imports {imported} at its start"


@pytest.mark.parametrize(("module", "path", "tree"), TREES)
def test_one_module_knows_who_compiles_for_cuda(module, path, tree):
    if module == TOOLKIT:
        return
    for node in ast.walk(tree):
        names = [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        assert not [name for name in names if name.startswith(("numba.cuda", "numba_cuda", "cuda"))], path
