"""Several datasets at once: each labels some of the shared tasks."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from torch.utils.data import ConcatDataset, Dataset

from multitask_segmentation.dataset_mixing import BatchOfEach, OneStream
from seg_training.datasets.batches import Batch, EvaluationSample, PredictionSample
from seg_training.datasets.data_module import SegmentationDataModule
from seg_training.datasets.data_module_base import DataModule, errors_of
from seg_training.datasets.prompt_samplers import (
    NO_IMAGE,
    Draw,
    ResumableSampler,
    TrainingSampler,
    images_per_batch,
)
from seg_training.datasets.samples import EvaluationSamples, TrainingSamples
from seg_training.datasets.task_presence import TaskPresence
from seg_training.errors import UserError, suggest
from seg_training.known_settings import (
    LoadingSettings,
    SeveralDatasetsSettings,
    SharedLoadingSettings,
)
from seg_training.settings import MISSING, check_keys

__all__ = ["SeveralDatasetsModule"]


class SeveralDatasetsModule(DataModule):
    """Batches of several datasets, whose labels are mapped onto one list of tasks.

    With ``max_size_cycle``, as published, a training batch maps each dataset's name to a batch of
    its own, and the losses are summed. With ``mixed`` it is one batch of all datasets' pairs.
    """

    def __init__(
        self,
        datasets: Mapping[str, SegmentationDataModule],
        *,
        seed: int,
        **settings: Any,
    ) -> None:
        """Combine data modules.

        Args:
            datasets: each dataset's data module by a name; all have the same task names and the
                same crop size.
            seed: decides the order of the mixed stream.
            **settings: those of :class:`SeveralDatasetsSettings`. The batch size is that of the
                mixed stream; otherwise each dataset's own counts.

        Raises:
            UserError: if a setting has no such value.
        """
        own = SeveralDatasetsSettings(**settings)
        super().__init__(own)
        self._datasets = dict(datasets)
        self._mode = own.mode
        self._weights = _checked_weights(own.weights, self._datasets, own.mode)
        self._batch_size = own.batch_size
        self._prompts_per_image = own.prompts_per_image
        self._seed = seed
        self._sections: Mapping[str, Any] = {}

    @classmethod
    def from_config(
        cls,
        data: Mapping[str, Any],
        tasks: Mapping[str, Any],
        seed: int,
        vocabulary: Sequence[str] | None = None,
    ) -> "SeveralDatasetsModule":
        """Build the datasets and their mixing; see :meth:`DataModule.from_config`.

        In the data section ``datasets`` maps a name to a data section with ``tasks``, a tasks
        section that says which of its labels are which task; the other settings hold for all of
        them. Of the tasks ``classes`` lists the shared ones; ``all`` takes those of every dataset.
        """
        settings = dict(data)
        sections = settings.pop("datasets", None)
        if not isinstance(sections, Mapping) or not sections:
            raise UserError(
                "data.datasets names no dataset: add some, as configs/multitask_sun_trans10k.yaml "
                "does"
            )
        for name, section in sections.items():
            if not isinstance(section, Mapping):
                raise UserError(f"data.datasets.{name}={section}: expected a data section")
        check_keys(tasks, ["classes"], "tasks")
        without_root = [
            f"data.datasets.{name}.root"
            for name, section in sections.items()
            if section.get("root") in (None, "", MISSING)
        ]
        if without_root:
            raise UserError(
                f"not set: {', '.join(without_root)}. Where are the datasets? Add "
                f"{without_root[0]}=/path/to/it (DATASET_PREPARATION.md shows the expected trees)"
            )
        check_keys(settings, SeveralDatasetsSettings.entries(), "data")
        for_each = {key: settings[key] for key in LoadingSettings.entries() if key in settings}
        datasets = {}
        for position, (name, section) in enumerate(sections.items()):
            with errors_of(name):
                datasets[name] = _build_one(section, for_each, seed, position)
        _share_tasks(datasets, tasks.get("classes", "all"), vocabulary)
        module = cls(datasets, seed=seed, **settings)
        module._sections = dict(sections)
        return module

    def sources(self) -> Mapping[str, SegmentationDataModule]:
        """Give each dataset's own data module by its name."""
        return self._datasets

    @property
    def task_names(self) -> tuple[str, ...]:
        """The shared tasks."""
        return next(iter(self._datasets.values())).task_names

    @property
    def samples_per_step(self) -> int:
        """Those of all datasets together."""
        if self._mode == "mixed":
            return self._batch_size
        return sum(self._batch_sizes().values())

    def settings(self) -> dict[str, Any]:
        """Give what each dataset says of itself."""
        return {
            "datasets": {
                name: {**self._sections.get(name, {}), **dataset.settings()}
                for name, dataset in self._datasets.items()
            }
        }

    def training(
        self, rank: int = 0, world_size: int = 1
    ) -> tuple[Dataset[Batch], ResumableSampler, Callable[[Sequence[Batch]], Any]]:
        """Give the training samples, the sampler of one process's batches, and how to collate."""
        samples = _TrainingSamples(
            [dataset.training_samples(self.with_label_maps) for dataset in self._datasets.values()]
        )
        if self._mode == "mixed":
            samplers = self._samplers(batch_size=self._prompts_per_image)  # an image each
            size = images_per_batch(self._batch_size, self._prompts_per_image)
            stream = OneStream(samplers, self._weights, size, self._seed, rank, world_size)
            return samples, stream, Batch.collate
        each = BatchOfEach(self._samplers(rank, world_size))
        images = {
            name: images_per_batch(size, self._prompts_per_image)
            for name, size in self._batch_sizes().items()
        }
        return samples, each, partial(_collate_each, images)

    def _samplers(
        self, rank: int = 0, world_size: int = 1, batch_size: int | None = None
    ) -> list[TrainingSampler]:
        samplers = []
        for name, dataset in self._datasets.items():
            with errors_of(name):
                samplers.append(dataset.training_sampler(rank, world_size, batch_size))
        return samplers

    def validation_samples(self) -> tuple[Dataset[EvaluationSample], TaskPresence]:
        """Give the images of the validation splits, and which tasks they show.

        Raises:
            UserError: if no task occurs in those of a dataset.
        """
        return self._joined(SegmentationDataModule.validation_samples)

    def calibration_samples(self) -> tuple[Dataset[EvaluationSample], TaskPresence]:
        """Give images of the training splits to choose thresholds on, and which tasks they show.

        Raises:
            UserError: if no task occurs in those of a dataset.
        """
        return self._joined(SegmentationDataModule.calibration_samples)

    def _joined(
        self,
        samples_of: Callable[[SegmentationDataModule, int], tuple[EvaluationSamples, TaskPresence]],
    ) -> tuple[Dataset[EvaluationSample], TaskPresence]:
        samples, presences = [], []
        for source, (name, dataset) in enumerate(self._datasets.items()):
            with errors_of(name):
                own_samples, own_presence = samples_of(dataset, source)
            samples.append(own_samples)
            presences.append(own_presence)
        return _EvaluationSamples(samples), TaskPresence.joined(presences)

    def prediction_samples(self) -> tuple[Dataset[PredictionSample], list[int]]:
        """Give the images of the validation splits; every task is asked of each."""
        samples = [dataset.prediction_samples()[0] for dataset in self._datasets.values()]
        return ConcatDataset(samples), list(range(len(self.task_names)))

    def _batch_sizes(self) -> dict[str, int]:
        return {name: dataset.batch_size for name, dataset in self._datasets.items()}


