"""Bad input never becomes a number: each kind of it, through the library and through the command line.

A message says what is wrong, what was expected, what was received, where, and what to do. The tables below hold
the parts that a person needs; each case runs twice, once as a call and once as a command with its exit code.
"""

import json
import re
import shutil
import types

import numpy as np
import pytest
import zarr

import streamloss as sl
from streamloss import cli, errors

SCCE = "sparse_categorical_crossentropy"
ROWS, CLASSES = 12, 3


def labels(**changes):
    """float64, so that a label can also be a fraction or NaN; ``at7=9`` changes label 7."""
    y = np.arange(ROWS, dtype=np.float64) % CLASSES
    for at, value in changes.items():
        y[int(at.removeprefix("at"))] = value
    return y


def predictions(row=None, values=None):
    p = np.full((ROWS, CLASSES), 0.25, np.float32)
    p[:, 0] = 0.5
    if row is not None:
        p[row] = values
    return p


def weights(row=None, value=None):
    w = np.linspace(0.5, 1.5, ROWS)
    if row is not None:
        w[row] = value
    return w


LOGITS = {"class_name": SCCE, "config": {"from_logits": True}}

# name: (loss, y_true, y_pred, sample_weight, exception, parts of the message)
DATA = {
    "label out of range": (SCCE, labels(at7=3), predictions(), None, errors.ValueRangeError, [
        "y_true[7] is 3", "y_pred has 3 classes", "expected an integer label from 0 to 2", "ignore_class=3",
    ]),
    "label negative": (SCCE, labels(at4=-1), predictions(), None, errors.ValueRangeError, [
        "y_true[4] is -1", "y_pred has 3 classes", "expected an integer label from 0 to 2", "pass ignore_class=-1",
    ]),
    "label NaN": (SCCE, labels(at11=np.nan), predictions(), None, errors.ValueRangeError, [
        "y_true[11] is NaN", "expected an integer label from 0 to 2", "ignore_class=-1",
    ]),
    "label infinite": (SCCE, labels(at1=np.inf), predictions(), None, errors.ValueRangeError, [
        "y_true[1] is inf", "expected an integer label from 0 to 2",
    ]),
    "label fractional": (SCCE, labels(at2=1.5), predictions(), None, errors.ValueRangeError, [
        "y_true[2] is 1.5", "expected an integer label from 0 to 2",
    ]),
    "label beyond int64": (SCCE, labels(at2=1e30), predictions(), None, errors.ValueRangeError, [
        "y_true[2] is 1000000000000000019884624838656", "expected an integer label from 0 to 2",
    ]),
    "the first of several": (SCCE, labels(at9=5, at3=6, at6=7), predictions(), None, errors.ValueRangeError, [
        "y_true[3] is 6",
    ]),
    "prediction NaN": (SCCE, labels(), predictions(5, [0.5, np.nan, 0.5]), None, errors.ValueRangeError, [
        "y_pred[5, 1] is NaN", "expected a number", "nan_policy='omit'", "'propagate'",
    ]),
    "probability above 1": (SCCE, labels(), predictions(8, [0.5, 0.5, 1.25]), None, errors.ValueRangeError, [
        "y_pred[8, 2] is 1.25", "expected a value in [0, 1]", "If these are logits, pass from_logits=True", "clip",
    ]),
    "probability negative": (SCCE, labels(), predictions(8, [-0.5, 0.5, 1.0]), None, errors.ValueRangeError, [
        "y_pred[8, 0] is -0.5", "expected a value in [0, 1]", "from_logits=True",
    ]),
    "probability infinite": (SCCE, labels(), predictions(0, [0.5, np.inf, 0.5]), None, errors.ValueRangeError, [
        "y_pred[0, 1] is inf", "expected a value in [0, 1]",
    ]),
    "probability just above 1": (
        SCCE, labels(), predictions(8, [np.float32(1.000001), 0, 0]), None,
        errors.ValueRangeError, ["y_pred[8, 0] is 1.00000095", "clip_probabilities=True", "--clip-probabilities"],
    ),
    "weight negative": (SCCE, labels(), predictions(), weights(6, -0.25), errors.ValueRangeError, [
        "sample_weight[6] is -0.25", "expected a finite weight of at least 0", "weight of 0",
    ]),
    "weight NaN": (SCCE, labels(), predictions(), weights(6, np.nan), errors.ValueRangeError, [
        "sample_weight[6] is NaN", "expected a finite weight of at least 0",
    ]),
    "weight infinite": (SCCE, labels(), predictions(), weights(0, np.inf), errors.ValueRangeError, [
        "sample_weight[0] is inf", "expected a finite weight of at least 0",
    ]),
    "scalar weight negative": (SCCE, labels(), predictions(), -2.0, errors.ValueRangeError, [
        "sample_weight is -2", "expected a finite weight of at least 0",
    ]),
    "infinite logits": (LOGITS, labels(), predictions(3, [np.inf, 0, 0]), None, errors.ValueRangeError, [
        "the loss of y_pred[3, :]", "is NaN", "y_true[3] = 0", "y_pred[3, 0] is inf", "expected", "nan_policy='omit'",
    ]),
    "no finite logit": (LOGITS, labels(), predictions(3, [-np.inf] * 3), None, errors.ValueRangeError, [
        "y_pred[3, :]", "is NaN", "y_pred[3, 0] is -inf",
    ]),
    "rows that differ in number": (SCCE, labels()[:10], predictions(), None, errors.ShapeError, [
        "y_true has shape (10,)", "y_pred has (12, 3)", "expected", "(12,) or (12, 1)", "10 and 12 rows",
        "slice(0, 10)",
    ]),
    "wrong rank of predictions": (SCCE, labels(), predictions()[:, 0], None, errors.ShapeError, [
        "y_pred has shape (12,)", "expected at least two axes, (rows, classes)", "reshape(1, -1)",
    ]),
    "one-hot labels for a sparse loss": (SCCE, predictions(), predictions(), None, errors.ShapeError, [
        "y_true has shape (12, 3)", "expected one integer label for each row", "(12,)",
    ]),
    "shapes of an element-wise loss": ("mse", predictions(), predictions()[:, :2].copy(), None, errors.ShapeError, [
        "y_true has shape (12, 3)", "y_pred has (12, 2)", "expected equal shapes",
    ]),
    "weights of another length": (SCCE, labels(), predictions(), weights()[:5], errors.ShapeError, [
        "sample_weight has shape (5,)", "losses have shape (12,)", "expected a scalar, the losses' shape",
    ]),
}  # fmt: skip


