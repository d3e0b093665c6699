"""Learning a row for each new class: what is linear in features that nothing here changes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from .few_pictures import UNLABELLED, LabelledPicture
from .mask_losses import mask_loss

if TYPE_CHECKING:
    from .modeling_tasformer import TASFormerForSemanticSegmentation

__all__ = ["Rows", "SeenPicture", "fit_rows", "see_pictures", "small_masks"]

_RATE = 0.05  # 0.02 needed twice the steps on other training pictures of CCP and CamVid
# As AdamW has it, for each feature there is: it bounds each weight, and so what all of them say
# together. On other training pictures of CCP and CamVid 5 for 256 features was the best of 0 to 30
# where ten pictures show the class, and 1 of 0 to 5 where fifty do.
_DECAY = 5 / 256
_DECAYED_PICTURES = 10  # that show the class; more of them share that decay
_AT_ONCE = 8  # pictures of a step
_START = -2.0  # logit of a class before it is learnt, on an average pixel


class SeenPicture(NamedTuple):
    """What a recogniser makes of a picture, P positions, and the C new classes there."""

    features: Tensor
    """(D, P) half, what rows are multiplied with."""
    against: Tensor
    """(P,) float, what they are compared with: the largest logit of the classes known."""
    target: Tensor
    """(C, P) float in [0, 1], which share of a position is of the class."""
    counted: Tensor
    """(C, P) float in [0, 1], of which share that is known."""


class Rows(NamedTuple):
    """The last layer's weights for C new classes."""

    weight: Tensor
    """(C, D) float."""
    bias: Tensor
    """(C,) float."""

    def margins(self, seen: SeenPicture) -> Tensor:
        """Compare the classes with those known: (..., C, P) float logits, of one or several."""
        own = self.weight @ seen.features.to(self.weight.dtype) + self.bias[:, None]
        return own - seen.against.unsqueeze(-2)


@torch.no_grad()
def see_pictures(
    model: "TASFormerForSemanticSegmentation", pictures: Sequence[LabelledPicture]
) -> list[SeenPicture]:
    """Compute, once, all of the pictures that rows are learnt from.

    Args:
        model: in evaluation mode, of something that labels every pixel.
        pictures: of the model's crop size or view.
    """
    seen = []
    for own in pictures:
        pixel_values = own.pixel_values[None].to(model.device, model.dtype)
        [features], [rivals] = model.label_features(pixel_values)
        target, counted = small_masks(
            own.masks.to(model.device), (features.shape[-2], features.shape[-1])
        )
        seen.append(
            SeenPicture(
                features.flatten(1).half(),
                rivals.flatten().float(),
                target.flatten(1),
                counted.flatten(1),
            )
        )
    return seen


def small_masks(masks: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Bring masks to the size of a feature map.

    Args:
        masks: (C, H, W) uint8 in {0, 1, 255}.
        size: (h, w).

    Returns:
        Which share of each position is of the class, of what is known; and how much that is:
        (C, h, w) float each.
    """
    counted = F.adaptive_avg_pool2d((masks != UNLABELLED).float(), size)
    of_class = F.adaptive_avg_pool2d((masks == 1).float(), size)
    return of_class / counted.clamp(min=1e-6), counted


def fit_rows(
    pictures: Sequence[SeenPicture], stops: Sequence[int], generator: torch.Generator
) -> dict[int, Rows]:
    """Learn rows, and give them as they were after some numbers of steps.

    Args:
        pictures: that they are learnt from.
        stops: after how many steps, in rising order.
        generator: of the CPU, which decides which pictures make up a step.

    Returns:
        By the number of steps; each is an average over the steps before.
    """
    first = pictures[0]
    mean, deviation = _statistics(pictures)
    usual = torch.stack([own.against.mean() for own in pictures]).mean() + _START
    weight = mean.new_zeros(len(first.target), len(mean))
    bias = usual.expand(len(first.target)).clone()
    learnt = [weight.requires_grad_(), bias.requires_grad_()]
    average = [each.detach().clone() for each in learnt]
    optimizer = torch.optim.Adam(learnt, lr=_RATE)
    decay = _decay(pictures, len(mean))
    kept = {}
    groups = _of_one_size(pictures)
    with torch.enable_grad():
        for step in range(1, stops[-1] + 1):
            own = _draw(groups, generator)
            batch = SeenPicture(
                *map(torch.stack, zip(*(pictures[each] for each in own), strict=True))
            )
            rows = _of_features(Rows(*learnt), mean, deviation)
            losses = mask_loss(rows.margins(batch), batch.target, batch.counted)
            optimizer.zero_grad()
            losses.sum(1).mean().backward()  # type: ignore[no-untyped-call]
            with torch.no_grad():
                weight.mul_(1 - _RATE * decay[:, None])
            optimizer.step()
            for own_average, each in zip(average, learnt, strict=True):
                own_average.lerp_(each.detach(), max(1 / step, 1 / 20))
            if step in stops:
                kept[step] = _of_features(
                    Rows(*(each.clone() for each in average)), mean, deviation
                )
    return kept


def _decay(pictures: Sequence[SeenPicture], features: int) -> Tensor:
    """Say how much each class's weights decay: (C,) float."""
    shown = torch.stack([(own.target > 0).any(1) for own in pictures]).sum(0)
    return _DECAY * features * (_DECAYED_PICTURES / shown.clamp(min=1)).clamp(max=1.0)


def _statistics(pictures: Sequence[SeenPicture]) -> tuple[Tensor, Tensor]:
    """Give mean and standard deviation of each feature: (D,) float each."""
    means = torch.stack([own.features.float().mean(1) for own in pictures])
    squares = torch.stack([own.features.float().square().mean(1) for own in pictures])
    mean = means.mean(0)
    return mean, (squares.mean(0) - mean.square()).clamp(min=0).sqrt() + 1e-3


def _of_features(rows: Rows, mean: Tensor, deviation: Tensor) -> Rows:
    """Turn rows for standardised features into rows for the features themselves."""
    weight = rows.weight / deviation
    return Rows(weight, rows.bias - weight @ mean)


def _of_one_size(pictures: Sequence[SeenPicture]) -> list[list[int]]:
    """Group pictures that can be stacked."""
    groups: dict[int, list[int]] = {}
    for place, own in enumerate(pictures):
        groups.setdefault(len(own.against), []).append(place)
    return list(groups.values())


def _draw(groups: Sequence[list[int]], generator: torch.Generator) -> list[int]:
    """Draw the pictures of a step, each as often as any other."""
    sizes = torch.tensor([len(own) for own in groups], dtype=torch.float)
    own = groups[int(torch.multinomial(sizes, 1, generator=generator))]
    drawn = torch.randperm(len(own), generator=generator)[:_AT_ONCE].tolist()
    return [own[each] for each in drawn]
