"""What a network answers when classes are asked that may not be there: by hand, by plain loops."""

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seg_training.evaluation.mask_metrics import measured
from seg_training.evaluation.pair_table import COLUMNS, FLOATS, PairTable
from seg_training.evaluation.presence_metrics import (
    ABSENT_SHARES,
    PresenceResult,
    average_precision,
    matthews_correlation,
    presence_metrics,
)


def table_of(pairs: Iterable[dict[str, Any]]) -> PairTable:
    """Pairs of an image of 100 valid pixels each; calibrated as at 0 unless given."""
    rows = []
    for place, own in enumerate(pairs):
        columns = {name: -1 if name.startswith(("joint", "open")) else 0 for name in COLUMNS}
        columns |= {"image": place, "valid": 100, **own}
        for name in ("intersection", "predicted"):
            columns[f"calibrated_{name}"] = own.get(f"calibrated_{name}", own[name])
        for name in FLOATS:
            columns[name] = int(np.float32(own[name]).view(np.int32))
        rows.append([columns[name] for name in COLUMNS])
    return PairTable.of_rows(np.array(rows, np.int64).reshape(-1, len(COLUMNS)), (), {}, 5)


def pair(task: int, true: int, right: int, predicted: int, presence: float, **more: int) -> Any:
    counts = {"task": task, "true": true, "intersection": right, "predicted": predicted}
    return {**counts, "presence": presence, **more}


def result_of(*pairs: Any) -> PresenceResult:
    result = presence_metrics(table_of(pairs))
    assert result is not None
    return result


def test_a_gate_acts_on_what_is_calibrated_alone() -> None:
    table = table_of(
        [
            pair(0, 10, 10, 10, 0.9),
            pair(0, 10, 5, 5, 0.1),  # found by the mask, not by the gate
            pair(0, 0, 0, 20, 0.2),
            pair(0, 0, 0, 30, 0.6),
            pair(1, 10, 10, 10, np.nan),  # unknown: painted
        ]
    )
    result, gated = presence_metrics(table), presence_metrics(replace(table, gate=0.5))
    assert result is not None
    assert gated is not None
    for name in ("presence_MCC", "absent_painted", "absent_area", "cg_bIoU", "presence_mAP"):
        assert getattr(gated, name) == getattr(result, name)
    assert gated.absent_painted_calibrated == 50.0
    assert gated.absent_area_calibrated == pytest.approx(15.0)
    # Painted: yes, no, no, yes, yes; there: yes, yes, no, no, yes.
    correlation = (5 * 2 - 3 * 3) / np.sqrt(3 * 2 * 3 * 2)
    assert gated.presence_MCC_calibrated == pytest.approx(correlation)
    assert gated.cg_bIoU_calibrated == pytest.approx(100 * 2 / 3 * correlation)


def test_by_hand() -> None:
    result = result_of(
        pair(0, 10, 5, 5, 0.9),  # IoU 1/2
        pair(0, 10, 0, 0, 0.3, calibrated_intersection=10, calibrated_predicted=20),  # 0, then 1/2
        pair(0, 0, 0, 40, 0.5),
        pair(0, 0, 0, 0, 0.1),
        pair(1, 0, 0, 0, 0.2, calibrated_predicted=10),
        pair(1, 10, 10, 10, 0.8),  # IoU 1
        pair(2, 0, 0, 0, 0.7),  # never there: no average precision
    )
    # Class 0, from the largest score on: there, not, there, not: (1 + 2/3) / 2. Class 1: 1.
    assert result.presence_mAP == pytest.approx(100 * (5 / 6 + 1) / 2)
    assert result.presence_frequency_mAP == 50.0
    # Present: 2 of 3 painted, absent: 1 of 4; calibrated 3 of 3 and 2 of 4.
    mcc = (2 * 3 - 1 * 1) / math.sqrt(3 * 3 * 4 * 4)
    calibrated = (3 * 2 - 2 * 0) / math.sqrt(5 * 3 * 4 * 2)
    assert result.presence_MCC == pytest.approx(mcc)
    assert result.presence_MCC_calibrated == pytest.approx(calibrated)
    assert (result.absent_painted, result.absent_painted_calibrated) == (25.0, 50.0)
    assert (result.absent_area, result.absent_area_calibrated) == (10.0, 12.5)
    assert result.cg_bIoU == pytest.approx(100 * (1 / 2 + 0 + 1) / 3 * mcc)
    assert result.cg_bIoU_calibrated == pytest.approx(100 * (1 / 2 + 1 / 2 + 1) / 3 * calibrated)


def test_it_is_a_metric_of_the_table_where_absent_classes_were_asked() -> None:
    there, absent = pair(0, 10, 5, 5, 0.9), pair(0, 0, 0, 40, 0.5)
    both = table_of([there, absent])
    assert measured(both).presence == presence_metrics(both)
    for pairs in ([there, there], [absent], []):
        assert measured(table_of(pairs)).presence is None