def stored(tmp_path, role, array):
    """The array as a URI: predictions and labels in Zarr, weights in npy."""
    if array is None or isinstance(array, float):
        return array
    if role == "sample_weight":
        np.save(tmp_path / f"{role}.npy", array)
        return str(tmp_path / f"{role}.npy")
    chunks = (5, *array.shape[1:])
    zarr.create_array(tmp_path / "data.zarr", name=role, shape=array.shape, chunks=chunks, dtype=array.dtype)[:] = array
    return str(tmp_path / "data.zarr" / role)


def command(loss, y_true, y_pred, sample_weight=None, *more):
    text = loss if isinstance(loss, str) else f"{loss['class_name']}:from_logits=true"
    weight = [] if sample_weight is None else ["--sample-weight", str(sample_weight)]
    return ["evaluate", "--loss", text, "--y-true", str(y_true), "--y-pred", str(y_pred), *weight, *more]


@pytest.mark.parametrize("case", DATA)
def test_data_in_memory(case):
    loss, y_true, y_pred, weight, kind, parts = DATA[case]
    with pytest.raises(kind) as caught:
        sl.evaluate(loss, y_true, y_pred, weight)
    message = str(caught.value)
    assert type(caught.value) is kind
    for part in parts:
        assert part in message
    assert "chunk" not in message
    assert message.endswith(".")


