"""What is told to the hub; its client is a stand-in that keeps what it is given."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from huggingface_hub.errors import EntryNotFoundError
from safetensors.torch import load_file
from transformers import SegformerConfig, SegformerForSemanticSegmentation, modeling_utils
from transformers.utils import hub

from transformers_update_for_adapters import TASFormerConfig, TASFormerForSemanticSegmentation

TOLD: dict[str, Any] = {
    "private": True,
    "token": "hf_secret",
    "commit_message": "Trees, at last",
    "create_pr": True,
}


class Hub:
    """The calls of the hub's client that pushing makes."""

    def __init__(self, card: str | None = None) -> None:
        self.card = card
        self.calls: dict[str, dict[str, Any]] = {}
        self.files: dict[str, bytes] = {}

    def create_repo(self, repo_id: str, **options: Any) -> Any:
        self.calls["create_repo"] = {"repo_id": repo_id, **options}
        return type("Repo", (), {"repo_id": f"me/{repo_id}"})

    def create_branch(self, **options: Any) -> None:
        self.calls["create_branch"] = options

    def create_commit(self, operations: list[Any], **options: Any) -> str:
        self.calls["create_commit"] = options
        for operation in operations:
            with operation.as_file() as file:
                self.files[operation.path_in_repo] = file.read()
        return "done"

    def load_card(self, *_args: Any, **options: Any) -> ModelCard:
        self.calls["load_card"] = options
        if self.card is None:
            raise EntryNotFoundError("none")
        return ModelCard(self.card)


@pytest.fixture
def make_hub(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Hub]:
    def make(card: str | None = None) -> Hub:
        there = Hub(card)
        for module in (hub, modeling_utils):
            monkeypatch.setattr(module, "hf_api", lambda: there)
        monkeypatch.setattr(hub.ModelCard, "load", there.load_card)
        return there

    return make


@pytest.fixture
def model(make_config: Callable[..., TASFormerConfig]) -> TASFormerForSemanticSegmentation:
    return TASFormerForSemanticSegmentation(make_config("adapter_hf", depths=[1] * 4))


def test_the_hub_is_told_what_transformers_tells_it(
    model: TASFormerForSemanticSegmentation, make_hub: Callable[..., Hub], tmp_path: Path
) -> None:
    stock = SegformerForSemanticSegmentation(SegformerConfig(hidden_sizes=[8, 16, 24, 32]))
    calls = {}
    for name, own in (("stock", stock), ("ours", model)):
        there = make_hub()
        own.save_pretrained(tmp_path / name / "trees", push_to_hub=True, **TOLD)
        calls[name] = there.calls
    for call in ("create_repo", "create_commit"):
        for option, value in calls["stock"][call].items():
            assert calls["ours"][call][option] == value, (call, option)
    assert calls["ours"]["create_repo"]["private"] is True
    assert calls["ours"]["create_repo"]["token"] == "hf_secret"
    assert calls["ours"]["create_commit"]["commit_message"] == "Trees, at last"
    assert calls["ours"]["create_commit"]["create_pr"] is True


@pytest.mark.parametrize("at_once", [True, False])
def test_branch_and_tags_arrive_as_well(
    at_once: bool,
    model: TASFormerForSemanticSegmentation,
    make_hub: Callable[..., Hub],
    tmp_path: Path,
) -> None:
    there = make_hub()
    told = TOLD | {"revision": "next", "commit_description": "of oaks", "tags": ["trees"]}
    if at_once:
        model.save_pretrained(tmp_path / "x", push_to_hub=True, repo_id="trees", **told)
    else:
        model.push_to_hub("trees", **told)
    assert there.calls["create_repo"]["repo_id"] == "trees"
    assert there.calls["create_repo"]["private"] is True
    assert there.calls["load_card"]["token"] == "hf_secret"
    assert there.calls["create_branch"]["branch"] == "next"
    commit = there.calls["create_commit"]
    assert commit["repo_id"] == "me/trees"
    assert commit["revision"] == "next"
    assert commit["commit_description"] == "of oaks"
    assert commit["create_pr"] is True
    card = ModelCard(there.files["README.md"].decode())
    assert {"tasformer", "trees"} <= set(card.data.tags)
    assert "from_pretrained('me/trees')" in card.text


def test_what_was_written_is_what_is_uploaded(
    model: TASFormerForSemanticSegmentation, make_hub: Callable[..., Hub], tmp_path: Path
) -> None:
    there = make_hub()
    weights = {name: tensor + 1 for name, tensor in model.state_dict().items()}
    model.save_pretrained(
        tmp_path / "x",
        push_to_hub=True,
        state_dict=dict(weights),
        variant="ema",
        max_shard_size="9KB",
    )
    for file in tmp_path.glob("x/*"):
        assert there.files[file.name] == file.read_bytes()
    shards = [name for name in there.files if name.endswith(".safetensors")]
    assert len(shards) > 1
    assert all(".ema" in name for name in shards)
    uploaded = {}
    for name in shards:
        uploaded |= load_file(tmp_path / "x" / name)
    assert all((uploaded[name] == tensor).all() for name, tensor in weights.items())


def test_a_card_of_ones_own_is_uploaded_and_kept(
    model: TASFormerForSemanticSegmentation, make_hub: Callable[..., Hub], tmp_path: Path
) -> None:
    there = make_hub("---\ntags: [old]\n---\n# On the hub")
    (tmp_path / "README.md").write_text("---\ntags: [mine]\n---\n# Written by hand")
    model.save_pretrained(tmp_path, push_to_hub=True, repo_id="trees")
    assert "Written by hand" in (tmp_path / "README.md").read_text()
    assert "Written by hand" in there.files["README.md"].decode()


def test_without_the_hub_the_folder_is_written_all_the_same(
    model: TASFormerForSemanticSegmentation, make_hub: Callable[..., Hub], tmp_path: Path
) -> None:
    there = make_hub()

    def refuse(*_args: Any, **_options: Any) -> None:
        raise OSError("no way to the hub")

    there.create_repo = refuse  # type: ignore[method-assign]
    with pytest.raises(OSError, match="no way to the hub"):
        model.save_pretrained(tmp_path, push_to_hub=True, repo_id="trees")
    assert (tmp_path / "model.safetensors").is_file()
    assert (tmp_path / "README.md").is_file()


def test_other_processes_write_and_push_nothing(
    model: TASFormerForSemanticSegmentation, make_hub: Callable[..., Hub], tmp_path: Path
) -> None:
    there = make_hub()
    model.save_pretrained(tmp_path, is_main_process=False, push_to_hub=True, repo_id="trees")
    assert list(tmp_path.iterdir()) == []
    assert there.calls == {}
