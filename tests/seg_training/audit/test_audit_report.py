import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from seg_training.audit.audit_findings import DatasetAudit
from seg_training.audit.audit_report import (
    audits_to_json,
    show_counts,
    show_problems,
)
from seg_training.audit.contact_sheet import contact_sheet
from seg_training.datasets.own_folder import Folder

Audit = Callable[..., DatasetAudit]


def printed(show: Callable[..., None], *audits: DatasetAudit, width: int = 80) -> str:
    file = io.StringIO()
    show(audits, Console(file=file, width=width))
    return file.getvalue()


def row(text: str, first: str) -> list[str]:
    """Find the words of the line that starts with a word."""
    return next(line.split() for line in text.splitlines() if line.split()[:1] == [first])


def test_json_holds_everything(audit: Audit, dataset: Folder, root: Path) -> None:
    for number in range(7):
        (root / "images" / "train" / f"{number:02d}.jpg").write_bytes(b"")
    content = json.loads(json.dumps(audits_to_json([audit(dataset)])))
    assert (content["errors"], content["warnings"]) == (1, 0)
    (only,) = content["datasets"]
    assert (only["name"], only["dataset"], only["root"]) == ("", "Folder", str(root))
    train, val = only["splits"]["training"], only["splits"]["validation"]
    (problem,) = train["problems"]
    assert len(problem["files"]) == 7
    assert val["sizes"] == {
        "smallest": [48, 56],
        "median": [48, 64],
        "largest": [44, 72],
        "different": 4,
    }
    assert val["image_modes"] == {"RGB": 5}
    assert val["tasks"][2] == {"name": "car", "images": 3, "pixels": 600, "unknown": 0}
    assert val["labels"][4] == {
        "value": 4,
        "name": "lamp",
        "role": "class",
        "task": "lamp",
        "images": 1,
        "pixels": 36,
        "share": 36 / 15120,
        "official_images": None,
    }
    assert val["problems"] == only["problems"] == []
    assert "digests" not in val
    assert "readable" not in val


def test_the_terminal_shows_counts_at_80_columns(
    audit: Audit, published: Callable[..., Folder], root: Path
) -> None:
    text = printed(show_counts, audit(published(8, {2: 4, 3: 5})))
    assert f"Published in {root}" in text.replace("\n", "")
    assert "training: split 'train' ───" in text
    assert row(text, "images") == ["images", "8,", "8", "with", "label", "map,", "8", "published"]
    assert "4 different: smallest 56x48, median 60x52, largest 72x44" in text
    assert row(text, "label") == ["label", "maps", "L", "8"]
    assert "5; images of each: fewest 2 (lamp), median 5, most 8 (road)" in text
    assert row(text, "value") == ["value", "name", "images", "published", "pixels", "%"]
    assert row(text, "2") == ["2", "car", "4", "4", "800", "3.32"]
    assert row(text, "9") == ["9", "(other)", "8", "128", "0.53"]
    assert row(text, "11") == ["11", "(ignore)", "8", "128", "0.53"]
    assert max(map(len, text.splitlines())) <= 80


def test_the_terminal_shows_tasks_where_they_are_not_the_classes(
    audit: Audit, dataset: Folder
) -> None:
    text = printed(show_counts, audit(dataset, {"thing": ["car", "lamp"], "tree": ["tree"]}))
    assert row(text, "4") == ["4", "lamp", "thing", "2", "72", "0.30"]
    assert row(text, "0")[:3] == ["0", "sky", "8"]
    assert row(text, "thing") == ["thing", "5", "872"]
    alone = printed(show_counts, audit(dataset, ["tree"]))
    assert row(alone, "tasks") == ["tasks", "tree,", "in", "5", "images"]


def test_the_terminal_shows_a_split_that_is_not_there(
    audit: Audit, dataset: Folder, root: Path
) -> None:
    (root / "images" / "train").rename(root / "images" / "training")
    assert "nothing to read: see below" in printed(show_counts, audit(dataset))


def test_the_terminal_shows_a_dataset_that_is_not_there(
    audit: Audit, dataset: Folder, tmp_path: Path, fake_classes: dict[str, Any]
) -> None:
    found = [
        audit(Folder(tmp_path / "nowhere", fake_classes), name="town"),
        audit(dataset, name="land"),
    ]
    text = printed(show_counts, *found, width=200)
    assert text.startswith(
        f"town (Folder) in {tmp_path}/nowhere\n"
        "nothing to read: see below\n"
        f"land (Folder) in {dataset.root}\n"
        "training: split 'train' ─"
    )
    content = audits_to_json(found)
    assert (content["errors"], content["datasets"][0]["splits"]) == (1, {})
    assert contact_sheet(found[:1]) is None


def test_what_is_found_in_the_split_of_both_stages_is_said_once(
    audit: Audit, dataset: Folder, root: Path
) -> None:
    (root / "images" / "train" / "00.jpg").write_bytes(b"")
    found = audit(dataset, splits={"fit": "train", "validate": "train"})
    text = printed(show_counts, found)
    assert text.count("split 'train'") == 1
    assert "training and validation: split 'train' ─" in text
    assert printed(show_problems, found, width=200).count("cannot be read: 1") == 1
    content = audits_to_json([found])
    assert (content["errors"], content["warnings"]) == (1, 1)
    splits = content["datasets"][0]["splits"]
    assert splits["training"] == splits["validation"]


def test_the_terminal_names_the_first_files_and_counts_the_others(
    audit: Audit, dataset: Folder, root: Path
) -> None:
    for number in range(7):
        (root / "annotations" / "train" / f"{number:02d}.png").unlink()
    (root / "images" / "val" / "03.jpg").rename(root / "images" / "val" / "[b]3.jpg")
    found = audit(dataset, ["sky"], batch_size=1)
    assert printed(show_problems, found) == (
        "warning  split 'val': label maps without image, which are left out: 1           \n"
        "           annotations/val/03.png                                               \n"
        "error    split 'train': images without label map: 7 of 8. Add the label map or  \n"
        "         remove the image, or say by data.unannotated what such an image is:    \n"
        "         empty (nothing is there) or leave_out                                  \n"
        "           images/train/00.jpg: expected annotations/train/00.png               \n"
        "           images/train/01.jpg: expected annotations/train/01.png               \n"
        "           images/train/02.jpg: expected annotations/train/02.png               \n"
        "           images/train/03.jpg: expected annotations/train/03.png               \n"
        "           images/train/04.jpg: expected annotations/train/04.png               \n"
        "           ... and 2 more                                                       \n"
        "error    split 'val': images without label map: 1 of 5. Add the label map or    \n"
        "         remove the image, or say by data.unannotated what such an image is:    \n"
        "         empty (nothing is there) or leave_out                                  \n"
        "           images/val/[b]3.jpg: expected annotations/val/[b]3.png               \n"
        "2 errors, 1 warning: cure the errors before training\n"
    )


def test_the_last_line_says_what_to_do(audit: Audit, dataset: Folder, root: Path) -> None:
    assert printed(show_problems, audit(dataset)) == "no problem found\n"
    (root / "images" / "train" / "03.jpg").unlink()
    text = printed(show_problems, audit(dataset, name="town"))
    assert text.startswith("warning  town: split 'train': label maps without image")
    assert text.endswith("\n0 errors, 1 warning: training works; read the warnings\n")