@pytest.mark.parametrize("case", DATA)
def test_data_on_disk_through_the_command_line(case, tmp_path, capsys):
    loss, y_true, y_pred, weight, kind, parts = DATA[case]
    uris = [stored(tmp_path, *it) for it in (("y_true", y_true), ("y_pred", y_pred), ("sample_weight", weight))]
    code = cli.run(command(loss, *uris))
    said = capsys.readouterr()
    assert code == kind.exit_code == 3
    assert said.out == ""
    assert said.err.startswith("streamloss: ")
    assert "Traceback" not in said.err
    for part in parts:
        assert part in said.err
    if kind is errors.ValueRangeError and (named := re.search(r"(y_true|y_pred)\[(\d+)[^]]*\] is", parts[0])):
        role, row = named.groups()
        chunk = f"{role}/c/{int(row) // 5}" + ("/0" if role == "y_pred" else "")
        assert f"(chunk {chunk} of {tmp_path / 'data.zarr' / role})" in said.err
    if "sample_weight[" in parts[0]:
        assert f"(in {tmp_path / 'sample_weight.npy'})" in said.err


@pytest.mark.parametrize("case", ["label out of range", "probability above 1", "weight NaN"])
def test_a_loss_called_directly_says_the_same(case):
    _, y_true, y_pred, weight, kind, parts = DATA[case]
    for reduction in ("sum", "none"):
        with pytest.raises(kind) as caught:
            sl.losses.SparseCategoricalCrossentropy(reduction=reduction)(y_true, y_pred, weight)
        assert all(part in str(caught.value) for part in parts)


# Which row: in the array's own indices, whatever was evaluated of it and how.


@pytest.mark.parametrize("classes", [3, 200])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_with_low_bits_is_nan(classes, dtype):
    """R's NA, for one: bits of a NaN that an exponential for float32 results once added to its exponent."""
    logits = np.zeros((2, classes))
    logits[1, 1] = np.array(0x7FF00000000007A2).view(np.float64)
    loss = sl.losses.SparseCategoricalCrossentropy(from_logits=True, dtype=dtype)
    with pytest.raises(errors.ValueRangeError, match=r"y_pred\[1, 1\] is NaN"):
        loss(np.zeros(2, int), logits)


@pytest.mark.parametrize(
    ("label", "advice"),
    [
        (2**53 + 1, "pass ignore_class=9007199254740993."),
        (2**63, "write -1 instead, and pass ignore_class=-1."),
        (2**64 - 1, "write -1 instead, and pass ignore_class=-1."),  # -1 that somebody cast
    ],
)
def test_large_labels_are_named_to_the_last_digit_with_advice_that_can_be_followed(label, advice):
    y = np.array([0, label], np.uint64)
    with pytest.raises(errors.ValueRangeError, match=rf"y_true\[1\] is {label}, but .* {re.escape(advice)}$"):
        sl.losses.SparseCategoricalCrossentropy()(y, predictions()[:2])


def test_row_of_an_array_of_more_axes():
    y = np.zeros((4, 5), np.float64)
    p = np.full((4, 5, CLASSES), 0.25, np.float32)
    y[2, 3] = 7
    with pytest.raises(errors.ValueRangeError, match=r"y_true\[2, 3\] is 7"):
        sl.evaluate(SCCE, y, p)
    y[2, 3] = 0
    p[3, 1, 2] = 1.5
    with pytest.raises(errors.ValueRangeError, match=r"y_pred\[3, 1, 2\] is 1.5"):
        sl.evaluate(SCCE, y, p)


def test_row_where_the_classes_are_the_first_axis():
    loss = sl.losses.SparseCategoricalCrossentropy(axis=0)
    y = np.zeros((4, 5), np.float64)
    p = np.full((CLASSES, 4, 5), 0.25, np.float32)
    p[2, 3, 1] = -0.5
    with pytest.raises(errors.ValueRangeError, match=r"y_pred\[2, 3, 1\] is -0.5"):
        sl.evaluate(loss, y, p)


