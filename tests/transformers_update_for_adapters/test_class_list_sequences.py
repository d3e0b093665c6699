"""Any sequence of changes to a class list: what is not touched stays, and all that is said fits."""

import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from small_networks import NAMES, SMALL, photo, recognising_network, small_network
from torch import Tensor

from seg_training.networks.painted_networks import build_painted_network
from transformers_update_for_adapters import TASFormerForSemanticSegmentation, find_task
from transformers_update_for_adapters import class_learning as learning
from transformers_update_for_adapters.changed_classes import joined, with_classes
from transformers_update_for_adapters.class_learning import LearningSettings

Model = TASFormerForSemanticSegmentation

SIZE = (32, 32)
PICTURES = [photo(*SIZE, seed) for seed in range(2)]
MASKS = [picture[..., 0] > 128 for picture in PICTURES]
IMAGES = torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(0))
NEW = ["mug", "cup", "jar", "Krug, groß=1"]


def overlapping_network() -> Model:
    """Over a recogniser whose labels may be on the same pixel; a tree has two of them."""
    recogniser = small_network("segformer", SIZE, other_channel=False, overlapping=True)
    sizes = {name: SMALL[name] for name in SMALL if name.startswith(("task_", "projector_"))}
    network = build_painted_network(
        recogniser.model,
        [[0, 1], [2], [3], [4]],
        {"method": "adapter_hf", **sizes},
        labels=NAMES,
        source=None,
        license="other",
        num_tasks=4,
        task_names=NAMES[:4],
    )
    return network.eval().model


def without_thresholds() -> Model:
    model = recognising_network().model
    model.config.thresholds, model.config.presence = None, None
    return model


BASES: dict[str, Callable[[], Model]] = {
    "recognising": lambda: recognising_network().model,
    "recognising emb": lambda: recognising_network("emb").model,
    "without thresholds": without_thresholds,
    "overlapping": overlapping_network,
    "adapters": lambda: small_network().model,
    "emb": lambda: small_network("emb", SIZE).model,
    "segformer": lambda: small_network("segformer").model,
    "channels": lambda: small_network("channels").model,
}
FEW = settings(max_examples=10, stateful_step_count=4, deadline=None, derandomize=True)
MADE: dict[tuple[str, str], Model] = {}


def base_network(kind: str) -> Model:
    """Each is made once: nothing changes it."""
    if (kind, "") not in MADE:
        MADE[kind, ""] = BASES[kind]().eval()
        MADE[kind, ""].config.crop_size = list(SIZE)
    return MADE[kind, ""]


def learnt(model: Model, name: str, learns: str | None = None) -> Model:
    return model.learn_class(name, PICTURES, MASKS, LearningSettings(learns))


def of_base(kind: str, name: str) -> Model:
    """A class learnt by the base alone."""
    if (kind, name) not in MADE:
        MADE[kind, name] = learnt(base_network(kind), name)
    return MADE[kind, name]


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(learning, "_ROW_STOPS", (1, 2))
    monkeypatch.setattr(learning, "_PAINTED_STOPS", (1, 2))
    yield
    MADE.clear()


@torch.inference_mode()
def answers(model: Model) -> dict[str, Tensor]:
    """Ask each class alone, so that nothing is computed in larger matrices than before."""
    names = model.config.task_names or []
    return {
        name: model.class_logits(IMAGES, torch.tensor([k]))[0, 0] for k, name in enumerate(names)
    }


def said_of(model: Model, name: str) -> tuple[Any, ...]:
    """What a configuration says of a class."""
    config, task = model.config, find_task(name, model.config)
    return (
        None if config.thresholds is None else config.thresholds[task],
        None if config.presence is None else config.presence["bias"][task],
        None if config.painted_gains is None else config.painted_gains[task],
    )


