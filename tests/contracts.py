"""What every function promises whatever it computes. A test class lists its cases and inherits the tests.

A case is a call and, for each of its arguments, how to draw one: valid values with the classes along the last axis.
The tests change how the values are stored, arranged or split, and ask for the same results.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import Any, ClassVar

import numpy as np
import pytest

from logitkit import _arrays
from logitkit._arrays import BLOCK, FEW_CLASSES
from tests.cases import (
    DTYPES,
    LAYOUTS,
    NOT_REAL,
    Arrays,
    Case,
    Shape,
    Storage,
    class_log_probs,
    class_probs,
    class_weights,
    labels,
    logits,
    probs,
    same,
    yes_or_no,
)
from tests.gathered import each

# Blocks have edges at any size, and at the usual one the tests of them take thirty times as long.
SMALL_BLOCK = 1 << 10


class Contract:
    """Tests for one function. `cases` are its ways to be called."""

    cases: ClassVar[dict[str, Case]]
    shape: ClassVar[Shape]
    empty: ClassVar[tuple[Shape, ...]]

    @each(case="cases", dtype=DTYPES)
    def test_dtype_is_kept(self, case: Case, dtype: type) -> None:
        for result in case(case.draw(self.shape, dtype)):
            assert result.dtype == dtype
            assert type(result) is np.ndarray

    @each(case="cases", dtype=[np.int16, np.int64, np.bool_, np.uint8])
    def test_whole_numbers_count_as_float64(self, case: Case, dtype: type) -> None:
        numbers = case.draw_whole(self.shape)
        limits = (0, 1) if dtype is np.bool_ else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        floats = {n: a for n, a in numbers.items() if case.draws[n] is not labels}
        if any(a.min() < limits[0] or a.max() > limits[1] for a in floats.values()):
            # The same shape of values on a scale that this dtype has none of.
            floats = {n: np.abs(a) % 2 for n, a in floats.items() if case.draws[n] in (logits, yes_or_no, probs)}
        converted = numbers | {n: a.astype(dtype) for n, a in floats.items()}
        same(case(converted), case(numbers | floats))
        for result in case(converted):
            assert result.dtype == np.float64

    @each(case="cases", reduction=["none", "sum", "mean"], dtype=[np.float16, np.float32])
    def test_narrow_results_are_float64_results_rounded_once(self, case: Case, dtype: type, reduction: str) -> None:
        options = {"reduction": reduction} if case.is_loss else {}
        narrow = case.draw(self.shape, dtype)
        wide = {name: a.astype(np.float64) if a.dtype.kind == "f" else a for name, a in narrow.items()}
        same(case(narrow, **options), tuple(r.astype(dtype) for r in case(wide, **options)))

    @each(case="cases")
    def test_lists_and_scalars_count_as_arrays(self, case: Case) -> None:
        arrays = case.draw(self.shape)
        same(case({name: a.tolist() for name, a in arrays.items()}), case(arrays))

    @each(case="cases", dtype=DTYPES, layout=LAYOUTS)
    def test_storage_of_the_input_does_not_show(self, case: Case, layout: Storage, dtype: type) -> None:
        arrays = case.draw(self.shape, dtype)
        stored = {name: layout(a) for name, a in arrays.items()}
        results = case(stored)
        same(results, case(arrays))
        assert all(type(r) is np.ndarray and r.dtype.isnative for r in results)

    @each(case="cases", dtype=DTYPES)
    def test_input_is_never_changed_and_never_returned(self, case: Case, dtype: type) -> None:
        # Few classes are copied on the way in; many, stored as they are worked on, are seen in place.
        for shape in (self.shape, (2, FEW_CLASSES + 1)):
            arrays = case.draw(shape, dtype)
            before = {name: a.copy() for name, a in arrays.items()}
            results = case(arrays)
            for result in results:
                assert result.flags.writeable
                assert not any(np.shares_memory(result, a) for a in arrays.values())
                result[...] = 111
            for name, a in arrays.items():
                np.testing.assert_array_equal(a, before[name], err_msg=name)
            assert not any(np.shares_memory(a, b) for a, b in combinations(results, 2))

    @each(case="cases", dtype=DTYPES)
    def test_nothing_in_nothing_out(self, case: Case, dtype: type) -> None:
        for shape in self.empty:
            for result in case(case.draw(shape, dtype)):
                assert result.size == 0
                assert result.shape in (shape, shape[:-1])
                assert result.dtype == dtype

    @each(case="cases")
    def test_debugging_settings_of_numpy_do_not_show(self, case: Case) -> None:
        plain = case.draw(self.shape)
        vanishing = {name: a * 1e3 if case.draws[name] is logits else a for name, a in plain.items()}
        for arrays in (plain, vanishing, case.draw_whole(self.shape)):
            with np.errstate(all="raise"):
                before = np.geterr()
                results = case(arrays)
                assert np.geterr() == before
            same(results, case(arrays))

    @each(case="cases", kind=list(NOT_REAL))
    def test_anything_but_real_numbers_is_refused_by_name(self, case: Case, kind: str) -> None:
        arrays = case.draw(self.shape)
        for name, a in arrays.items():
            bad = NOT_REAL[kind](a)
            if bad.dtype == np.float64 and kind == "long double":
                continue  # platforms without one
            # An array with one value a row that are not integers has the wrong shape, or holds the wrong things.
            error = ValueError if case.draws[name] is labels and kind != "masked" else TypeError
            with pytest.raises(error, match=rf"^{name} (must hold|is a masked array)"):
                case(arrays | {name: bad})

    @each(case="cases")
    def test_ragged_lists_are_refused_by_name(self, case: Case) -> None:
        arrays = case.draw(self.shape)
        for name in arrays:
            with pytest.raises(ValueError, match=rf"^{name} is not an array"):
                case(arrays | {name: [[1.0, 2.0], [3.0]]})

    def _with_nan(self, case: Case, dtype: type) -> Iterator[tuple[Arrays, Arrays, tuple[int, ...]]]:
        arrays = case.draw(self.shape, dtype)
        place = tuple(n - 1 for n in self.shape)
        for name, a in arrays.items():
            if not case.is_weight(name) and a.dtype.kind == "f":
                spoilt = a.copy()
                spoilt[place] = np.nan
                yield arrays, arrays | {name: spoilt}, place


class Elementwise(Contract):
    """Tests for a function whose results have the shape of its input."""

    shape = (3, 4, 5)
    empty = ((0,), (0, 3), (3, 0))

    @each(case="cases", dtype=DTYPES)
    def test_nan_spoils_its_own_element_alone(self, case: Case, dtype: type) -> None:
        for arrays, spoilt, place in self._with_nan(case, dtype):
            for got, clean in zip(case(spoilt), case(arrays), strict=True):
                assert np.isnan(got[place])
                got[place] = clean[place]
                np.testing.assert_array_equal(got, clean)

    @each(case="cases", shape=[(), (1,), (7,), (2, 3), (2, 1, 3), (1, 2, 1, 3, 2)])
    def test_any_number_of_dimensions(self, case: Case, shape: Shape) -> None:
        arrays = case.draw(shape, np.float32)
        flat = {name: a.ravel() for name, a in arrays.items()}
        same(case(arrays), tuple(r.reshape(shape) for r in case(flat)))

    @each(case="cases", dtype=DTYPES)
    def test_a_number_gives_a_number(self, case: Case, dtype: type) -> None:
        numbers = {name: dtype(a) for name, a in case.draw(()).items()}
        for wrapped in (numbers, {name: np.array(v) for name, v in numbers.items()}):
            got = case.call(**wrapped)
            assert all(type(g) is dtype for g in (got if isinstance(got, tuple) else (got,)))

    @each(
        case="cases",
        n=[SMALL_BLOCK - 1, SMALL_BLOCK, SMALL_BLOCK + 1, 2 * SMALL_BLOCK, 2 * SMALL_BLOCK + 1],
        dtype=[np.float32, np.float64],
    )
    def test_edges_of_blocks_do_not_show(
        self, case: Case, n: int, dtype: type, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_arrays, "BLOCK", SMALL_BLOCK)
        self._is_the_same_in_pieces(case, n, 197, dtype)

    @each(case="cases")
    def test_edges_of_blocks_of_the_usual_size_do_not_show(self, case: Case) -> None:
        self._is_the_same_in_pieces(case, 2 * BLOCK + 1, BLOCK - 100, np.float32)

    def _is_the_same_in_pieces(self, case: Case, n: int, piece: int, dtype: type) -> None:
        arrays = case.draw((n,), dtype)
        pieces = [case({k: a[i : i + piece] for k, a in arrays.items()}) for i in range(0, n, piece)]
        same(case(arrays), tuple(map(np.concatenate, zip(*pieces, strict=True))))


def _rows_around(classes: int) -> list[int]:
    step = max(1, SMALL_BLOCK // classes)
    return sorted({step - 1, step, step + 1, 2 * step + 1} - {0})


CLASSES = (
    *(1, 2, FEW_CLASSES - 1, FEW_CLASSES, FEW_CLASSES + 1),
    *(SMALL_BLOCK // 2, SMALL_BLOCK // 2 + 1, SMALL_BLOCK - 1, SMALL_BLOCK, SMALL_BLOCK + 1),
)


def _rows(case: Case, arrays: Arrays, rows: int | slice) -> Arrays:
    return {name: a if case.draws[name] is class_weights else a[rows] for name, a in arrays.items()}


class Rowwise(Contract):
    """Tests for a function of rows of classes; its results have the shape of its input, or one value a row."""

    shape = (3, 4, 5)
    empty = ((0, 3), (2, 0, 3))

    @each(case="cases", dtype=DTYPES)
    def test_nan_spoils_its_own_row_alone(self, case: Case, dtype: type) -> None:
        for arrays, spoilt, place in self._with_nan(case, dtype):
            row = place[:-1]
            for got, clean in zip(case(spoilt), case(arrays), strict=True):
                assert np.isnan(got[row]).all()
                got[row] = clean[row]
                np.testing.assert_array_equal(got, clean)

    @each(case="cases")
    def test_nan_spoils_masked_classes_too(self, case: Case) -> None:
        for name, draw in case.draws.items():
            if draw in (logits, class_log_probs, class_probs) and not case.is_weight(name):
                arrays = case.draw((2, 3))
                arrays[name][0] = [np.nan, 0.0 if draw is class_probs else -np.inf, 0.0]
                for result in case(arrays):
                    assert np.isnan(result[0]).all()
                    assert not np.isnan(result[1]).any()

    @each(case="cases", shape=[(4,), (2, 3), (1, 4, 3), (2, 3, 2, 4), (2, 1, 3, 2, 2)])
    def test_any_axis_of_any_number_of_dimensions(self, case: Case, shape: Shape) -> None:
        arrays, full = case.draw(shape, np.float32), shape
        expected = case(arrays)
        assert {r.shape for r in expected} <= {full, full[:-1]}
        for axis in range(-len(full), len(full)):
            moved = {n: np.moveaxis(a, -1, axis) if a.shape == full else a for n, a in arrays.items()}
            got = case(moved, axis=axis)
            same(got, tuple(np.moveaxis(r, -1, axis) if r.shape == full else r for r in expected))

    @each(case="cases", classes=CLASSES)
    def test_edges_of_blocks_of_rows_do_not_show(
        self, case: Case, classes: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_arrays, "BLOCK", SMALL_BLOCK)
        for rows in _rows_around(classes):
            arrays = case.draw((rows, classes))
            cuts = [0, *(c for c in (1, rows // 3, rows - 1) if 0 < c < rows), rows]
            cuts = sorted(set(cuts))
            pieces = []
            for i, j in pairwise(cuts):
                pieces.append(case(_rows(case, arrays, slice(i, j))))
            same(case(arrays), tuple(map(np.concatenate, zip(*pieces, strict=True))))

    @each(case="cases")
    def test_neighbours_in_the_batch_do_not_show(self, case: Case) -> None:
        for classes in (3, 20, 100):
            arrays = case.draw((17, classes))
            for name, draw in case.draws.items():
                if draw is logits:
                    arrays[name][::2] *= 30  # every second row is sure
            alone = [case(_rows(case, arrays, i)) for i in range(17)]
            same(case(arrays), tuple(map(np.stack, zip(*alone, strict=True))))

    @each(case="cases", axis=[3, -4, None, 1.0])
    def test_an_axis_that_is_not_there_is_refused(self, case: Case, axis: Any) -> None:
        arrays = case.draw(self.shape)
        message = f"axis must be one integer, not {axis}"
        if isinstance(axis, int):
            message = f"axis {axis} is out of bounds for ({'|'.join(arrays)}), which has 3 dimensions"
        with pytest.raises((ValueError, TypeError), match=message):
            case(arrays, axis=axis)

    @each(case="cases")
    def test_a_number_has_no_classes(self, case: Case) -> None:
        with pytest.raises(ValueError, match="dimensions"):
            case({name: np.array(0.5) for name in case.draws})
