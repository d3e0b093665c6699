"""Saving and pushing a model with all that ``from_pretrained`` and a reader need."""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import ModelCard
from torch import Tensor
from transformers.utils import hub

from .encoder import TASFormerPreTrainedModel
from .image_processing_tasformer import TASFormerImageProcessor
from .model_card import is_generated, model_card
from .weights_fingerprint import DESCRIBING, describe_saved_weights

__all__ = ["SUMS", "SavedWithCard"]

_CARD = "README.md"

SUMS = "SHA256SUMS"
"""What a training keeps beside its model: the sums of its files, as ``sha256sum`` writes them."""


class SavedWithCard(TASFormerPreTrainedModel):
    """A whole model: beside weights and config, its preprocessing and a card are written."""

    def save_pretrained(  # the parameters and their order are those of Transformers
        self,
        save_directory: str | PathLike[str],
        is_main_process: bool = True,
        state_dict: dict[str, Tensor] | None = None,
        push_to_hub: bool = False,
        max_shard_size: int | str = "50GB",
        variant: str | None = None,
        token: str | bool | None = None,
        save_peft_format: bool = True,
        save_original_format: bool = False,
        distributed_checkpoint: bool = False,
        **kwargs: Any,
    ) -> None:
        """Save weights, config, preprocessing and a model card, for ``from_pretrained``.

        What was measured with other weights is left out, of the model's config, too.

        Args:
            save_directory: a folder; made if it is not there.
            is_main_process: as in Transformers: others write nothing.
            state_dict: the weights to save, instead of the model's own.
            push_to_hub: whether to upload what was written as well.
            max_shard_size: as in Transformers.
            variant: as in Transformers.
            token: for the hub.
            save_peft_format: as in Transformers.
            save_original_format: as in Transformers, but weights keep the names they have here.
            distributed_checkpoint: as in Transformers.
            **kwargs: of ``push_to_hub`` (``repo_id``, ``commit_message``, ``commit_description``,
                ``create_pr``, ``revision``, ``tags``) and of the hub's ``create_repo``
                (``private`` and so on).
        """
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        timestamps = self._get_files_timestamps(folder)
        is_writer = self.should_save_on_this_rank(is_main_process)
        if is_writer:
            self._check_config(state_dict)
        with ExitStack() as stack:
            if is_writer:
                stack.enter_context(self._described(state_dict))
            super().save_pretrained(
                folder,
                is_main_process=is_main_process,
                state_dict=state_dict,
                max_shard_size=max_shard_size,
                variant=variant,
                token=token,
                save_peft_format=save_peft_format,
                save_original_format=save_original_format,
                distributed_checkpoint=distributed_checkpoint,
            )
            if not is_writer:
                return
            (folder / SUMS).unlink(missing_ok=True)  # of what lay there
            TASFormerImageProcessor.of_model(self.config).save_pretrained(folder)
            self._write_card(folder, "path/to/this/folder")
            if push_to_hub:
                self._push(folder, timestamps, token, **kwargs)

    @contextmanager
    def _described(self, state_dict: dict[str, Tensor] | None) -> Iterator[None]:
        """Let the config say what is true of the weights that are saved; if given, only now."""
        if state_dict is None:
            describe_saved_weights(self.config, self.state_dict())
            yield
            return
        own = {name: getattr(self.config, name) for name in DESCRIBING}
        try:
            describe_saved_weights(self.config, state_dict)
            yield
        finally:
            for name, value in own.items():
                setattr(self.config, name, value)

    def _check_config(self, state_dict: dict[str, Tensor] | None) -> None:
        """Refuse to save what could not be loaded: a config that was changed after building."""
        if getattr(self, "_hf_peft_config_loaded", False) or getattr(self, "hf_quantizer", None):
            return
        saved = self.state_dict() if state_dict is None else state_dict
        with torch.device("meta"):
            described = type(self)(self.config).state_dict()
        for name, tensor in described.items():
            if name in saved and saved[name].shape == tensor.shape:
                continue
            if name not in saved and state_dict is not None:  # a part may be saved
                continue
            found = f"is {tuple(saved[name].shape)}" if name in saved else "is not there"
            raise ValueError(
                f"the config does not describe these weights: {name} {found}, but would be "
                f"{tuple(tensor.shape)}. It was changed after the network was built; build another "
                "network instead, by from_pretrained(..., ignore_mismatched_sizes=True)"
            )

    def _push(
        self,
        folder: Path,
        timestamps: dict[str, float],
        token: str | bool | None,
        repo_id: str | None = None,
        commit_message: str | None = None,
        commit_description: str | None = None,
        create_pr: bool = False,
        revision: str | None = None,
        tags: list[str] | str | None = None,
        **of_repository: Any,
    ) -> None:
        """Upload a folder that was saved: Transformers' own pushing knows nothing of our files."""
        repo_id = (
            hub.hf_api()
            .create_repo(repo_id or folder.name, token=token, exist_ok=True, **of_repository)
            .repo_id
        )
        if tags:
            self.add_model_tags(tags)
        card = folder / _CARD
        if is_generated(card.read_text(encoding="utf-8")):  # else the folder's own is uploaded
            there = hub.create_and_tag_model_card(repo_id, self.model_tags, token)  # type: ignore[arg-type]
            there.save(card)
        timestamps.pop(_CARD, None)
        self._upload_modified_files(
            folder,
            repo_id,
            timestamps,
            commit_message=commit_message,
            token=token,
            create_pr=create_pr,
            revision=revision,
            commit_description=commit_description,
        )

    def _upload_modified_files(
        self, working_dir: str | PathLike[str], repo_id: str, *args: Any, **kwargs: Any
    ) -> Any:
        """Put the model's card in the place of one that Transformers wrote, or of an older one."""
        self._write_card(Path(working_dir), repo_id)
        return super()._upload_modified_files(working_dir, repo_id, *args, **kwargs)

    def _write_card(self, folder: Path, name: str) -> None:
        """Write the model's card, with the tags of the one there, unless a person wrote that."""
        card = folder / _CARD
        tags = list(self.model_tags or ())
        if card.is_file():
            text = card.read_text(encoding="utf-8")
            if not is_generated(text):
                return
            tags += ModelCard(text).data.get("tags") or ()
        recogniser = getattr(self, "recogniser", None)
        own = None if recogniser is None else sum(each.numel() for each in recogniser.parameters())
        model_card(self.config, self.num_parameters(), name, tags, own).save(card)