def test_row_with_a_label_axis_of_length_one():
    y = labels(at9=4).reshape(-1, 1)
    with pytest.raises(errors.ValueRangeError, match=r"y_true\[9, 0\] is 4"):
        sl.evaluate(SCCE, y, predictions())


@pytest.mark.parametrize("executor", ["inline", "threads"])
def test_row_under_an_offset_is_the_arrays_row(executor):
    with pytest.raises(errors.ValueRangeError, match=r"y_true\[7\] is 3"):
        sl.evaluate(SCCE, labels(at2=9, at7=3), predictions(), rows=slice(5, 10), executor=executor)
    with pytest.raises(errors.ValueRangeError, match=r"y_pred\[9, 0\] is NaN"):
        sl.evaluate(SCCE, labels(), predictions(9, np.nan), rows=slice(8, None), executor=executor)


def test_row_under_an_offset_in_the_general_message():
    with pytest.raises(
        errors.ValueRangeError, match=r"the loss of y_pred\[9, :\].* y_true\[9\] = 0.*y_pred\[9, 0\]"
    ) as e:
        sl.evaluate(LOGITS, labels(), predictions(9, [np.inf, 0, 0]), rows=slice(8, None))
    assert "row 1" not in str(e.value)


def test_bad_rows_before_and_after_the_rows_asked_for_do_not_matter():
    result = sl.evaluate(SCCE, labels(at2=9, at10=9), predictions(), rows=slice(3, 10))
    assert result[SCCE].count == 7


def test_row_of_a_weight_that_holds_for_a_whole_axis():
    y = np.zeros((4, 5), np.float64)
    p = np.full((4, 5, CLASSES), 0.25, np.float32)
    along_first, along_last = np.ones((4, 1)), np.ones((1, 5))
    along_first[2], along_last[0, 3] = -1.0, np.nan
    with pytest.raises(errors.ValueRangeError, match=r"sample_weight\[2, 0\] is -1"):
        sl.evaluate(SCCE, y, p, along_first)
    with pytest.raises(errors.ValueRangeError, match=r"sample_weight\[0, 3\] is NaN"):
        sl.evaluate(SCCE, y, p, along_last)
    along_first[2], along_first[3] = 1.0, -1.0
    with pytest.raises(errors.ValueRangeError, match=r"sample_weight\[3, 0\] is -1"):
        sl.evaluate(SCCE, y, p, along_first, rows=slice(1, None))


def test_the_first_bad_row_of_a_large_array_in_memory():
    """The loop over all cores meets bad rows in any order, and names the first."""
    n = 200_000
    y = np.zeros(n)
    p = np.full((n, CLASSES), 0.25, np.float32)
    y[[190_000, 70_007, 123_456]] = [8, 9, 10]
    with pytest.raises(errors.ValueRangeError, match=r"y_true\[70007\] is 9"):
        sl.evaluate(SCCE, y, p)
    p[70_003, 1] = np.nan
    with pytest.raises(errors.ValueRangeError, match=r"y_pred\[70003, 1\] is NaN"):
        sl.evaluate(SCCE, y, p)
    with pytest.raises(errors.ValueRangeError, match=r"y_true\[123456\] is 10"):
        sl.evaluate(SCCE, y, p, rows=slice(100_000, None))


def test_ignored_rows_may_hold_anything():
    loss = sl.losses.SparseCategoricalCrossentropy(ignore_class=-1)
    y, p = labels(at3=-1), predictions(3, [np.nan, 7.0, -1.0])
    result = sl.evaluate(loss, y, p)[SCCE]
    assert (result.count, result.ignored) == (ROWS - 1, 1)
    for weight in (-1.0, np.nan, np.inf):
        weighted = sl.evaluate(loss, y, p, weights(3, weight))[SCCE]
        assert weighted.value == sl.evaluate(loss, y, p, weights(3, 1.0))[SCCE].value
        assert weighted.state.to_bytes() == sl.evaluate(loss, y, p, weights(3, 1.0))[SCCE].state.to_bytes()
    with pytest.raises(errors.ValueRangeError, match=r"y_true\[4\] is -2"):
        sl.evaluate(loss, labels(at3=-1, at4=-2), p)


