"""Imports point down only, formulas use our own exp and log, and only the command line prints."""

import ast
import subprocess
from pathlib import Path

import pytest

import streamloss

PACKAGE = Path(streamloss.__file__).parent

FOLDERS = [
    "errors",
    "core",
    "formulas",
    "storage",
    "aggregation",
    "planning",
    "kernels",
    "execution",
    "api",
    "losses",
    "nn",
    "cli",
    "",
    "__main__",
]
"""The top of the package, lowest first: each imports only from itself and from what stands before it. "" is the package
itself, whose names are resolved on first use; an import inside a function counts like any other.
"""

MOST_ENTRIES = 17
"""Folders of the repository and entries of the package together: what a newcomer reads before opening anything."""

COMPILER, CUDA_COMPILER = "core.compiler", "core.cuda_compiler"
"""The only modules that name the decorators of Numba, and of numba-cuda."""

BEHIND_CUDA = {
    "core.cuda_cache",
    "core.cuda_compiler",
    "core.cuda_memory",
    "execution.gpu",
    "storage.sources.gpu",
    "storage.sinks.gpu",
}
"""Modules, beside kernels.cuda, that need numba-cuda: others import them inside functions only."""

PACKAGE_NAMES = {"evaluate", "plan", "merge"}
"""Public functions: importing a top-level module of the same name would overwrite them."""


def modules():
    """Yield all modules as (name inside the package, tree)."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        yield ".".join(parts), path, ast.parse(path.read_text(encoding="utf-8"))


MODULES = list(modules())
NAMES = {name for name, _, _ in MODULES}
TREES = [pytest.param(name, path, tree, id=name or "streamloss") for name, path, tree in MODULES]


def folder(module):
    """Return the entry of FOLDERS that a module belongs to."""
    return module.partition(".")[0]


def level(module):
    """Return the position in FOLDERS."""
    return FOLDERS.index(folder(module))


def is_type_checking(node):
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def statements(tree):
    """Yield all nodes with whether they are inside a function, but not code that only type checkers see."""
    todo = [(tree, False)]
    while todo:
        node, lazy = todo.pop()
        yield node, lazy
        inner = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        children = node.orelse if is_type_checking(node) else ast.iter_child_nodes(node)
        todo += [(child, inner) for child in children]


def imports(module, path, tree):
    """Yield imports of our own modules: (imported module, what of it, whether inside a function)."""
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
    """Return pairs of modules: the first imports the second."""
    return [(module, imported) for module, path, tree in MODULES for imported, _, _ in imports(module, path, tree)]


def test_the_test_sees_imports():
    assert ("kernels.cpu", "kernels.build") in edges()
    assert ("formulas.crossentropy", "formulas._scalar") in edges()
    assert ("execution", "execution.threads") in edges(), "an import inside a function"


def test_every_entry_of_the_package_is_in_the_order():
    assert {folder(module) for module in NAMES} == set(FOLDERS), f"put it where it belongs in {__file__}"


def test_imports_point_down():
    upwards = [f"{module} imports {imported}" for module, imported in edges() if level(imported) > level(module)]
    assert not upwards


def test_the_top_can_be_read_at_a_glance():
    package = {folder(module) for module in NAMES} - {"", "__main__"}
    listed = subprocess.run(["git", "ls-files"], cwd=PACKAGE.parent, capture_output=True, text=True, check=False).stdout
    folders = {line.partition("/")[0] for line in listed.splitlines() if "/" in line and not line.startswith(".")}
    assert len(package) + len(folders - {PACKAGE.name}) <= MOST_ENTRIES, (package, folders)


def test_no_module_hides_a_public_function():
    assert not PACKAGE_NAMES & {folder(module) for module in NAMES}


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
    if folder(module) in ("cli", "__main__"):
        return
    for node in ast.walk(tree):
        called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id
        assert called != "print", f"{path}:{node.lineno}"
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {getattr(node, "module", None), *(alias.name for alias in node.names)}
            assert not {"click", *["rich"] * (module != "api.progress")} & {
                str(name).partition(".")[0] for name in names
            }, f"{path}:{node.lineno}"


@pytest.mark.parametrize(("module", "path", "tree"), TREES)
def test_formulas_use_our_own_elementary_functions(module, path, tree):
    """The C library's last bits, behind math and NumPy, differ between platforms."""
    if not module.startswith("formulas."):
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
    if module in (COMPILER, CUDA_COMPILER):
        return
    for node in ast.walk(tree):
        text = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
        assert text not in ("njit", "jit", "vectorize", "guvectorize"), f"{path}:{node.lineno}: use streamloss.core.jit"


@pytest.mark.parametrize(("module", "path", "tree"), TREES)
def test_numba_is_imported_where_something_is_compiled(module, path, tree):
    """A process that finds its kernels in the cache never waits for Numba's import."""
    if module in (COMPILER, "core.object_files") or module in BEHIND_CUDA or module.startswith("kernels.cuda"):
        return
    for node, lazy in statements(tree):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        heavy = [name for name in names if name.partition(".")[0] in ("numba", "llvmlite")]
        assert lazy or not heavy or module in ("core.machine_code", "core.kernel_cache"), f"{path}:{node.lineno}"


def test_cuda_is_imported_only_where_it_was_asked_for():
    behind = BEHIND_CUDA | {name for name in NAMES if name.startswith("kernels.cuda")}
    for module, path, tree in MODULES:
        for imported, _, lazy in imports(module, path, tree):
            if imported in behind and module not in behind:
                assert lazy, f"{module} imports {imported} at its start"


@pytest.mark.parametrize(("module", "path", "tree"), TREES)
def test_one_module_knows_who_compiles_for_cuda(module, path, tree):
    if module == CUDA_COMPILER:
        return
    for node in ast.walk(tree):
        names = [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        assert not [name for name in names if name.startswith(("numba.cuda", "numba_cuda", "cuda"))], path
