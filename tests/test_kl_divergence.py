"""The divergence, for every pair of scales."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import numpy as np
import pytest

import logitkit as lk
from tests import oracle
from tests.backends import backend  # noqa: F401 - runs every test on both
from tests.cases import DTYPES, Case, class_log_probs, class_probs, logits, refuses
from tests.contracts import Rowwise
from tests.gathered import each
from tests.loss_contracts import INF, LOWEST, SCALES, Loss, PlainMean, Z, floats, on_scale

ROW_SCALES = {"logits": logits, "probs": class_probs, "log_probs": class_log_probs}


class TestKLDivergence(Loss, PlainMean, Rowwise):
    cases: ClassVar = {
        f"{s} from {t}": Case(
            partial(lk.kl_divergence, reduction="none"), {f"target_{t}": ROW_SCALES[t], s: ROW_SCALES[s]}
        )
        for t, s in (("logits", "probs"), ("probs", "log_probs"), ("log_probs", "logits"))
    }

    def test_classes_may_lie_along_several_dimensions(self) -> None:
        t, z = np.random.default_rng(0).normal(0, 3, (2, 3, 5, 2, 4))
        got = lk.kl_divergence(target_logits=t, logits=z, axis=(0, -1), reduction="none")
        rows = (np.moveaxis(a, 0, 2).reshape(5, 2, 12) for a in (t, z))
        expected = lk.kl_divergence(target_logits=next(rows), logits=next(rows), reduction="none")
        np.testing.assert_array_equal(got, expected)

    @each(target_scale=SCALES, scale=SCALES)
    def test_every_pair_of_scales_gives_the_textbook_formula(self, target_scale: str, scale: str) -> None:
        t = np.array([[2.0, 0.0, -1.0, 0.5], [-3.0, 4.0, -INF, 0.25], [0.0, 0.0, -INF, 0.0], [-INF, -INF, -INF, 3.0]])
        z = np.array([[1.0, 0.5, -2.0, 0.5], [-1.0, 3.0, 2.0, -0.25], [9.0, 0.0, -INF, 0.0], [2.0, -1.0, 0.0, 0.0]])
        expected = [
            oracle.kl_divergence(oracle.softmax(oracle.exact(a)), oracle.softmax(oracle.exact(b)))
            for a, b in zip(t, z, strict=True)
        ]
        given = {f"target_{target_scale}": on_scale(t, target_scale), scale: on_scale(z, scale)}
        np.testing.assert_allclose(lk.kl_divergence(**given, reduction="none"), floats(expected), rtol=1e-14)

    @each(target_scale=SCALES, scale=SCALES)
    def test_distributions_that_nearly_agree_keep_their_digits(self, target_scale: str, scale: str) -> None:
        t = np.array([[2.0, 0.0, -1.0, 0.5, -INF]])
        for size in (0.5, 1e-2, 1e-4, 1e-6):
            z = t + size * np.array([[0.3, -0.1, 0.7, 0.2, 0.0]])
            expected = oracle.kl_divergence(oracle.softmax(oracle.exact(t)), oracle.softmax(oracle.exact(z)))
            given = {f"target_{target_scale}": on_scale(t, target_scale), scale: on_scale(z, scale)}
            # The last digits of a probability are worth 1e-16 / size of a divergence of order size^2.
            assert lk.kl_divergence(**given) == pytest.approx(float(expected), rel=4e-15 / size, abs=0)

    @each(ratio=[0.3, 0.49, 0.51, 1.0, 1.45, 4.0])
    def test_terms_of_any_size_keep_their_digits(self, ratio: float) -> None:
        # Two classes whose probabilities differ by a factor of exp(ratio), one up and one down.
        t = float((1 - oracle.exp(-ratio)) / (2 * oracle.number(ratio).sinh()))
        target, probs = np.array([t, 1 - t]), np.array([t * np.exp(ratio), 1 - t * np.exp(ratio)])
        pairs = zip(oracle.exact(target), oracle.exact(probs), strict=True)
        expected = oracle.total(a * oracle.log(a / b) - a + b for a, b in pairs)
        assert lk.kl_divergence(target_probs=target, probs=probs) == pytest.approx(float(expected), rel=2e-15, abs=0)

    @each(scale=SCALES)
    def test_distribution_does_not_diverge_from_itself(self, scale: str) -> None:
        for dtype in DTYPES:
            t = on_scale(np.vstack([Z, [0.0, -INF, 1.0, -INF]]), scale).astype(dtype)
            got = lk.kl_divergence(**{f"target_{scale}": t, scale: t}, reduction="none")
            assert got.tolist() == [0] * 5
            assert not np.signbit(got).any()

    @each(scale=SCALES, dtype=DTYPES)
    def test_rounding_of_the_rows_never_makes_it_negative(self, scale: str, dtype: type) -> None:
        rng = np.random.default_rng(0)
        z = rng.normal(0, 2, (200, 6))
        t, p = (on_scale(v, scale).astype(dtype) for v in (z, z + rng.normal(0, 1e-4, z.shape)))
        got = lk.kl_divergence(**{f"target_{scale}": t, scale: p}, reduction="none")
        assert (got >= 0).all()

    @each(mask=[-INF, -1e9, -1e30, LOWEST])
    def test_class_masked_on_both_sides_counts_for_nothing(self, mask: float) -> None:
        expected = lk.kl_divergence(target_logits=[0.5, 1.0], logits=[0.0, 2.0])
        got = lk.kl_divergence(target_logits=[0.5, mask, 1.0], logits=[0.0, mask, 2.0])
        assert got == pytest.approx(expected, rel=1e-15)

    def test_class_masked_on_one_side(self) -> None:
        masked, plain = [0.5, -INF, 1.0], [0.5, 0.0, 1.0]
        assert np.isfinite(lk.kl_divergence(target_logits=masked, logits=plain))
        assert lk.kl_divergence(target_logits=plain, logits=masked) == INF

    def test_certain_class_is_on_both_sides_or_infinitely_far(self) -> None:
        assert lk.kl_divergence(target_logits=[INF, 0.0], logits=[INF, 3.0]) == 0
        assert lk.kl_divergence(target_logits=[INF, 0.0], logits=[0.0, INF]) == INF
        assert lk.kl_divergence(target_logits=[INF, 0.0], logits=[0.0, 0.0]) == pytest.approx(np.log(2), rel=1e-15)

    @each(t=DTYPES, p=DTYPES)
    def test_wider_dtype_wins(self, t: type, p: type) -> None:
        got = lk.kl_divergence(target_logits=t([1, 2]), logits=p([2, 1]))
        assert got.dtype == np.promote_types(t, p)

    def test_each_side_is_given_once(self) -> None:
        one = [1.0, 0.0]
        message = "give exactly one of target_logits, target_probs, target_log_probs; got "
        with refuses(ValueError, message + "none"):
            lk.kl_divergence(probs=one)
        both = message + "target_logits and target_probs"
        with refuses(ValueError, both):
            lk.kl_divergence(target_logits=one, target_probs=one, probs=one)
        message = "give exactly one of logits, probs, log_probs; got "
        with refuses(ValueError, message + "none"):
            lk.kl_divergence(target_probs=one)
        with refuses(ValueError, message + "logits and probs"):
            lk.kl_divergence(target_probs=one, probs=one, logits=one)

    @pytest.mark.parametrize(
        ("t", "p"), [((2,), (1, 2)), ((1, 2), (2,)), ((2, 2), (3, 2)), ((2, 3), (2, 2)), ((2, 2), (2, 1))]
    )
    def test_sides_of_different_shapes_are_never_broadcast(self, t: tuple[int, ...], p: tuple[int, ...]) -> None:
        for target, prediction in ((np.zeros(t), np.zeros(p)), (np.zeros(t[::-1]), np.zeros(p[::-1]))):
            message = f"target_logits must have the shape of logits, {prediction.shape}, but has {target.shape}"
            with refuses(ValueError, message):
                lk.kl_divergence(target_logits=target, logits=prediction)

    def test_shape_is_what_is_wrong_where_each_side_has_a_meaning_of_its_own(self) -> None:
        with refuses(ValueError, "target_probs must have the shape of probs, (2, 2), but has (2,)"):
            lk.kl_divergence(target_probs=[0.5, 0.5], probs=[[0.5, 0.5], [0.25, 0.75]])

    def test_side_without_meaning_is_named(self) -> None:
        half = [0.5, 0.5]
        with refuses(ValueError, "target_probs must lie in [0, 1], but target_probs[0] is 2.0", "did you pass logits?"):
            lk.kl_divergence(target_probs=[2.0, -1.0], probs=half)
        with refuses(ValueError, "the sum of probs must be 1 in each row, but the sum of probs is 0.75"):
            lk.kl_divergence(target_probs=half, probs=[0.5, 0.25])
        with refuses(ValueError, "target_log_probs must be at most 0, but target_log_probs[0] is 0.5"):
            lk.kl_divergence(target_log_probs=[0.5, -1.0], probs=half)
        with refuses(ValueError, "the sum of exp(target_log_probs) is 2.0"):
            lk.kl_divergence(target_log_probs=[0.0, 0.0], probs=half)
        with refuses(ValueError, "the largest of target_logits is -inf"):
            lk.kl_divergence(target_logits=[-INF, -INF], probs=half)