# nan_policy


def nan_rows():
    p = predictions(5, np.nan)
    p[8, 2] = np.nan
    return p


def test_omitted_rows_are_counted_and_nothing_else(tmp_path):
    out = str(tmp_path / "out.zarr")
    keep = np.setdiff1d(np.arange(ROWS), [5, 8])
    with pytest.warns(errors.StreamlossWarning, match="2 rows whose loss is NaN were left out"):
        result = sl.evaluate(SCCE, labels(), nan_rows(), weights(), nan_policy="omit", out=out)
    loss = result[SCCE]
    without = sl.evaluate(SCCE, labels()[keep], predictions()[keep], weights()[keep])[SCCE]
    assert (loss.omitted, loss.count, without.omitted) == (2, ROWS - 2, 0)
    assert (loss.sum, loss.mean, loss.weighted_mean) == (without.sum, without.mean, without.weighted_mean)
    assert loss.weight_sum == without.weight_sum
    written = zarr.open_array(f"{out}/{SCCE}", mode="r")[:]
    assert np.flatnonzero(np.isnan(written)).tolist() == [5, 8]
    assert result.rows == ROWS
    assert any("left out" in w for w in result.warnings)


def test_propagated_rows_make_sums_nan(tmp_path):
    out = str(tmp_path / "out.zarr")
    loss = sl.evaluate(SCCE, labels(), nan_rows(), nan_policy="propagate", out=out)[SCCE]
    assert np.isnan([loss.sum, loss.mean, loss.value]).all()
    assert (loss.count, loss.omitted) == (ROWS, 0)
    assert np.flatnonzero(np.isnan(zarr.open_array(f"{out}/{SCCE}", mode="r")[:])).tolist() == [5, 8]


@pytest.mark.parametrize("policy", ["omit", "propagate"])
@pytest.mark.parametrize("case", ["label out of range", "label NaN", "probability above 1", "weight negative"])
def test_policies_are_about_nan_losses_only(policy, case):
    loss, y_true, y_pred, weight, kind, parts = DATA[case]
    with pytest.raises(kind, match=re.escape(parts[0])):
        sl.evaluate(loss, y_true, y_pred, weight, nan_policy=policy)


def test_omitting_every_row_says_so():
    with pytest.warns(errors.StreamlossWarning) as said:
        loss = sl.evaluate(SCCE, labels(), predictions(slice(None), np.nan), nan_policy="omit")[SCCE]
    assert (loss.mean, loss.count, loss.omitted) == (0.0, 0, ROWS)
    assert any("no row was left" in str(w.message) for w in said)


# Storage


@pytest.fixture
def store(tmp_path):
    """URIs of good labels and predictions, in chunks of 5 rows."""
    return {role: stored(tmp_path, role, a) for role, a in (("y_true", labels()), ("y_pred", predictions()))}


def both_ways(loss, store, capsys, kind, parts):
    """The library raises `kind`, the command returns its code; both say all parts."""
    with pytest.raises(kind) as caught:
        sl.evaluate(loss, store["y_true"], store["y_pred"])
    assert type(caught.value) is kind
    code = cli.run(command(loss, store["y_true"], store["y_pred"]))
    said = capsys.readouterr()
    assert (code, said.out) == (kind.exit_code, "")
    for part in parts:
        assert part in str(caught.value)
        assert part in said.err


def test_missing_chunk(store, tmp_path, capsys):
    (tmp_path / "data.zarr/y_pred/c/1/0").unlink()
    parts = ["y_pred: chunk y_pred/c/1/0", store["y_pred"], "does not exist", "fill value", "missing_chunks='warn'"]
    both_ways(SCCE, store, capsys, errors.MissingChunkError, parts)


