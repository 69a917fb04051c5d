"""Files of kernels: what was written is read, and nothing else is taken for a kernel."""

from hypothesis import given
from hypothesis import strategies as st

from streamloss.core.kernel_file import from_bytes, to_bytes
from streamloss.core.machine_code import Module, Program

modules = st.dictionaries(st.text(), st.builds(Module, st.binary(), st.lists(st.text()).map(tuple)), max_size=4)
programs = st.builds(Program, st.text(), st.text(), modules)
keys = st.text("0123456789abcdef", min_size=1)


@given(programs, keys)
def test_programs_survive_the_file(program, key):
    assert from_bytes(to_bytes(program, key), key) == program


@given(programs, keys, keys)
def test_a_file_under_another_key_is_none(program, key, other):
    found = from_bytes(to_bytes(program, key), other)
    assert (found is None) == (key != other)


@given(programs, keys, st.data())
def test_a_file_that_was_changed_is_none(program, key, data):
    whole = to_bytes(program, key)
    position = data.draw(st.integers(0, len(whole) - 1))
    kind = data.draw(st.sampled_from(["flip", "cut", "insert", "zeros", "append"]))
    changed = {
        "flip": whole[:position]
        + bytes([whole[position] ^ (1 << data.draw(st.integers(0, 7)))])
        + whole[position + 1 :],
        "cut": whole[:position],
        "insert": whole[:position] + b"\0" + whole[position:],
        "zeros": whole[:position] + bytes(len(whole) - position),
        "append": whole + data.draw(st.binary(min_size=1, max_size=9)),
    }[kind]
    assert changed == whole or from_bytes(changed, key) is None


@given(st.binary(max_size=200))
def test_any_bytes_are_none(data):
    assert from_bytes(data, "0") is None
