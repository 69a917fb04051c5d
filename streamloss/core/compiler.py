"""The compiler: Numba, which makes machine code of declared functions. Imported only where something is compiled.

The only options of Numba in the package are here, each with its reason:

``error_model="numpy"``: CUDA has no exceptions, so ``x / 0`` is inf (or NaN) on every target.
``nogil=True``: chunks are evaluated by threads side by side.
``fastmath=False``: fast-math flags let LLVM reorder sums and drop NaN checks; both would change bits.
``_nrt=False``: slices of arrays that the caller holds need no reference counting, whose atomic increments cost a third
in short loops. Nothing that is compiled here may allocate.
``forceinline=True``: LLVM would not vectorise a loop around a call: four times slower, measured. Numba's own inlining
(``inline="always"``) inlines as well, at twice the compile time, and refuses ``*arguments``.

Kernels for the cache are compiled apart from Numba's own code: see :mod:`.object_files`. Symbols hold the digest of
their function, so that in one program a name has one meaning.
"""

from __future__ import annotations

import itertools
from types import CellType, FunctionType
from typing import Any, cast

import numba
from llvmlite import binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.compiler_lock import global_compiler_lock
from numba.extending import intrinsic
from numba.np.numpy_support import from_dtype

from . import kernel_cache
from .arguments import BOOL, FLOAT64, INT64, ArgumentKind, ArrayKind, TupleKind, text_of_record
from .digest import Digestible, UnknownContentError, looked_up
from .machine_code import FAILED, Module, Program
from .object_files import MARK, compiling_apart, modules, needed_by

_COMMON: dict[str, Any] = {"error_model": "numpy", "fastmath": False, "nogil": True}
_OPTIONS: dict[str, dict[str, Any]] = {
    "scalar": {**_COMMON, "forceinline": True, "_nrt": False},
    "no_alloc": {**_COMMON, "_nrt": False},
    "compile_once": {**_COMMON, "_nrt": False},
    "inline": {**_COMMON, "inline": "always"},
    "loop": {**_COMMON, "_nrt": False},
}
_NEVER_FROM_PYTHON = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}

_ENTRY = "streamloss_entry"
_unnamed = itertools.count()


def dispatcher_of(function: Any, for_cache: bool) -> Any:
    """Return Numba's dispatcher, or intrinsic, of a declared function; see ``JitFunction.dispatcher``."""
    kind = function.kind
    if kind == "intrinsic":
        return function.dispatcher() if for_cache else cast(Any, intrinsic)(function.py_func)
    name, options = function.py_func.__qualname__, dict(_OPTIONS[kind])
    if for_cache:
        try:
            digest = function.digest.rpartition("-")[2]
        except UnknownContentError:
            digest = f"unnamed_{next(_unnamed)}"
        name = f"{function.py_func.__name__}_{MARK}_{kind}_{digest}"
    if for_cache or kind == "compile_once":
        options |= _NEVER_FROM_PYTHON
    dispatchers = with_dispatchers(function.function, name, for_cache)
    compiled = cast(Any, numba.njit)(**options)(dispatchers)
    if kind != "compile_once":
        return compiled
    return _called_by_symbol(function, compiled) if for_cache else _called(compiled)


def with_dispatchers(function: Any, name: str, for_cache: bool = False) -> FunctionType:
    """Return the same function under a name, with the dispatchers of the declared functions that it calls."""

    def replaced(value: Any) -> Any:
        return cast(Any, value).dispatcher(for_cache) if isinstance(value, Digestible) else value

    namespace = function.__globals__
    called = {known: replaced(namespace[known]) for known in looked_up(function.__code__) & namespace.keys()}
    cells = tuple(CellType(replaced(cell.cell_contents)) for cell in function.__closure__ or ())
    twin = FunctionType(function.__code__, {**namespace, **called}, function.__name__, function.__defaults__, cells)
    twin.__qualname__ = name
    return twin


def _called(compiled: Any) -> Any:
    """Return an intrinsic that calls a compiled function."""

    @intrinsic
    def call(typing: Any, *arguments: Any) -> Any:
        compiled.compile(arguments)
        found = compiled.overloads[arguments]

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            unpacked = cgutils.unpack_tuple(builder, *values)  # type: ignore[no-untyped-call]
            return context.call_internal(builder, found.fndesc, found.signature, unpacked)

        return found.signature.return_type(_together(arguments)), codegen

    return call


def _called_by_symbol(function: Any, compiled: Any) -> Any:
    """Return an intrinsic that calls a compiled function by its symbol: its module may come from the cache."""
    parts: dict[Any, _Part] = {}

    @intrinsic
    def call(typing: Any, *arguments: Any) -> Any:
        if arguments not in parts:
            parts[arguments] = _Part.of(function, compiled, arguments)
        part = parts[arguments]

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            kind = context.call_conv.get_function_type(part.returns, arguments)
            target = cgutils.get_or_insert_function(builder.module, kind, part.symbol)  # type: ignore[no-untyped-call]
            unpacked = cgutils.unpack_tuple(builder, *values)  # type: ignore[no-untyped-call]
            status, result = context.call_conv.call_function(builder, target, part.returns, arguments, unpacked)
            with cgutils.if_unlikely(builder, status.is_error):  # type: ignore[no-untyped-call]
                context.call_conv.return_status_propagate(builder, status)
            return result

        return part.returns(_together(arguments)), codegen

    return call


