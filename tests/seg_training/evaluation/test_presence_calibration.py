import numpy as np
import pytest
import torch

from seg_training.evaluation.presence_calibration import RECALLS, fit_presence


def test_probabilities_that_were_true_come_back() -> None:
    """Of many pictures drawn from known probabilities, the scale and the biases are found."""
    random = np.random.default_rng(0)
    features = random.normal(size=(20000, 3))
    logits = 1.7 * features + np.array([-2.0, 0.5, 1.0])
    present = (random.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(float)
    fitted = fit_presence(features, present)
    assert fitted is not None
    assert fitted["scale"] == pytest.approx(1.7, abs=0.05)
    assert fitted["bias"] == pytest.approx([-2.0, 0.5, 1.0], abs=0.1)


def test_ninety_percent_of_what_is_there_is_looked_for() -> None:
    random = np.random.default_rng(1)
    features = random.normal(size=(50, 4))
    present = (features + random.normal(size=(50, 4)) > 0).astype(float)
    fitted = fit_presence(features, present)
    assert fitted is not None
    logits = fitted["scale"] * features + np.array(fitted["bias"])
    scores = 1 / (1 + np.exp(-logits))
    kept = (scores >= fitted["least"])[present == 1]
    assert 0.9 <= kept.mean() <= 0.9 + 1 / len(kept)
    assert [*fitted["least_at"]] == [str(recall) for recall in RECALLS]
    for recall, least in fitted["least_at"].items():
        found = (scores >= least)[present == 1].mean()
        assert 0 <= found - int(recall) / 100 < 1 / len(kept)


def test_who_looks_for_more_than_usual_finds_no_less() -> None:
    """Where all that is there is likely, nine tenths have more than a half: that is enough."""
    random = np.random.default_rng(4)
    present = np.repeat(np.arange(100) % 2.0, 4).reshape(100, 4)
    features = 8 * (present - 0.5) + 0.1 * random.normal(size=(100, 4))
    fitted = fit_presence(features, present)
    assert fitted is not None
    at = fitted["least_at"]
    assert fitted["least"] == at["90"] == at["95"] == at["99"] == 0.5
    assert at["50"] >= at["60"] >= at["70"] >= at["80"] > 0.9


@pytest.mark.parametrize("seed", range(5))
def test_pictures_as_sure_as_can_be_reach_the_bounds_in_single_precision(seed: int) -> None:
    """Many have the largest feature there is, and so one score, which is then a bound itself."""
    random = np.random.default_rng(seed)
    present = (random.random((40, 4)) < 0.4).astype(float)
    largest = torch.logit(torch.ones(1), eps=1e-6)  # of presence_features
    features = torch.from_numpy(random.normal(4 * present - 1, 2).astype(np.float32))
    is_surest = torch.from_numpy((present == 1) & (random.random((40, 4)) < 0.8))
    features[is_surest] = largest
    fitted = fit_presence(features.double().numpy(), present)
    assert fitted is not None
    scores = (fitted["scale"] * features + torch.tensor(fitted["bias"])).sigmoid()
    for recall, least in fitted["least_at"].items():
        asked = [score >= least for score in scores[present == 1].tolist()]
        assert np.mean(asked) >= int(recall) / 100
    exact = 1 / (1 + np.exp(-fitted["scale"] * features.double().numpy() - fitted["bias"]))
    is_open = exact >= fitted["gate"]
    assert np.array_equal(scores.numpy() >= fitted["gate"], is_open)


def test_classes_that_are_always_there_or_never_have_no_bias() -> None:
    features = np.array(
        [[0.0, 1.0, 2.0, np.nan], [1.0, -1.0, 0.0, np.nan], [2.0, 0.5, 1.0, np.nan]]
    )
    present = np.array([[1.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0], [1.0, np.nan, 0.0, 0.0]])
    fitted = fit_presence(features, present)
    assert fitted is not None
    always, measured, never, unknown = fitted["bias"]
    assert (always, never, unknown) == (None, None, None)
    assert np.isfinite(measured)
    assert fit_presence(features[:, [0, 2]], present[:, [0, 2]]) is None


def test_few_pictures_move_a_bias_little() -> None:
    """A class of three pictures lies nearer to the common bias than its own pictures say."""
    random = np.random.default_rng(2)
    features = random.normal(size=(300, 2)) * 0.01
    present = np.full((300, 2), np.nan)
    present[:, 0] = np.arange(300) % 2
    present[:3, 1] = [1, 1, 0]
    present[3:, 1] = np.nan
    fitted = fit_presence(features, present)
    assert fitted is not None
    alone = np.log(2 / 1)
    assert 0 < fitted["bias"][1] < alone


def test_the_gate_is_the_best_score_by_a_plain_loop() -> None:
    random = np.random.default_rng(3)
    features = random.normal(size=(40, 3))
    present = (features + random.normal(size=(40, 3)) > 0.5).astype(float)
    fitted = fit_presence(features, present)
    assert fitted is not None
    scores = 1 / (1 + np.exp(-(fitted["scale"] * features + np.array(fitted["bias"]))))

    def goodness(gate: float) -> float:
        found = scores >= gate
        correlation = np.corrcoef(found.ravel(), present.ravel())[0, 1] if found.std() else 0.0
        return float(correlation * found[present == 1].mean())

    best = max(goodness(gate) for gate in scores[present == 1])
    assert goodness(fitted["gate"] - 1e-12) == pytest.approx(best)