def test_painting_everything_knows_nothing() -> None:
    result = result_of(pair(0, 10, 10, 100, 0.5), pair(0, 0, 0, 100, 0.5))
    assert (result.cg_bIoU, result.presence_MCC, result.presence_mAP) == (0.0, 0.0, 50.0)


def test_the_answer_by_frequency_is_that_of_a_constant_score() -> None:
    result = result_of(
        *(pair(0, 10, 5, 5, 0.5) for _ in range(3)),
        pair(0, 0, 0, 5, 0.5),
        pair(1, 10, 5, 5, 0.5),
        *(pair(1, 0, 0, 5, 0.5) for _ in range(3)),
    )
    assert result.presence_mAP == result.presence_frequency_mAP == 50.0


def test_a_class_that_the_score_does_not_know_has_no_average_precision() -> None:
    known = [pair(0, 10, 5, 5, 0.1), pair(0, 0, 0, 5, 0.5)]
    unknown = [pair(1, 10, 5, 5, math.nan), pair(1, 0, 0, 5, math.nan)]
    result = result_of(*known, *unknown)
    assert (result.presence_mAP, result.presence_frequency_mAP) == (50.0, 50.0)
    nothing = result_of(*unknown)
    assert math.isnan(nothing.presence_mAP)
    assert math.isnan(nothing.presence_frequency_mAP)
    assert nothing.absent_painted == 100.0


def plain_average_precision(scores: list[float], present: list[bool]) -> float:
    """scikit-learn's definition: the sum of (R_n - R_(n-1)) P_n over the thresholds."""
    total, recall_before = 0.0, 0.0
    for least in sorted(set(scores), reverse=True):
        answered = [there for score, there in zip(scores, present, strict=True) if score >= least]
        recall = sum(answered) / sum(present)
        total += (recall - recall_before) * sum(answered) / len(answered)
        recall_before = recall
    return total


SCORED = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0]), st.booleans()), min_size=1)


@given(SCORED.filter(lambda pairs: any(there for _, there in pairs)))
@settings(deadline=None)
def test_average_precision_is_scikit_learns(pairs: list[tuple[float, bool]]) -> None:
    scores, present = [score for score, _ in pairs], [there for _, there in pairs]
    expected = pytest.approx(plain_average_precision(scores, present))
    assert average_precision(np.array(scores, np.float32), np.array(present)) == expected
    # Equal scores in another order.
    turned = np.array(scores[::-1], np.float32), np.array(present[::-1])
    assert average_precision(*turned) == expected


def test_average_precision_by_scikit_learns_example() -> None:
    scores, present = np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])
    assert average_precision(scores, present) == pytest.approx(0.8333, abs=1e-4)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2))
def test_matthews_correlation_is_pearsons_of_zeros_and_ones(pairs: list[tuple[bool, bool]]) -> None:
    answers, truths = np.array(pairs).T
    found = matthews_correlation(answers, truths)
    if answers.min() == answers.max() or truths.min() == truths.max():
        assert found == 0.0
    else:
        assert found == pytest.approx(np.corrcoef(answers, truths)[0, 1])


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_the_curve_is_that_of_the_best_threshold_that_a_plain_loop_finds(seed: int) -> None:
    random = np.random.default_rng(seed)
    pairs = [pair(0, 10, 5, 5, 0.5), pair(0, 0, 0, 5, 0.5)]
    for _ in range(25):
        true, predicted = 10 * int(random.random() < 0.4), int(random.integers(3))
        presence = math.nan if random.random() < 0.1 else random.integers(8) / 8
        pairs.append(pair(0, true, min(true, predicted), predicted, presence))
    there = [own for own in pairs if own["true"]]
    absent = [own for own in pairs if not own["true"]]

    def is_painted(own: Any, least: float) -> bool:
        return own["predicted"] > 0 and not own["presence"] <= least  # nan is always painted

    def biou(least: float) -> float:
        kept = [own for own in there if is_painted(own, least)]
        ious = (own["intersection"] / (own["predicted"] + 10 - own["intersection"]) for own in kept)
        return 100 * sum(ious) / len(there)

    for share, found in result_of(*pairs).biou_at_absent_painted.items():
        bious = [
            biou(least)
            for least in [-1.0, *np.arange(8) / 8]
            if 100 * sum(is_painted(own, least) for own in absent) <= share * len(absent)
        ]
        assert found == pytest.approx(max(bious) if bious else math.nan, nan_ok=True)


def test_the_curve_ends_where_all_is_painted() -> None:
    absent = [pair(0, 0, 0, 1, 0.6 - each / 100) for each in range(20)]
    curve = result_of(pair(0, 10, 5, 5, 0.505), *absent).biou_at_absent_painted
    assert tuple(curve) == ABSENT_SHARES
    assert curve == {5: 0.0, 10: 0.0, 15: 0.0, 20: 0.0, 30: 0.0, 50: 50.0}
