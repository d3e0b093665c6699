"""Names that a network was never trained on: their embeddings, and a network that has them."""

# mypy: allow-untyped-calls
# Transformers has types for a part of its functions only.

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .added_classes import with_added_classes
from .configuration_tasformer import TASFormerConfig
from .near_words import ZERO_SHOT, NearWord, nearest_tasks, unknown_names
from .task_names import check_new_names
from .word_embeddings import WordEmbeddings
from .word_encoder import word_encoder

if TYPE_CHECKING:
    from .modeling_tasformer import Recognition, TASFormerForSemanticSegmentation

__all__ = [
    "WITHOUT_WORDS",
    "knowing",
    "nearest_margins",
    "stand_in",
    "start_vector",
    "take_names",
    "with_names",
]

WITHOUT_WORDS = (
    "the network was trained without words: of a name that it does not know it can take the "
    "nearest class alone; train it with model.words=true"
)
_SAME_ENCODER = 0.99  # cosine of a name's vectors, which differ by rounding alone


def take_names(model: "TASFormerForSemanticSegmentation") -> None:
    """Let a network that is going to be trained take the vectors of its names.

    Args:
        model: with ``words`` and ``task_names``; changed.

    Raises:
        ValueError: if it has no names.
        ImportError: if the text encoder is not installed.
    """
    names = model.config.task_names
    if not names:
        raise ValueError("words=True makes embeddings of names, but there are no task_names")
    _word_embeddings(model).take(word_encoder()(names))


def start_vector(model: "TASFormerForSemanticSegmentation", name: str) -> Tensor:
    """Say where the embedding of a new class may begin.

    Args:
        model: whose method has task embeddings.
        name: of the new class.

    Returns:
        (D,) float: what the name's vector is projected to; of a network without words, the
        embedding of the nearest known class.

    Raises:
        ValueError: if the method has no task embeddings, or if the network's names were encoded by
            another encoder.
        ImportError: if the text encoder is not installed.
    """
    table = _embeddings(model)
    with torch.no_grad():
        if isinstance(table, WordEmbeddings):
            return table.of_vectors(_new_vectors(model, [name]))[0]
        nearest = nearest_tasks(name, model.config)[0].task_id
        device = next(table.parameters()).device
        embedding: Tensor = table(torch.tensor([nearest], device=device))[0]
        return embedding.clone()


def stand_in(name: str, config: TASFormerConfig) -> NearWord:
    """Find the class whose margin, threshold and the like a new name has: the nearest.

    Args:
        name: that is not known.
        config: a network's; with a recogniser it is the nearest that this knows, if it knows any.

    Raises:
        ImportError: if the text encoder is not installed.
    """
    ranked = nearest_tasks(name, config)
    channels = (config.recognition or {}).get("channels")
    recognised = [each for each in ranked if channels and channels[each.task_id]]
    return (recognised or ranked)[0]


def with_names(
    model: "TASFormerForSemanticSegmentation",
    names: Sequence[str],
    stand_ins: Sequence[int] | None = None,
) -> "TASFormerForSemanticSegmentation":
    """Make a network that knows further names, which it was never trained on.

    A new class's embedding is the projection of its name's vector. Whatever else is the class's own
    it has of the nearest known class: the recogniser's margin and the threshold. How likely it is
    to be in a picture is not known.

    Args:
        model: trained with ``words``; stays as it is.
        names: that it does not know.
        stand_ins: per name the id of the class to take the place of the nearest.

    Returns:
        A copy in evaluation mode; known classes answer as before.

    Raises:
        ValueError: if the network was trained without words, or if a name is known already,
            or no name.
        ImportError: if the text encoder is not installed.
    """
    if not isinstance(_embeddings(model), WordEmbeddings):
        raise ValueError(WITHOUT_WORDS)
    check_new_names(names, model.config)
    vectors = _new_vectors(model, names)
    if stand_ins is None:
        stand_ins = [stand_in(name, model.config).task_id for name in names]
    grown = with_added_classes(model, names, with_rows=False, stand_ins=stand_ins)
    known = model.config.num_tasks
    _word_embeddings(grown).vectors[known:] = vectors
    if grown.unknown_margins is not None and model.unknown_margins is not None:
        with torch.no_grad():
            grown.unknown_margins[known:] = model.unknown_margins[list(stand_ins)]
    return grown


def knowing(
    model: "TASFormerForSemanticSegmentation", asked: Sequence[str], unknown: str
) -> tuple["TASFormerForSemanticSegmentation", dict[str, NearWord]]:
    """Let a network know whatever it is asked for, if names are to be painted without training.

    Args:
        model: stays as it is.
        asked: names, known and unknown.
        unknown: one of ``near_words.UNKNOWN``; does nothing but for ``zero_shot``.

    Returns:
        The network, or a copy that knows more names; of each of these the nearest class.

    Raises:
        ValueError: as :func:`with_names` does.
        ImportError: likewise.
    """
    names = unknown_names(asked, model.config) if unknown == ZERO_SHOT else []
    if not names:
        return model, {}
    if not isinstance(_embeddings(model), WordEmbeddings):
        raise ValueError(WITHOUT_WORDS)
    nearest = {name: stand_in(name, model.config) for name in names}
    return with_names(model, names, [own.task_id for own in nearest.values()]), nearest


@torch.no_grad()
def nearest_margins(
    model: "TASFormerForSemanticSegmentation",
    recognition: "Recognition",
    task_ids: Sequence[int],
    size: Sequence[int],
) -> Tensor:
    """Say where the recogniser alone sees the classes that stand in for new names.

    Args:
        model: from :func:`with_names`.
        recognition: what it said of one image.
        task_ids: T of the new names.
        size: (H, W) of the image.

    Returns:
        (1, T, H, W) float logits: the margins.
    """
    asked = torch.tensor([list(task_ids)], device=recognition.label_logits.device)
    return model.upsample(model.margins(recognition.label_logits, asked), size)


def _new_vectors(model: "TASFormerForSemanticSegmentation", names: Sequence[str]) -> Tensor:
    """Encode names by the encoder that encoded the network's own."""
    own, known = _word_embeddings(model).vectors, list(model.config.task_names or ())
    again = word_encoder()(known).to(own)
    from_names = own.norm(dim=1) > _SAME_ENCODER  # classes learnt from pictures have no vector
    differs = ((again * own).sum(1) < _SAME_ENCODER)[from_names]
    if len(differs) and differs.all():  # a class that was renamed differs alone
        raise ValueError(
            "the vectors that the network has of its own names are not those of the text encoder "
            "here: it was trained with another one, or all its classes were renamed afterwards"
        )
    return word_encoder()(names).to(own)


def _embeddings(model: "TASFormerForSemanticSegmentation") -> nn.Module:
    table = getattr(model.segformer.hypernet, "task_embeddings", None)
    if not isinstance(table, nn.Embedding | WordEmbeddings):
        raise ValueError(f"method '{model.config.method}' has no task embeddings, and so no words")
    return table


def _word_embeddings(model: "TASFormerForSemanticSegmentation") -> WordEmbeddings:
    table = _embeddings(model)
    if not isinstance(table, WordEmbeddings):
        raise ValueError(WITHOUT_WORDS)
    return table