def test_missing_chunk_of_labels_is_read_with_a_word(store, tmp_path, capsys):
    (tmp_path / "data.zarr/y_true/c/2").unlink()
    assert cli.run(command(SCCE, store["y_true"], store["y_pred"])) == 0
    said = capsys.readouterr()
    assert "streamloss: warning: y_true: 1 chunk" in said.err
    assert "fill value" in said.err
    assert "missing_chunks={'y_true': 'fill'} (--missing-chunks y_true=fill)" in said.err
    assert cli.run([*command(SCCE, store["y_true"], store["y_pred"]), "--missing-chunks", "y_true=fill"]) == 0
    assert "fill value" not in (said_then := capsys.readouterr()).err
    assert json.loads(said_then.out)["warnings"] == []
    assert len(json.loads(said.out)["warnings"]) == 1
    assert cli.run([*command(SCCE, store["y_true"], store["y_pred"]), "--missing-chunks", "error"]) == 3


def test_truncated_chunk(store, tmp_path, capsys):
    chunk = tmp_path / "data.zarr/y_pred/c/2/0"
    chunk.write_bytes(chunk.read_bytes()[:-9])
    parts = ["y_pred: chunk y_pred/c/2/0", store["y_pred"], "cannot be decoded", "Write it again"]
    both_ways(SCCE, store, capsys, errors.CorruptChunkError, parts)


def test_unreadable_places(store, tmp_path, capsys):
    places = {
        tmp_path / "nowhere.npy": ["there is no file", "nowhere.npy"],
        tmp_path / "nowhere.zarr/y": ["there is no", "nowhere.zarr"],
        tmp_path / "data.zarr/y_prd": ["no array 'y_prd'", "Did you mean 'y_pred'?", "Arrays: y_pred, y_true"],
        tmp_path / "data.zarr": ["is a Zarr group", "y_pred, y_true"],
        "nowhere://bucket/y.zarr": ["nowhere:// is not supported", "local path"],
    }
    for place, parts in places.items():
        both_ways(SCCE, store | {"y_pred": str(place)}, capsys, errors.SourceError, ["y_pred: ", *parts])


def test_a_broken_npy_file(store, tmp_path, capsys):
    broken = tmp_path / "broken.npy"
    np.save(broken, predictions())
    broken.write_bytes(broken.read_bytes()[:-20])
    both_ways(SCCE, store | {"y_pred": str(broken)}, capsys, errors.SourceError, ["y_pred: ", "broken.npy"])
    np.save(broken, np.array(["a", "b"]))
    both_ways(SCCE, store | {"y_pred": str(broken)}, capsys, errors.SourceError, ["y_pred: ", "expected numbers"])


def test_output_that_exists_is_kept(store, tmp_path, capsys):
    out = str(tmp_path / "out.zarr")
    asked = [*command(SCCE, store["y_true"], store["y_pred"]), "--out", out]
    assert cli.run(asked) == 0
    before = zarr.open_array(f"{out}/{SCCE}", mode="r")[:]
    capsys.readouterr()
    assert cli.run(asked) == errors.OutputExistsError.exit_code == 2
    said = capsys.readouterr().err
    assert f"{out}/{SCCE}" in said
    assert "exists" in said
    assert "--overwrite" in said
    with pytest.raises(errors.OutputExistsError, match="overwrite=True"):
        sl.evaluate(SCCE, store["y_true"], store["y_pred"], out=out)
    assert np.array_equal(zarr.open_array(f"{out}/{SCCE}", mode="r")[:], before)
    assert cli.run([*asked, "--overwrite"]) == 0