class ClassLists(RuleBasedStateMachine):
    """Learns, removes, renames, merges, orders and joins, and knows what each class answers."""

    @initialize(kind=st.sampled_from(sorted(BASES)))
    def begin(self, kind: str) -> None:
        self.kind = kind
        self.model = base_network(kind)
        self.expected = answers(self.model)
        self.said = {name: said_of(self.model, name) for name in self.expected}

    @property
    def names(self) -> list[str]:
        return list(self.expected)

    @property
    def changes_freely(self) -> bool:
        return self.kind not in ("segformer", "channels")

    def took(self, model: Model, moved: dict[str, str]) -> None:
        """Take a changed network; of its classes these were those before, by their names then."""
        now = answers(model)
        for name, before in moved.items():
            assert torch.equal(now[name], self.expected[before]), (name, before)
            # A network that gets its first thresholds or gains says of the others what was so.
            usual = (0.0, None, 1.0)
            for own, then, otherwise in zip(
                said_of(model, name), self.said[before], usual, strict=True
            ):
                assert own == then or (then is None and own == otherwise), (name, before)
        self.model, self.expected = model, now
        self.said = {name: said_of(model, name) for name in now}

    @rule(name=st.sampled_from(NEW), learns=st.sampled_from([None, "embedding", "row+embedding"]))
    def learn(self, name: str, learns: str | None) -> None:
        if name in self.names:
            with pytest.raises(ValueError, match="already"):
                learnt(self.model, name)
            return
        has_rows = self.model.recogniser is not None
        if not self.changes_freely or (learns == "row+embedding" and not has_rows):
            learns = None
        self.took(learnt(self.model, name, learns), {own: own for own in self.names})

    @precondition(lambda self: self.changes_freely and len(self.names) > 1)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        most = len(self.names) - 1
        gone = data.draw(st.sets(st.sampled_from(self.names), min_size=1, max_size=most))
        kept = {name: [k] for k, name in enumerate(self.names) if name not in gone}
        self.took(with_classes(self.model, kept), {name: name for name in kept})

    @rule(data=st.data(), new=st.sampled_from([*NEW, "shrub", "thing", "All"]))
    def rename(self, data: st.DataObject, new: str) -> None:
        old = data.draw(st.sampled_from(self.names))
        words = self.model.config.task_synonyms or []
        others = [own for name, own in zip(self.names, words, strict=False) if name != old]
        classes = {new if name == old else name: [k] for k, name in enumerate(self.names)}
        if new == "All" or any(new in own for own in others):
            with pytest.raises(ValueError, match=r"cannot be called|already"):
                with_classes(self.model, classes)
        elif new not in self.names:
            moved = {new if name == old else name: name for name in self.names}
            self.took(with_classes(self.model, classes), moved)

    @precondition(lambda self: self.changes_freely)
    @rule(data=st.data())
    def order(self, data: st.DataObject) -> None:
        order = data.draw(st.permutations(self.names))
        changed = with_classes(self.model, {name: [self.names.index(name)] for name in order})
        self.took(changed, {name: name for name in order})
        assert self.model.config.task_names == order

    @precondition(lambda self: self.changes_freely and len(self.names) > 1)
    @rule(data=st.data())
    def merge(self, data: st.DataObject) -> None:
        some = data.draw(st.permutations(range(len(self.names))))[:2]
        classes = {name: [k] for k, name in enumerate(self.names) if k not in some}
        classes["merged"] = some
        untouched = {name: name for name in classes if name != "merged"}
        if "merged" in self.names and self.names.index("merged") not in some:
            return
        try:
            merged = with_classes(self.model, classes)
        except ValueError as error:  # said in tests of its own
            if "cannot be merged" not in str(error):
                raise
            return
        self.took(merged, untouched)

    @precondition(lambda self: self.changes_freely)
    @rule(name=st.sampled_from(NEW))
    def join(self, name: str) -> None:
        other = of_base(self.kind, name)
        if name in self.names or not set(NAMES) & set(other.config.task_names or ()) <= set(
            self.names
        ):
            return
        both = joined(self.model, other)
        assert torch.equal(answers(both)[name], answers(other)[name])
        assert said_of(both, name) == said_of(other, name)
        self.took(both, {own: own for own in self.names})

    @invariant()
    def all_that_is_said_is_of_these_classes(self) -> None:
        if not hasattr(self, "model"):
            return
        config = self.model.config
        number = config.num_tasks
        for field in ("task_names", "task_synonyms", "thresholds", "painted_gains"):
            own = getattr(config, field)
            assert own is None or len(own) == number, field
        assert config.presence is None or len(config.presence["bias"]) == number
        assert config.recognition is None or len(config.recognition["channels"]) == number
        assert config.rounds is None or sum(config.rounds) == number
        assert set((config.origin or {}).get("learnt", {})) <= set(self.names)
        assert all(torch.isfinite(own).all() for own in self.expected.values())

    def teardown(self) -> None:
        if not hasattr(self, "model"):
            return
        with tempfile.TemporaryDirectory() as folder:
            self.model.save_pretrained(folder)
            again: Any = Model.from_pretrained(folder).eval()
        self.model.config.name_or_path = again.config.name_or_path
        assert again.config.to_dict() == self.model.config.to_dict()
        now = answers(again)
        assert all(torch.equal(own, now[name]) for name, own in self.expected.items())


def test_untouched_classes_stay_through_any_changes() -> None:
    run_state_machine_as_test(ClassLists, settings=FEW)
