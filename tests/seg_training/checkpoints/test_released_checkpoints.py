"""Files as Lightning 1.5 wrote them, hostile ones too, and what becomes of the weights in them."""

import json
import os
import pickle
import re
import runpy
import shutil
import sys
import tarfile
from argparse import Namespace
from collections import OrderedDict
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from fake_datasets import ade20k
from omegaconf import OmegaConf
from pytorch_lightning.callbacks import BackboneFinetuning, EarlyStopping, ModelCheckpoint, Timer
from pytorch_lightning.utilities.parsing import AttributeDict
from torch import Tensor

from seg_training.checkpoints.checkpoint_reading import read_checkpoint
from seg_training.checkpoints.model_folders import load_network
from seg_training.checkpoints.recogniser_sources import load_recogniser
from seg_training.checkpoints.released_checkpoints import convert_checkpoint
from seg_training.checkpoints.restricted_pickle import INERT, read_inert
from seg_training.errors import UserError
from seg_training.evaluation.checkpoint_evaluation import evaluate, load_module
from seg_training.networks import Network, build_network, load_released_state_dict
from seg_training.networks.painted_networks import build_painted_network
from seg_training.networks.recogniser_labels import match_labels
from transformers_update_for_adapters import TASFormerForSemanticSegmentation

CONFIGS = Path(__file__).parents[3] / "configs"
GOLDEN = runpy.run_path(str(Path(__file__).parents[1] / "networks" / "test_golden.py"))
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    case: options for case, options in GOLDEN["CASES"].items() if case != "segformer_1"
}
FORMATS = {"zip": True, "legacy": False}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(params=FORMATS)
def save(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Any], Path]:
    """Write a checkpoint in either of PyTorch's formats."""

    def write(content: Any) -> Path:
        file = tmp_path / "released.ckpt"
        torch.save(content, file, _use_new_zipfile_serialization=FORMATS[request.param])
        return file

    return write


def lightning_content(state_dict: dict[str, Tensor], **more: Any) -> dict[str, Any]:
    """What Lightning 1.5 puts into a checkpoint; callbacks stand under their class, as in 1.4."""
    weights = OrderedDict((f"mask_net.{name}", tensor) for name, tensor in state_dict.items())
    weights._metadata = OrderedDict({"": {"version": 1}})  # type: ignore[attr-defined]
    settings = Namespace(gpus=1, lr=5e-5, root=Path("/data"), score=np.float64(0.5))
    return {
        "epoch": 1,
        "global_step": 175_050,
        "pytorch-lightning_version": "1.5.0",
        "state_dict": weights,
        "callbacks": {
            ModelCheckpoint: {"monitor": "val_iou", "best_model_score": torch.tensor(0.5)},
            EarlyStopping: {"wait_count": 0},
        },
        "optimizer_states": [
            {
                "state": {0: {"step": 3, "exp_avg": torch.zeros(2)}},
                "param_groups": [{"lr": 5e-5, "betas": (0.9, 0.999), "params": [0]}],
            }
        ],
        "lr_schedulers": [],
        "hparams_name": "hparams",
        "hyper_parameters": {"task_num": 150, "hparams": settings, **more},
    }


# --- Reading ---------------------------------------------------------------------------------


