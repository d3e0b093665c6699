"""SceneNet RGB-D: pictures of instances, protobufs that say what these are, and a WordNet table."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fake_datasets.drawing import draw_image, grid_labels
from multitask_segmentation.scenenet_pb2 import Instance, Trajectories, Trajectory, View

CLASSES = {  # label value to WordNet id and class, as the table writes it
    1: ("02818832", "Bed"),
    2: ("02870526", "Books"),
    3: ("02990373", "Ceiling"),
    4: ("03001627", "Chair"),
    5: ("03365592", "Floor"),
    6: ("03405725", "Furniture"),
    7: ("03636649", "Objects"),
    8: ("03931044", "Picture"),
    9: ("04256520", "Sofa"),
    10: ("04379243", "Table"),
    11: ("04404412", "TV"),
    12: ("04546855", "Wall"),
    13: ("04587648", "Window"),
}
UNKNOWN, UNLISTED = "04004475", "09999999"
PROTOBUFS = {
    "train": {
        "scenenet_rgbd_train_0.pb": ("0/11", "0/12"),
        "scenenet_rgbd_train_1.pb": ("1/1003",),
    },
    "val": {"scenenet_rgbd_val.pb": ("0/182", "0/183", "0/223", "0/1000")},
}
FRAMES = (0, 25, 50)

OBJECT_IDS = (*range(1, 13), 513)  # one for each class; another one in each trajectory
BACKGROUND_IDS = (0, 14)
UNKNOWN_ID, UNLISTED_ID, MISSING_ID = 15, 300, 40000  # the last is an instance of no trajectory


def paths_of(split: str) -> list[str]:
    return [path for paths in PROTOBUFS[split].values() for path in paths]


def number_of(path: str) -> int:
    return int(path.split("/")[1])


def value_of_object(path: str) -> dict[int, int]:
    """Give the label value of a trajectory's objects by their instance ids."""
    values = np.roll(list(CLASSES), number_of(path))
    return dict(zip(OBJECT_IDS, values.tolist(), strict=True))


def instances_of(path: str, frame: int) -> NDArray[np.uint16]:
    """Give the instance ids of a view, (H, W)."""
    ids = (*BACKGROUND_IDS, *OBJECT_IDS, UNKNOWN_ID, UNLISTED_ID, MISSING_ID)
    return grid_labels(ids, number_of(path) + FRAMES.index(frame))


def labels_of(path: str, frame: int) -> NDArray[np.uint8]:
    """Give the true labels of a view, (H, W): 0 to 13."""
    instances = instances_of(path, frame)
    labels = np.zeros(instances.shape, np.uint8)
    for instance_id, value in value_of_object(path).items():
        labels[instances == instance_id] = value
    return labels


def trajectory_of(path: str) -> Trajectory:
    """Describe a trajectory; those of even number have lost the leading zeros of WordNet ids."""
    wall = CLASSES[12][0]
    instances = [
        *((instance_id, wall, Instance.BACKGROUND) for instance_id in BACKGROUND_IDS),
        *(
            (instance_id, CLASSES[value][0], type_of(value))
            for instance_id, value in value_of_object(path).items()
        ),
        (UNKNOWN_ID, UNKNOWN, Instance.RANDOM_OBJECT),
        (UNLISTED_ID, UNLISTED, Instance.RANDOM_OBJECT),
    ]
    lost = number_of(path) % 2 == 0
    trajectory = Trajectory(
        render_path=path,
        views=[View(frame_num=frame) for frame in FRAMES],
        instances=[
            Instance(
                instance_id=instance_id,
                semantic_wordnet_id=wordnet_id.lstrip("0") if lost else wordnet_id,
                instance_type=instance_type,
            )
            for instance_id, wordnet_id, instance_type in instances
        ],
    )
    trajectory.MergeFromString(b"\x0a\x04room")  # the published files have more fields
    return trajectory


def type_of(value: int) -> Instance.InstanceType:
    if CLASSES[value][1] in ("Ceiling", "Floor", "Wall"):
        return Instance.LAYOUT_OBJECT
    return Instance.LIGHT_OBJECT if CLASSES[value][1] == "Objects" else Instance.RANDOM_OBJECT


def make(root: Path) -> None:
    root.mkdir(parents=True)
    rows = [("wnid", "english", "13_classes"), (UNKNOWN, "projector", "Unknown")]
    rows += [(wordnet_id, name.lower(), name) for wordnet_id, name in CLASSES.values()]
    rows[2] = (CLASSES[1][0].lstrip("0"), *rows[2][1:])
    table = "".join("\t".join(row) + "\n" for row in rows)
    (root / "wnid_to_classes.txt").write_text(table, encoding="utf-8")
    for split, protobufs in PROTOBUFS.items():
        for name, paths in protobufs.items():
            trajectories = Trajectories(trajectories=[trajectory_of(path) for path in paths])
            (root / name).write_bytes(trajectories.SerializeToString())
        for path in paths_of(split):
            folder = root / split / path
            for kind in ("photo", "instance"):
                (folder / kind).mkdir(parents=True)
            for frame in FRAMES:
                picture = draw_image(labels_of(path, frame), frame)
                Image.fromarray(picture).save(folder / "photo" / f"{frame}.jpg", quality=95)
                instances = Image.fromarray(instances_of(path, frame))
                instances.save(folder / "instance" / f"{frame}.png")