def test_unwritable_output(store, tmp_path, capsys):
    (tmp_path / "file").write_text("a file, not a directory")
    out = str(tmp_path / "file" / "out.zarr")
    for overwrite in (False, True):
        with pytest.raises(errors.UnwritableOutputError, match=r"cannot write .*/file' is a file; expected a"):
            sl.evaluate(SCCE, store["y_true"], store["y_pred"], out=out, overwrite=overwrite)
    assert (tmp_path / "file").read_text() == "a file, not a directory"
    assert cli.run([*command(SCCE, store["y_true"], store["y_pred"]), "--out", out]) == 5
    said = capsys.readouterr().err
    assert "out: cannot write" in said
    assert out in said


def test_output_over_an_input_is_refused(store, tmp_path, capsys):
    with pytest.raises(errors.UsageError, match="where y_pred is read from"):
        sl.evaluate(SCCE, store["y_true"], store["y_pred"], out={SCCE: store["y_pred"]}, overwrite=True)
    shutil.copytree(store["y_pred"], tmp_path / "data.zarr" / SCCE)
    twin = store | {"y_pred": str(tmp_path / "data.zarr" / SCCE)}
    asked = [*command(SCCE, *twin.values()), "--out", str(tmp_path / "data.zarr"), "--overwrite"]
    assert cli.run(asked) == 2
    assert "y_pred is read from" in capsys.readouterr().err
    assert np.array_equal(zarr.open_array(twin["y_pred"], mode="r")[:], predictions())


# Arguments

Y = np.zeros(3, np.float32)

# name: (keywords of evaluate, flags, exception, parts of the message)
ARGUMENTS = {
    "unknown loss": ({"losses": "sparse_categorical_crossentrpy"}, [], errors.UnknownNameError, [
        "unknown loss 'sparse_categorical_crossentrpy'", f"Did you mean '{SCCE}'",
    ]),
    "unknown loss parameter": (
        {"losses": {"class_name": "mse", "config": {"axes": 0}}}, ["--loss", "mse:axes=0"], errors.UnknownNameError,
        ["unknown parameter of MeanSquaredError 'axes'", "Did you mean 'axis'"],
    ),
    "type of a loss parameter": (
        {"losses": {"class_name": "mse", "config": {"axis": 0.5}}}, ["--loss", "mse:axis=0.5"], errors.UsageError,
        ["MeanSquaredError: axis must be int or str or None", "received 0.5"],
    ),
    "range of a loss parameter": (
        {"losses": {"class_name": SCCE, "config": {"epsilon": 0.7}}}, ["--loss", f"{SCCE}:epsilon=0.7"],
        errors.UsageError, ["epsilon must lie in [0, 0.5)", "received 0.7"],
    ),
    "reduction": ({"reduction": "average"}, ["--reduction", "average"], errors.UnknownNameError, [
        "unknown reduction 'average'", "Known:", "sum_over_batch_size",
    ]),
    "reduction none without a place": ({"reduction": "none"}, ["--reduction", "none"], errors.UsageError, [
        "mean_squared_error", "'none'", "out",
    ]),
    "memory": ({"memory": "much"}, ["--memory", "much"], errors.UsageError, [
        "memory must be bytes or a size such as '600MB'", "received 'much'",
    ]),
    "memory of no size": ({"memory": "0GB"}, ["--memory", "0GB"], errors.UsageError, ["positive", "received '0GB'"]),
    "memory too small": ({"memory": "1MB"}, ["--memory", "1MB"], errors.MemoryBudgetError, [
        "needs", "MiB", "Allow at least", "--memory",
    ]),
    "rows past the end": ({"rows": slice(2, 5)}, ["--rows", "2:5"], errors.UsageError, [
        "rows=2:5 reaches past y_true, which has 3 rows",
    ]),
    "rows backwards": ({"rows": slice(2, 1)}, ["--rows", "2:1"], errors.UsageError, ["rows", "2", "1"]),
    "rows from the end": ({"rows": slice(-2, None)}, ["--rows=-2:"], errors.UsageError, ["non-negative", "-2"]),
    "axis": (
        {"losses": {"class_name": "mse", "config": {"axis": 3}}}, ["--loss", "mse:axis=3"], errors.ShapeError,
        ["axis=3 is out of bounds for y_pred of rank 1", "expected -1 to 0"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ARGUMENTS)
def test_arguments(case, tmp_path, capsys):
    keywords, flags, kind, parts = ARGUMENTS[case]
    asked = {"losses": "mse"} | keywords
    with pytest.raises(kind) as caught:
        sl.evaluate(**asked, y_true=Y, y_pred=Y)
    assert type(caught.value) is kind
    np.save(tmp_path / "y.npy", Y)
    y = str(tmp_path / "y.npy")
    loss = [] if "--loss" in flags else ["--loss", asked["losses"]]
    code = cli.run(["evaluate", "--y-true", y, "--y-pred", y, *loss, *flags])
    said = capsys.readouterr()
    assert (code, said.out) == (kind.exit_code, "")
    for part in parts:
        assert part in str(caught.value)
        assert part in said.err
    assert not (tmp_path / "out.zarr").exists()


@pytest.mark.parametrize(("keyword", "flag"), [("nan_policy", "--nan-policy"), ("executor", "--executor")])
def test_choices(keyword, flag, capsys):
    with pytest.raises(errors.UnknownNameError, match=f"unknown {keyword} 'drop'.*Known: "):
        sl.evaluate("mse", Y, Y, **{keyword: "drop"})
    assert cli.run(["evaluate", "--loss", "mse", "--y-true", "a.npy", "--y-pred", "a.npy", flag, "drop"]) == 2
    said = capsys.readouterr().err
    assert "'drop'" in said
    assert flag in said


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"losses": 3}, "expected a loss, its name or its config; received 3"),
        ({"executor": None}, "executor must be one of auto, .* or a distributed.Client; received None"),
        (
            {"executor": types.SimpleNamespace(run=None)},
            r"has no name and no workers_used; expected all members of streamloss\.execution\.Executor",
        ),
        ({"shard": (0.5, 2)}, r"shard must be \(i, n\), such as \(0, 4\); received \(0.5, 2\)"),
        ({"shard": "1/2"}, r"shard must be \(i, n\), such as \(0, 4\); received '1/2'"),
    ],
)
def test_arguments_of_another_type(given, message):
    with pytest.raises(errors.UsageError, match=message):
        sl.evaluate(**{"losses": "mse", **given}, y_true=Y, y_pred=Y)