class _TrainingSamples(Dataset[Batch]):
    """The samples of several datasets; a draw says of which."""

    def __init__(self, samples: Sequence[TrainingSamples]) -> None:
        self._samples = samples

    def __getitem__(self, draw: Draw) -> Batch:
        return self._samples[draw.source][draw]


class _EvaluationSamples(Dataset[EvaluationSample]):
    """The images of several datasets, one dataset after the other."""

    def __init__(self, samples: Sequence[EvaluationSamples]) -> None:
        self._samples = samples
        self._ends = np.cumsum([len(own) for own in samples])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, image: int) -> EvaluationSample:
        if image == NO_IMAGE:
            return self._samples[0][image]
        source = int(np.searchsorted(self._ends, image, side="right"))
        first = self._ends[source] - len(self._samples[source])
        sample = self._samples[source][int(image - first)]
        return sample._replace(position=image if sample.position >= 0 else -1 - image)


def _collate_each(images: Mapping[str, int], samples: Sequence[Batch]) -> dict[str, Batch]:
    """Cut the samples into each dataset's batch, in the order in which they were drawn."""
    rest = iter(samples)
    return {name: Batch.collate(list(islice(rest, number))) for name, number in images.items()}


def _build_one(
    section: Mapping[str, Any], for_each: Mapping[str, Any], seed: int, position: int
) -> SegmentationDataModule:
    """Build one dataset's data module, with a seed of its own and its own tasks alone."""
    settings = {**for_each, **section}
    if shared := [key for key in SharedLoadingSettings.entries() if key in section]:
        raise UserError(f"{shared[0]} holds for all datasets: set data.{shared[0]}")
    own_seed = int(np.random.SeedSequence([seed, position]).generate_state(1)[0])
    tasks = settings.pop("tasks", {"classes": "all"})
    return SegmentationDataModule.from_config(settings, tasks, own_seed)


def _share_tasks(
    datasets: Mapping[str, SegmentationDataModule], asked: Any, vocabulary: Sequence[str] | None
) -> None:
    """Let every dataset count its tasks as the shared list does."""
    offered = list(
        dict.fromkeys(name for dataset in datasets.values() for name in dataset.task_names)
    )
    if asked == "all":
        asked = offered
    if not isinstance(asked, Sequence) or isinstance(asked, str):
        raise UserError(
            f"tasks.classes={asked!r}: give 'all' or a list of task names; which labels are a task "
            "stands in data.datasets.<name>.tasks"
        )
    for task in asked:
        if task not in offered:
            raise UserError(
                f"no dataset has task '{task}'{suggest(str(task), offered)} (there are: "
                f"{', '.join(offered)})"
            )
    for name, dataset in datasets.items():
        with errors_of(name):
            dataset.tasks = dataset.tasks.among(asked, vocabulary or asked)


def _checked_weights(
    weights: Mapping[str, float] | None, names: Collection[str], mode: str
) -> list[float] | None:
    if weights is None:
        return None
    if mode != "mixed":
        raise UserError(f"data.weights needs data.mode=mixed; with {mode} each dataset has a batch")
    if weights.keys() != set(names) or not all(
        isinstance(weight, int | float) and weight > 0 for weight in weights.values()
    ):
        raise UserError(
            f"data.weights={dict(weights)}: expected one positive number for each of "
            f"{', '.join(names)}; leave a dataset out of data.datasets instead of weighing it 0"
        )
    return [weights[name] for name in names]
