"""The scripts that compare two versions of the code work, so that they are there when they are needed."""

import json

import numpy as np
import pytest

import record_bits
import record_messages
from streamloss.formulas._registry import declarations


def test_bits_of_every_loss_and_variant_are_recorded_in_both_precisions():
    recorded = [(name, loss) for name, loss, _, _ in record_bits.cases()]
    assert len({name for name, _ in recorded}) == len(recorded), "each has a name of its own"
    for declaration in declarations():
        configs = [loss.get_config() for name, loss in recorded if name.partition(":")[0] == declaration.name]
        for variant in declaration.variants:
            for dtype in ("float32", "float64"):
                wanted = {**variant, "dtype": dtype}.items()
                assert any(wanted <= config.items() for config in configs), (declaration.name, variant, dtype)


def test_a_loss_is_recorded_by_its_losses_and_its_state():
    _, loss, y, p = next(case for case in record_bits.cases() if case[0].startswith("mean_squared_error:"))
    digests = dict(record_bits.digests_of(loss, y, p))
    assert len(digests) == 6, "three weights, with and without a mask"
    assert len({digest.split()[0] for digest in digests.values()}) == 6
    other = dict(record_bits.digests_of(loss, y, np.nextafter(p, np.float32(9))))
    assert all(digests[how] != other[how] for how in digests)


@pytest.mark.parametrize(
    ("after", "code", "differ"),
    [
        ({"a": "1 {}", "b": "2 {}"}, 0, []),
        ({"a": "1 {}", "b": "3 {}"}, 1, ["b"]),
        ({"a": "1 {}"}, 1, ["b"]),
        ({"a": "1 {}", "b": "2 {}", "c": "4 {}"}, 1, ["c"]),
    ],
)
def test_a_changed_digest_is_found(after, code, differ, tmp_path, capsys):
    before = {"a": "1 {}", "b": "2 {}"}
    for name, digests in (("before.json", before), ("after.json", after)):
        (tmp_path / name).write_text(json.dumps(digests))
    assert record_bits.main("compare", str(tmp_path / "before.json"), str(tmp_path / "after.json")) == code
    *lines, last = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == differ
    assert last == f"2 recorded, {len(differ)} differ"


def test_messages_that_are_gone_and_new_are_listed(tmp_path, capsys):
    for folder, lines in (("before", ["'kept'", "'gone'"]), ("after", ["'kept'", "'new'"])):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.txt").write_text("\n".join(lines))
    assert record_messages.main(str(tmp_path / "before"), str(tmp_path / "after")) == 1
    assert capsys.readouterr().out.splitlines() == [
        "- 'gone'",
        "+ 'new'",
        "2 messages before, 2 after; 1 gone, 1 new",
    ]
    assert record_messages.main(str(tmp_path / "before"), str(tmp_path / "before")) == 0