def test_missing_chunks_policy():
    with pytest.raises(errors.UsageError, match=r"missing_chunks must be one of error, warn, fill.*received 'skip'"):
        sl.evaluate("mse", Y, Y, missing_chunks="skip")


def test_workers(capsys):
    with pytest.raises(errors.UsageError, match="workers must be an integer of at least 1; received 0"):
        sl.evaluate("mse", Y, Y, workers=0)
    assert cli.run(["evaluate", "--loss", "mse", "--workers", "0"]) == 2
    assert "--workers" in capsys.readouterr().err


@pytest.mark.parametrize("value", [["a", "b"], [1j, 2j], [None, 1], object()])
def test_arrays_that_hold_no_numbers(value):
    with pytest.raises(errors.SourceError, match=r"^y_pred: expected numbers; received dtype"):
        sl.evaluate("mse", Y, value)


def test_a_refused_evaluation_wrote_nothing_before_the_first_block(tmp_path):
    out = tmp_path / "out.zarr"
    with pytest.raises(errors.ShapeError):
        sl.evaluate("mse", Y, np.zeros(4, np.float32), out=str(out))
    with pytest.raises(errors.UsageError):
        sl.evaluate("mse", Y, Y, rows=slice(0, 9), out=str(out))
    assert not out.exists()


def test_errors_of_data_and_usage_are_value_errors():
    """So that callers who know only Python's own exceptions are served."""
    with pytest.raises(ValueError, match="label"):
        sl.evaluate(SCCE, labels(at7=3), predictions())
    with pytest.raises(ValueError, match="unknown loss"):
        sl.evaluate("nonsense", Y, Y)
