"""What the card says of a network that recognises."""

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from small_networks import recognising_network, small_network

from transformers_update_for_adapters.model_card import NOT_RECORDED, licence_of
from transformers_update_for_adapters.recogniser_in_words import source_name


def card_of(network: Any, folder: Path) -> ModelCard:
    network.model.save_pretrained(folder)
    return ModelCard.load(folder / "README.md")


@pytest.mark.parametrize("shared", [True, False])
def test_a_card_introduces_the_recogniser(shared: bool, tmp_path: Path) -> None:
    network = recognising_network(shared_backbone=shared)
    recogniser = network.model.recogniser
    own = sum(each.numel() for each in recogniser.parameters())  # type: ignore[union-attr]
    text = " ".join(card_of(network, tmp_path).text.split())
    part = "a head of its own over the network's backbone, which is held still, too"
    assert (f"it has {part}, {own:,} of the parameters" in text) == shared
    part = "a backbone and a head of its own"
    assert (f"it has {part}, {own:,} of the parameters" in text) != shared
    assert "Its 6 labels are those of nvidia/segformer-b0; it does not know wall." in text
    assert "chosen on training images: from 0.27 (sky) to 0.73 (car)." in text
    assert "how likely every class but car and wall is to be in the picture at all" in text
    assert "from 0.25 on a class is worth asking for" in text
    assert "nothing teaches the network to paint nothing" not in text


def test_a_recognisers_licence_holds_for_the_whole(tmp_path: Path) -> None:
    network = recognising_network()
    network.config.origin = {"pretrained": None}
    recognition = network.config.recognition
    network.config.recognition = {**recognition, "license": "NVIDIA, non-commercial"}
    card = card_of(network, tmp_path)
    assert card.data.license_name == "nvidia-segformer"
    assert "allows non-commercial use only; it holds for these weights" in card.text
    network.config.recognition = {**recognition, "license": "apache-2.0"}
    assert licence_of(network.config).endswith("nvidia/segformer-b0, is under: apache-2.0.")
    network.config.recognition = {**recognition, "license": None}
    assert licence_of(network.config).startswith("Trained from random weights")
    assert licence_of(network.config).endswith("was trained from random weights, too.")
    # Of weights from elsewhere nobody knows that NVIDIA's does not hold.
    network.config.recognition = {**recognition, "license": NOT_RECORDED}
    assert licence_of(network.config).startswith("Not recorded. If the weights come from MiT")
    assert licence_of(network.config).endswith("has no licence that is recorded.")
    network.config.origin = {"pretrained": "nvidia/mit-b0"}
    assert card_of(network, tmp_path).data.license_name == "nvidia-segformer"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("nvidia/segformer-b0", "nvidia/segformer-b0"),
        ("/home/me/secret/fine_tuned", "fine_tuned"),
        ("~/fine_tuned", "fine_tuned"),
        ("../fine_tuned", "fine_tuned"),
        ("fine_tuned", "fine_tuned"),
        ("/home/me/outputs/demo/2026-01-31_12-00-00/recogniser", "2026-01-31_12-00-00"),
        ("/home/me/2026-01-31_12-00-00/recogniser/checkpoints/best.ckpt", "2026-01-31_12-00-00"),
        ("/home/me/2026-01-31_12-00-00/model", "2026-01-31_12-00-00"),
        ("/home/me/released.ckpt", "released.ckpt"),
        ("C:\\Users\\me\\fine_tuned", "fine_tuned"),
        ("/", "/"),
    ],
)
def test_a_card_says_nothing_of_the_machine(source: str, name: str, tmp_path: Path) -> None:
    assert source_name(source) == name
    network = recognising_network()
    recognition = {**network.config.recognition, "license": None}  # type: ignore[dict-item]
    network.config.recognition = {**recognition, "source": source}
    text = card_of(network, tmp_path).text
    assert "secret" not in text
    assert "/me" not in text


def test_a_card_without_says_nothing_of_it(tmp_path: Path) -> None:
    text = card_of(small_network(), tmp_path).text
    assert "nothing teaches the network to paint nothing.\n\n## Training" in text
    assert "recogniser" not in text
    assert "presence" not in text
