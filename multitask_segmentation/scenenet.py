"""SceneNet RGB-D: rendered rooms, whose labels are made from instances."""

import logging
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from multitask_segmentation.scenenet_trajectories import (
    INSTANCE_IDS,
    TrajectoryLabels,
    read_trajectories,
    read_wordnet_classes,
)
from seg_training.datasets.segmentation_dataset import ImageFiles, Pairing, SegmentationDataset
from seg_training.errors import UserError, listed, suggest
from seg_training.tasks import LabelClasses

__all__ = ["SceneNet"]

_log = logging.getLogger(__name__)


class SceneNet(SegmentationDataset):
    """``<split>/<render path>/photo/*.jpg`` and, with instance ids, ``instance/*.png`` beside them.

    A protobuf says which WordNet concept an instance of a trajectory is, and
    ``wnid_to_classes.txt`` to which of the 13 classes that belongs. A label map is named by picture
    and split: ``train/0/123/instance/25.png#train``.
    """

    def __init__(
        self,
        root: str | Path,
        images: str = "{split}",
        trajectories: str = "scenenet_rgbd_{split}*.pb",
        wordnet: str = "wnid_to_classes.txt",
        first_view_only: Sequence[str] = ("val",),
    ) -> None:
        """Say where the files are; protobufs and table are read when they are first needed.

        Args:
            root: the dataset's folder.
            images: folder below the root that the render paths start from, ``.`` for the root;
                ``{split}`` is the split's name.
            trajectories: pattern of the split's protobufs below the root; all that match are used.
            wordnet: the table from WordNet ids to classes, below the root.
            first_view_only: splits of which only each trajectory's first view is used; as
                published, the validation split.

        Raises:
            UserError: if a setting has another form.
        """
        super().__init__(root, images)
        if Path(trajectories).is_absolute():
            raise UserError(
                f"data.trajectories={trajectories} is absolute; give a pattern below data.root"
            )
        if isinstance(first_view_only, str) or not isinstance(first_view_only, Sequence):
            raise UserError(
                f"data.first_view_only={first_view_only!r}: expected a list of splits, say [val]"
            )
        self._protobufs = trajectories
        self._wordnet = wordnet
        self._first_view_only = tuple(first_view_only)
        self._trajectories: dict[str, dict[str, TrajectoryLabels]] = {}

    @property
    def classes(self) -> LabelClasses:
        """Values 1 to 13; 0 is other: Unknown, background instances and what has no instance."""
        return LabelClasses.from_package("multitask_segmentation", "classes/scenenet.yaml")

    def pair(self, split: str) -> Pairing:
        """Pair the photographs and instance pictures of the views that the protobufs list.

        Trajectories that were not downloaded are left out, with a warning.

        Raises:
            UserError: if protobufs or table are missing or damaged, or if no trajectory is there.
        """
        trajectories = self._trajectories_of(split)
        there = {
            folder: trajectory
            for folder, trajectory in trajectories.items()
            if (self.root / folder).is_dir()
        }
        missing = [folder for folder in trajectories if folder not in there]
        if not there:
            raise UserError(
                f"none of the {len(missing)} trajectories of split '{split}' is there; the first "
                f"would be {self.root / missing[0]}. Are data.root and data.images right? "
                "DATASET_PREPARATION.md shows the expected tree"
            )
        if missing:
            _log.warning(
                "%d of %d trajectories of split '%s' are not there and are left out, '%s' for one",
                len(missing),
                len(trajectories),
                split,
                missing[0],
            )
        pairing = Pairing([], [], [])
        for folder, trajectory in there.items():
            photos = {file.stem for file in (self.root / folder / "photo").glob("*.jpg")}
            instances = {file.stem for file in (self.root / folder / "instance").glob("*.png")}
            frames = trajectory.frames.astype(str).tolist()
            for frame in frames[:1] if split in self._first_view_only else frames:
                image = f"{folder}/photo/{frame}.jpg"
                label_map = f"{folder}/instance/{frame}.png#{split}"
                if frame not in photos:
                    pairing.without_image.append(label_map)
                elif frame not in instances:
                    pairing.without_label_map.append(ImageFiles(image, label_map))
                else:
                    pairing.files.append(ImageFiles(image, label_map))
        return pairing

    def label_sources(self, label_map: str) -> list[Path]:
        """List the instance picture, the trajectory's protobuf and the table."""
        picture, trajectory = self._of(label_map)
        return [self.root / picture, trajectory.protobuf, self.root / self._wordnet]

    def read_label_map(self, label_map: str) -> NDArray[np.uint8]:
        """Read a picture of instances and give each instance its class.

        Returns:
            (H, W) uint8: 1 to 13, 0 where there is no class.

        Raises:
            UserError: if the picture is missing, unreadable or in colour, or if protobufs or table
                are.
        """
        picture, trajectory = self._of(label_map)
        value_of_id = np.zeros(len(INSTANCE_IDS), np.uint8)
        value_of_id[: len(trajectory.values)] = trajectory.values
        label_values: NDArray[np.uint8] = value_of_id[super().read_label_map(picture)]
        return label_values

    def _of(self, label_map: str) -> tuple[str, TrajectoryLabels]:
        """Split the name of a label map into its picture and the trajectory that this is of."""
        picture, _, split = label_map.rpartition("#")
        folder = PurePosixPath(picture).parents[1].as_posix()
        return picture, self._trajectories_of(split)[folder]

    def _trajectories_of(self, split: str) -> dict[str, TrajectoryLabels]:
        """Give the trajectories of a split by their folders below the root."""
        if split not in self._trajectories:
            self._trajectories[split] = self._read(split)
        return self._trajectories[split]

    def _read(self, split: str) -> dict[str, TrajectoryLabels]:
        pattern = self._protobufs.replace("{split}", split)
        protobufs = sorted(self.root.glob(pattern))
        if not protobufs:
            raise UserError(self._missing_protobufs(pattern))
        value_of_wordnet_id = read_wordnet_classes(self.root / self._wordnet, self.classes)
        images = PurePosixPath(self._images.replace("{split}", split))
        found: dict[str, TrajectoryLabels] = {}
        for protobuf in protobufs:
            for render_path, trajectory in read_trajectories(protobuf, value_of_wordnet_id):
                folder = (images / render_path).as_posix()
                if folder in found:
                    raise UserError(
                        f"{found[folder].protobuf} and {protobuf} both have trajectory "
                        f"{render_path}; remove one or narrow data.trajectories"
                    )
                found[folder] = trajectory
        if not found:
            raise UserError(f"{pattern} in {self.root}: no trajectory in it; download it again")
        return found

    def _missing_protobufs(self, pattern: str) -> str:
        if not self.root.is_dir():
            return self._missing_folder(self.root / pattern)
        there = sorted(file.name for file in self.root.glob("*.pb"))
        hint = suggest(pattern, there) or (f" (there: {listed(there, 8)})" if there else "")
        return (
            f"no file {pattern} in {self.root}, which should hold the protobufs (see "
            f"DATASET_PREPARATION.md){hint}"
        )