def test_a_checkpoint_of_lightning_is_read_and_its_objects_are_not(
    save: Callable[[Any], Path],
) -> None:
    content = read_inert(save(lightning_content({"a.weight": torch.arange(6.0).view(2, 3)})))
    assert content["global_step"] == 175_050
    assert content["state_dict"]["mask_net.a.weight"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert content["optimizer_states"][0]["param_groups"][0]["betas"] == (0.9, 0.999)
    settings = content["hyper_parameters"]["hparams"]
    assert not isinstance(settings, Namespace)
    assert vars(settings) == {}  # what it was filled with is gone
    [stand_in] = content["callbacks"]
    assert stand_in not in (ModelCheckpoint, EarlyStopping)


class Other:
    """What another library may have allowed to PyTorch's unpickler."""


def test_what_others_allow_is_refused_and_stays_allowed(save: Callable[[Any], Path]) -> None:
    with torch.serialization.safe_globals([Other]):
        before = set(torch.serialization.get_safe_globals())
        assert Other in before
        with pytest.raises(UserError, match=r"names '.*\.Other', which no released checkpoint"):
            read_inert(save({"a": Other()}))
        read_inert(save({"a": Namespace()}))
        assert set(torch.serialization.get_safe_globals()) == before


@pytest.mark.parametrize(
    "leftover",
    [
        [BackboneFinetuning, Timer],
        [dict, float, int, list, str],
        Path("/a/b.ckpt"),
        np.float32(1.5),
        np.arange(3),
        OmegaConf.create({"lr": 5e-5, "sizes": [320, 320], "name": None}),
    ],
    ids=str,
)
def test_what_is_harmless_does_not_stop_the_reading(
    save: Callable[[Any], Path], leftover: Any
) -> None:
    content = read_inert(save(lightning_content({"a": torch.ones(1)}, leftover=leftover)))
    assert content["state_dict"]["mask_net.a"].item() == 1


def test_lightnings_own_dict_is_read_as_a_dict(save: Callable[[Any], Path]) -> None:
    content = read_inert(save({"hyper_parameters": AttributeDict(lr=5e-5)}))
    assert type(content["hyper_parameters"]) is OrderedDict
    assert content["hyper_parameters"] == {"lr": 5e-5}


@pytest.mark.parametrize("name", [name for name in INERT if name.startswith("numpy.core.")])
def test_a_class_of_an_allowed_name_is_neither_made_nor_filled(
    save: Callable[[Any], Path], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    class Recorder:
        def __init__(self, *args: Any) -> None:
            calls.append(args)

        def __setstate__(self, state: Any) -> None:
            calls.append(state)

        def __reduce__(self) -> tuple[Any, ...]:
            return Recorder, (1, 2), {"a": 1}

    module_name, _, Recorder.__qualname__ = name.rpartition(".")
    Recorder.__module__ = module_name
    module = ModuleType(module_name)
    setattr(module, Recorder.__qualname__, Recorder)
    monkeypatch.setitem(sys.modules, module_name, module)
    file = save({"a": Recorder()})
    pickle.loads(pickle.dumps(Recorder(), protocol=2))
    assert calls == [(), (), (1, 2), {"a": 1}]
    calls.clear()
    assert vars(read_inert(file)["a"]) == {}
    assert calls == []


def test_weights_saved_on_a_gpu_come_to_the_cpu(
    save: Callable[[Any], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
    file = save({"a": torch.arange(3.0)})
    assert b"cuda:0" in file.read_bytes()
    weight = read_inert(file)["a"]
    assert (weight.device.type, weight.tolist()) == ("cpu", [0, 1, 2])


class Hostile:
    """Unpickling it calls a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self._call


ATTACKS: dict[str, Callable[[Path], Hostile]] = {
    "posix.system": lambda target: Hostile(os.system, f"touch {target}"),
    "eval": lambda target: Hostile(eval, f"open({str(target)!r}, 'w')"),
    "exec": lambda target: Hostile(exec, f"open({str(target)!r}, 'w')"),
    "getattr": lambda target: Hostile(Path.touch, target),
    "shutil.copyfile": lambda target: Hostile(shutil.copyfile, __file__, str(target)),
    # Given to a function that is allowed, and under the name of a class that is.
    "pathlib.Path.touch": lambda target: Hostile(Namespace, Hostile(Path.touch, target)),
}


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_checkpoint_is_refused_by_name(
    save: Callable[[Any], Path], name: str, tmp_path: Path
) -> None:
    target = tmp_path / "written"
    attack = ATTACKS[name](target)
    file = save(lightning_content({"a": torch.ones(1)}, attack=attack))
    refused = "getattr" if name == "pathlib.Path.touch" else name
    with pytest.raises(UserError) as error:
        read_inert(file)
    assert str(error.value) == (
        f"{file} names '{refused}', which no released checkpoint needs; it could run anything, so "
        "the file was not read. If you trust it, load it where it was made and save its weights "
        "alone: torch.save({'state_dict': checkpoint['state_dict']}, 'weights.ckpt')"
    )
    assert not target.exists()

    try:
        pickle.loads(pickle.dumps(attack))
    except TypeError:  # of Namespace, after the attack
        assert name == "pathlib.Path.touch"
    assert target.exists()  # it would have been


def test_a_hostile_file_without_pytorchs_format_is_refused(tmp_path: Path) -> None:
    target, file = tmp_path / "written", tmp_path / "a.ckpt"
    file.write_bytes(pickle.dumps(Hostile(os.system, f"touch {target}"), protocol=2))
    with pytest.raises(UserError, match=r"a\.ckpt names 'posix\.system'"):
        read_inert(file)

    # PyTorch's oldest format: an archive that is unpacked.
    for part in ("storages", "tensors", "pickle"):
        (tmp_path / part).write_bytes(pickle.dumps(Hostile(os.system, f"touch {target}")))
    with tarfile.open(file, "w") as archive:
        for part in ("storages", "tensors", "pickle"):
            archive.add(tmp_path / part, part)
    with pytest.raises(UserError, match=r"a\.ckpt is no file of torch\.save that can be read"):
        read_inert(file)
    assert not target.exists()


def test_a_whole_network_is_refused(save: Callable[[Any], Path]) -> None:
    with pytest.raises(UserError, match=r"names 'torch\.nn\.modules\.linear\.Linear', which no"):
        read_inert(save({"model": torch.nn.Linear(2, 2)}))


def test_a_name_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    file = tmp_path / "a.ckpt"
    file.write_bytes(b"\x80\x02cos\x1b[31m\nsystem\n.")
    with pytest.raises(UserError, match=re.escape(r"names 'os\x1b[31m.system'")):
        read_inert(file)


@pytest.mark.parametrize("kept", [0.5, 0.99, 0.999])
def test_a_truncated_checkpoint_is_named(save: Callable[[Any], Path], kept: float) -> None:
    file = save(lightning_content({"a": torch.ones(10_000)}))
    data = file.read_bytes()
    file.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(
        UserError, match=r"released\.ckpt is no file .*, or is damaged or not complete \(\w+: \S"
    ):
        read_inert(file)


@pytest.mark.parametrize("content", [b"", b"hello", b"<!DOCTYPE html><html>", b"PK\x03\x04abc"])
def test_a_file_that_is_no_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a.ckpt"
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.ckpt is no file of torch\.save .*; get it again$"):
        read_inert(file)


# --- Converting ------------------------------------------------------------------------------


def released_weights(golden: Path, case: str, num_tasks: int = 150) -> dict[str, Tensor]:
    """The golden weights of a case, for the first tasks alone."""

    def is_asked(name: str) -> bool:
        task = re.search(r"task_embeddings\.(\d+)$", name)
        return task is None or int(task[1]) < num_tasks

    keys = json.loads((golden / f"{case}_keys.json").read_text())
    return {key[0]: GOLDEN["golden_weight"](*key) for key in keys if is_asked(key[0])}


def with_channels(weights: dict[str, Tensor], channels: int) -> dict[str, Tensor]:
    """The baseline's weights with another number of output channels."""
    classifier = "segformer.decode_head.classifier"
    return weights | {
        f"{classifier}.weight": torch.rand(channels, 256, 1, 1),
        f"{classifier}.bias": torch.rand(channels),
    }


@pytest.fixture
def golden(shared: Path) -> Path:
    return shared / "golden"


@pytest.mark.parametrize("case", CASES)
def test_class_k_has_the_logits_of_the_released_network_called_with_k(
    golden: Path, case: str, tmp_path: Path
) -> None:
    """Also where it read its maps in another order: ``emb`` and ``vsa_emb``."""
    method, options = CASES[case]
    folder = tmp_path / "converted"
    file = tmp_path / "released.ckpt"
    content = lightning_content(released_weights(golden, case))
    torch.save(content, file, _use_new_zipfile_serialization=False)
    convert_checkpoint(file, method, folder, tasks="ade20k_150", config_dir=CONFIGS)
    model = TASFormerForSemanticSegmentation.from_pretrained(folder)
    network = Network(model).eval().double()
    assert (network.method, network.num_tasks) == (method, 150)
    assert network.config.other_channel == options.get("other_channel", True)
    expected = np.load(golden / f"{case}.npz")
    stride, pixels = int(expected["stride"]), GOLDEN["golden_input"]()[:1]
    with torch.inference_mode():
        for called in expected["tasks"][:2].tolist():
            if method == "segformer":
                logits = network.label_logits(pixels)
            else:
                logits = network(pixels, torch.tensor([called]))
            ours, theirs = logits[:, :, ::stride, ::stride], expected[f"logits_{called}"][:1]
            np.testing.assert_allclose(ours, theirs, atol=1e-8, rtol=0)


@pytest.mark.parametrize("case", CASES)
def test_the_folder_is_the_network_for_us_and_for_hugging_face(
    golden: Path, case: str, tmp_path: Path
) -> None:
    """Written, read and rebuilt, not one bit of a logit changes."""
    method, _ = CASES[case]
    weights = released_weights(golden, case, num_tasks=2)
    if method == "segformer":
        weights = with_channels(weights, 2)
    folder = tmp_path / "converted"
    file = tmp_path / "released.ckpt"
    torch.save(lightning_content(weights), file)
    convert_checkpoint(file, method, folder, tasks="ade20k_2", config_dir=CONFIGS)
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "SHA256SUMS",
        "config.json",
        "config.yaml",
        "model.safetensors",
        "preprocessor_config.json",
    ]
    assert "MiT weights by NVIDIA" in (folder / "README.md").read_text()

    direct = build_network(method, 2, **({"other_channel": False} if method == "segformer" else {}))
    load_released_state_dict(direct.eval(), weights)
    theirs, info = TASFormerForSemanticSegmentation.from_pretrained(
        folder, output_loading_info=True
    )
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert theirs.config.task_names == ["building", "floor"]
    module = load_module(read_checkpoint(folder))
    assert module.task_names == ("building", "floor")
    pixels = torch.rand(2, 3, *((320, 320) if "emb" in method else (32, 64)))
    # With two tasks, id - 1 is the other one, and so is the vector for id 1.
    row = 1 if "emb" in method else 0
    with torch.inference_mode():
        expected = direct(pixels, torch.tensor([row, 1 - row]))
        assert torch.equal(module.network(pixels, torch.tensor([0, 1])), expected)
        # A copy, because the CPU rounds otherwise where weights are not aligned, as in a file.
        assert torch.equal(Network(deepcopy(theirs))(pixels, torch.tensor([0, 1])), expected)


@pytest.mark.parametrize(
    ("case", "num_tasks", "tasks"),
    [("adapter_hf", 12, "ade20k_12"), ("adapter_hfpp", 2, "ade20k_2"), ("emb", 12, "ade20k_12")],
)
def test_the_weights_tell_the_number_of_tasks(
    golden: Path, case: str, num_tasks: int, tasks: str, tmp_path: Path
) -> None:
    method, _ = CASES[case]
    torch.save({"state_dict": released_weights(golden, case, num_tasks)}, tmp_path / "a.ckpt")
    network = convert_checkpoint(
        tmp_path / "a.ckpt",
        method,
        tmp_path / "out",
        overrides=["data.crop_size=[640,640]", "+model.drop_path_rate=0.0"],
        config_dir=CONFIGS,
    )
    assert network.num_tasks == num_tasks
    settings = read_checkpoint(tmp_path / "out")["hyper_parameters"]
    config = OmegaConf.load(CONFIGS / "tasks" / f"{tasks}.yaml")
    assert settings["task_names"] == list(config["classes"])
    assert settings["config"]["data"]["crop_size"] == [640, 640]
    assert settings["config"]["model"]["drop_path_rate"] == 0


@pytest.mark.parametrize(
    ("channels", "asked", "num_tasks", "other_channel"),
    [
        (2, None, 2, False),
        (3, None, 2, True),
        (12, None, 12, False),
        (151, None, 150, True),
        (1, "floor", 1, False),
        (2, "floor", 1, True),
    ],
)
def test_the_baseline_may_have_a_channel_for_other(
    golden: Path,
    channels: int,
    asked: str | None,
    num_tasks: int,
    other_channel: bool,
    tmp_path: Path,
) -> None:
    weights = with_channels(released_weights(golden, "segformer_1"), channels)
    torch.save({"state_dict": weights}, tmp_path / "a.ckpt")
    network = convert_checkpoint(
        tmp_path / "a.ckpt", "segformer", tmp_path / "out", tasks=asked, config_dir=CONFIGS
    )
    assert (network.num_tasks, network.config.other_channel) == (num_tasks, other_channel)
    load_module(read_checkpoint(tmp_path / "out"))


@pytest.mark.parametrize("channels", [12, 13])
def test_a_released_segformer_is_a_recogniser_as_it_is(
    golden: Path, channels: int, tmp_path: Path
) -> None:
    """To the bit as the folder that it is converted to, whose labels have the same names."""
    weights = with_channels(released_weights(golden, "segformer_1"), channels)
    file = tmp_path / "released.ckpt"
    torch.save(lightning_content(weights), file)
    convert_checkpoint(file, None, tmp_path / "out", config_dir=CONFIGS)
    direct, converted = load_recogniser(file), load_recogniser(tmp_path / "out")
    assert direct.labels == converted.labels
    assert len(direct.labels) == channels
    assert direct.license == converted.license
    assert direct.license is not None
    assert "NVIDIA" in direct.license
    names = ["sky", "lamppost", direct.labels[-1]]
    matched = match_labels(direct.labels, names)
    assert matched[2] == [channels - 1]
    assert matched[1] == []
    networks = [
        build_painted_network(
            own.model,
            matched,
            {"method": "adapter_hf"},
            labels=own.labels,
            source=str(file),
            num_tasks=3,
            task_names=names,
        ).eval()
        for own in (direct, converted)
    ]
    images = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        [z, expected] = [network.label_logits(images) for network in networks]
        plain = load_network(tmp_path / "out").label_logits(images)
    assert torch.equal(z, expected)
    assert torch.equal(z, plain)


def test_a_released_network_that_paints_is_no_recogniser(golden: Path, tmp_path: Path) -> None:
    torch.save({"state_dict": released_weights(golden, "adapter_hf", 2)}, tmp_path / "a.ckpt")
    with pytest.raises(UserError, match="of method 'adapter_hf', which paints one class at a time"):
        load_recogniser(tmp_path / "a.ckpt")
    (tmp_path / "b.ckpt").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"b\.ckpt is no checkpoint that can be read safely"):
        load_recogniser(tmp_path / "b.ckpt")


@pytest.mark.parametrize(
    ("tasks", "rows"),
    [("floor", [1]), ("ade20k_2", [1, 0]), ("ade20k_12", [1, 0, 1])],
)
def test_vsa_emb_tells_the_second_class_from_the_others(
    golden: Path, tasks: str, rows: list[int], tmp_path: Path
) -> None:
    weights = released_weights(golden, "vsa_emb")
    vectors = torch.cat([weights["task_emb_1"], weights["task_emb_2"]])
    torch.save({"state_dict": weights}, tmp_path / "a.ckpt")
    convert_checkpoint(
        tmp_path / "a.ckpt", "vsa_emb", tmp_path / "out", tasks=tasks, config_dir=CONFIGS
    )
    module = load_module(read_checkpoint(tmp_path / "out"))
    maps = module.network.model.task_maps
    assert maps is not None
    assert torch.equal(maps.weight, vectors[rows])
    asked = torch.arange(module.network.num_tasks)
    assert torch.equal(maps(asked, (80, 80)), vectors[(asked != 1).long()])


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*LeafSpec")
def test_a_converted_folder_is_evaluated(golden: Path, tmp_path: Path) -> None:
    ade20k.make(tmp_path / "data")
    weights = released_weights(golden, "adapter_hf", 2)
    torch.save(lightning_content(weights), tmp_path / "released.ckpt")
    folder = tmp_path / "out"
    convert_checkpoint(tmp_path / "released.ckpt", "adapter_hf", folder, config_dir=CONFIGS)
    small = [f"data.root={tmp_path / 'data'}", "data.crop_size=[32,40]", "data.num_workers=0"]
    result, module = evaluate(folder, [*small, "trainer.accelerator=cpu"], CONFIGS)
    assert result.num_masks == 4  # building and floor in both validation images
    assert 0 <= result.bIoU <= 100
    embeddings = module.network.model.segformer.hypernet.task_embeddings.weight
    released = weights["tasformer.segformer.encoder.task_embeddings.1"]
    assert torch.equal(embeddings[1], released)
    again, _ = evaluate(folder / "model.safetensors", [*small, "tasks.classes=[floor]"], CONFIGS)
    assert (again.num_masks, again.per_class[1]) == (2, result.per_class[1])


# --- What the user did wrong -----------------------------------------------------------------

NAMES = {
    "segformer": ["segformer.segformer.x", "segformer.decode_head.classifier.bias"],
    "emb": ["segformer_model.encoder.x", "task_embeddings.0", "task_embeddings.1"],
    "vsa_emb": ["task_emb_1", "task_emb_2"],
    "adapter_hf": [f"tasformer.segformer.encoder.task_embeddings.{k}" for k in range(7)],
    "adapter_hf++": ["tasformer.segformer.encoder.layer_id_embeddings.0"],
}


@pytest.fixture
def convert(tmp_path: Path) -> Callable[..., None]:
    """Convert a file that holds nothing but names."""

    def run(held: str, method: str, tasks: str | None = None, **more: Any) -> None:
        content = {"state_dict": dict.fromkeys(NAMES[held], torch.zeros(5))}
        torch.save(content, tmp_path / "a.ckpt")
        given = {"output": tmp_path / "out", "config_dir": CONFIGS} | more
        convert_checkpoint(tmp_path / "a.ckpt", method, tasks=tasks, **given)

    return run


@pytest.mark.parametrize("held", NAMES)
def test_a_wrong_method_is_told_the_right_one(convert: Callable[..., None], held: str) -> None:
    method = "emb" if held != "emb" else "vsa_emb"
    with pytest.raises(UserError) as error:
        convert(held, method)
    assert str(error.value).endswith(
        f"a.ckpt is of method '{held}', not '{method}': give --method {held}"
    )


@pytest.mark.parametrize(
    ("held", "method", "tasks", "message"),
    [
        (
            "emb",
            "adapter",
            None,
            r"unknown --method 'adapter'; did you mean 'adapter_hf' or .*known",
        ),
        (
            "adapter_hf",
            "adapter_hf",
            None,
            "weights are of 7 tasks, for which there is no file in configs/tasks; add --tasks with "
            r"one \(ADE20K's: ade20k_12, ade20k_150, ade20k_2\)",
        ),
        ("segformer", "segformer", None, "the weights are of 5 or 4 tasks, for which there is no"),
        ("vsa_emb", "vsa_emb", None, "of 'vsa_emb' do not tell the number of tasks; add --tasks"),
        (
            "emb",
            "emb",
            "ade20k_12",
            r"a\.ckpt is of 2 tasks, but ade20k_12 has 12; give --tasks a file of configs/tasks",
        ),
        ("segformer", "segformer", "floor", r"is of 5 or 4 tasks, but floor has 1; give --tasks"),
        ("emb", "emb", "ade20k_22", "there is no tasks=ade20k_22; did you mean 'ade20k_2'"),
        ("emb", "emb", "trans10k_cup_glass", "unknown class 'cup' .known: wall, building"),
        ("emb", "emb", None, r"cannot load the released weights: the names do not fit: \d+ miss"),
        ("vsa_emb", "vsa_emb", "ade20k_2", "cannot load the released weights: the names do not"),
    ],
)
def test_weights_and_tasks_that_do_not_fit(
    convert: Callable[..., None],
    held: str,
    method: str,
    tasks: str | None,
    message: str,
    tmp_path: Path,
) -> None:
    with pytest.raises(UserError, match=message):
        convert(held, method, tasks)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("override", ["data.crop_sizes=3", "model.resize_embeddings=true"])
def test_a_wrong_override_is_named(convert: Callable[..., None], override: str) -> None:
    with pytest.raises(UserError, match=r"unknown key '.*'; did you mean '.*'"):
        convert("emb", "emb", overrides=[override])


def test_an_output_that_holds_something_is_refused(
    convert: Callable[..., None], tmp_path: Path
) -> None:
    for kept in (tmp_path / "folder" / "kept", tmp_path / "kept"):
        kept.parent.mkdir(exist_ok=True)
        kept.write_text("mine")
        output = kept.parent if kept.parent != tmp_path else kept
        with pytest.raises(UserError, match=f"{output} holds something already; choose another"):
            convert("emb", "emb", output=output)
        assert kept.read_text() == "mine"


def test_an_input_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "adapter.ckpt").touch()
    with pytest.raises(
        UserError, match=r"adapter\.ckp does not exist; did you mean '.*adapter\.ckpt'\?"
    ):
        convert_checkpoint(tmp_path / "adapter.ckp", "emb", tmp_path / "out")
    with pytest.raises(UserError, match=r"is a folder; give the released \.ckpt file"):
        convert_checkpoint(tmp_path, "emb", tmp_path / "out")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (torch.zeros(2), "is no checkpoint: it holds no state_dict of tensors"),
        ({"weights": {}}, "is no checkpoint: it holds no state_dict of tensors"),
        ({"state_dict": {"a": 1.0}}, "is no checkpoint: it holds no state_dict of tensors"),
        ({"state_dict": {3: torch.zeros(1)}}, "it holds no state_dict of tensors"),
        ({"state_dict": {}}, "Its weights are called nothing"),
        (
            {"state_dict": {f"network.model.{k}": torch.zeros(1) for k in range(9)}},
            r"a\.ckpt is no released checkpoint of TASFormer; what train\.py wrote needs no "
            r"conversion\. Its weights are called network\.model\.0, network\.model\.1, network\.",
        ),
    ],
)
def test_a_file_without_released_weights(content: Any, message: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "a.ckpt")
    with pytest.raises(UserError, match=message):
        convert_checkpoint(tmp_path / "a.ckpt", "emb", tmp_path / "out")