def _together(arguments: Any) -> Any:
    return types.StarArgTuple.from_types(arguments)  # type: ignore[no-untyped-call]


_RETURNED = {str(kind): kind for kind in (types.none, types.boolean, types.int64, types.float64)}
"""The types that parts return whose modules are kept in the cache."""


class _Part:
    """A function that kernels call by its symbol."""

    def __init__(self, symbol: str, returns: Any) -> None:
        self.symbol, self.returns = symbol, returns

    @classmethod
    def of(cls, function: Any, compiled: Any, arguments: Any) -> _Part:
        """Return the part for arguments of these Numba types, found or compiled."""
        try:
            key = kernel_cache.key_of("part", function.digest, *map(text_of_type, arguments))
        except UnknownContentError:
            key = None
        program = None if key is None else kernel_cache.find(key)
        if program is not None and program.returns in _RETURNED:
            modules.update(program.modules)
            return cls(program.entry, _RETURNED[program.returns])
        compiled.compile(arguments)
        made = compiled.overloads[arguments]
        part = cls(made.fndesc.llvm_func_name, made.signature.return_type)
        if key is not None and str(part.returns) in _RETURNED:
            kernel_cache.keep(key, Program(part.symbol, str(part.returns), needed_by(part.symbol)))
        return part


def program_of(function: Any, kinds: tuple[ArgumentKind, ...]) -> Program:
    """Compile a loop for arguments of these kinds, with all that it calls."""
    signature = tuple(map(_type_of, kinds))
    with global_compiler_lock, compiling_apart():
        compiled = function.dispatcher(for_cache=True)
        compiled.compile(signature)
        found = compiled.overloads[signature]
        symbol = found.fndesc.llvm_func_name
        entry = Module(_entry_of(found), (symbol,))
    return Program(_ENTRY, str(types.int64), {_ENTRY: entry, **needed_by(symbol)})


def _type_of(kind: ArgumentKind) -> Any:
    """Return the Numba type of a kind of argument."""
    if isinstance(kind, ArrayKind):
        return types.Array(from_dtype(kind.dtype), kind.ndim, "C")
    if isinstance(kind, TupleKind):
        items = tuple(map(_type_of, kind.items))
        return types.BaseTuple.from_types(items, kind.record)  # type: ignore[no-untyped-call]
    return {INT64: types.int64, FLOAT64: types.float64, BOOL: types.boolean}[kind]


def text_of_type(kind: Any) -> str:
    """Return a text that two Numba types share only if they are equal; Numba's own omits the fields of records."""
    if isinstance(kind, types.BaseTuple):
        record = getattr(kind, "instance_class", None)
        name = "" if record is None else text_of_record(record)
        return f"{name}({', '.join(map(text_of_type, kind))})"  # type: ignore[call-overload]
    return str(kind)


def _entry_of(found: Any) -> bytes:
    """Return the machine code of ``int64 streamloss_entry(int64 *words)``, which calls a compiled function."""
    context, word = found.target_context, ir.IntType(64)
    kind = context.call_conv.get_function_type(found.fndesc.restype, found.fndesc.argtypes)
    if kind.args[0].pointee != word:
        raise TypeError(f"a loop returns an int64; received {found.signature.return_type}")
    module = ir.Module("entry")
    target = ir.Function(module, kind, found.fndesc.llvm_func_name)
    function = ir.Function(module, ir.FunctionType(word, [word.as_pointer()]), _ENTRY)
    builder = ir.IRBuilder(function.append_basic_block())
    result, error = builder.alloca(word), builder.alloca(kind.args[1].pointee)
    arguments = []
    for i, expected in enumerate(kind.args[2:]):
        value = builder.load(builder.gep(function.args[0], [ir.Constant(word, i)]))
        if isinstance(expected, ir.PointerType):
            value = builder.inttoptr(value, expected)
        elif isinstance(expected, ir.DoubleType):
            value = builder.bitcast(value, expected)
        elif expected != word:
            value = builder.trunc(value, expected)
        arguments.append(value)
    status = builder.call(target, [result, error, *arguments])
    succeeded = builder.icmp_signed("==", status, ir.Constant(status.type, 0))
    builder.ret(builder.select(succeeded, builder.load(result), ir.Constant(word, FAILED)))
    parsed = llvm.parse_assembly(str(module))
    codegen = context.codegen()
    parsed.triple, parsed.data_layout = codegen._tm.triple, codegen._data_layout
    return cast(bytes, codegen._tm.emit_object(parsed))
