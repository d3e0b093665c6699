"""The checkpoints that the authors released: methods, numbers of classes, crop sizes, links."""

from dataclasses import dataclass
from pathlib import Path

from seg_training.errors import UserError, suggest

__all__ = ["RELEASED", "RELEASED_FOLDER", "ReleasedCheckpoint", "find_released"]

RELEASED_FOLDER = Path("outputs/released_checkpoints")
"""Where they are converted to, each into a folder of its own."""

_USUAL_SIZE = 320


@dataclass(frozen=True)
class ReleasedCheckpoint:
    """One of them; the paper's numbers stand in ``seg_training.tables.table_cells``.

    Attributes:
        method: as ``model.method`` has it.
        num_classes: of ADE20K.
        size: height and width that images were resized to.
        drive_id: of the file, on Google Drive.
    """

    method: str
    num_classes: int
    size: int
    drive_id: str

    @property
    def name(self) -> str:
        """What a user calls it: the size is said where it is not the usual one."""
        size = "" if self.size == _USUAL_SIZE else f"/{self.size}"
        return f"{self.method}/{self.num_classes}{size}"

    @property
    def file_stem(self) -> str:
        """What its file and its folder are called."""
        return f"{self.method}_{self.num_classes}_{self.size}"

    @property
    def link(self) -> str:
        """Its page, with a button to download it."""
        return f"https://drive.google.com/file/d/{self.drive_id}/view?usp=drive_link"

    @property
    def tasks(self) -> str:
        """The file of ``configs/tasks``."""
        return f"ade20k_{self.num_classes}"

    @property
    def overrides(self) -> list[str]:
        """What differs from the method's config."""
        is_usual = self.size == _USUAL_SIZE
        return [] if is_usual else [f"data.crop_size=[{self.size},{self.size}]"]


_ALL = (
    ReleasedCheckpoint("segformer", 2, 320, "1PFQsBBjS0lAT41zJ3hF-KdnHmHzVQ10N"),
    ReleasedCheckpoint("segformer", 12, 320, "1u1VhJM9tko943jBEIzrB-RSVrvQV8Qug"),
    ReleasedCheckpoint("segformer", 150, 320, "103X3JZRk82VJlnGl4DiuyDHhRbbvrL4x"),
    ReleasedCheckpoint("emb", 2, 320, "1nwlKJ_NDGNaCkN1P2hqdJdGP3Fo7qqha"),
    ReleasedCheckpoint("emb", 12, 320, "1835-f-TKRdG6pFomqOJtFN2GptloDfQY"),
    ReleasedCheckpoint("emb", 150, 320, "14DbM6p6Iqm_Zqruzqo1SCp2CLZulWwWr"),
    ReleasedCheckpoint("vsa_emb", 2, 320, "1nvukY2Jh177DxLPwJ_OTeGmPLtB87E34"),
    ReleasedCheckpoint("vsa_emb", 12, 320, "1tTOHdSh4HlQTjZWPH9HtOB3z-7TSCy7g"),
    ReleasedCheckpoint("vsa_emb", 150, 320, "1eDVhWDha4RLKsGfIO861MXkaeGiiOw1L"),
    ReleasedCheckpoint("adapter_hf", 2, 320, "1XIq5DM08hGA3tv9PcvDzizrgfNLh4k0h"),
    ReleasedCheckpoint("adapter_hf", 12, 320, "1V_0hBspI2BidHAX1VFew5yEsE6-XhZDN"),
    ReleasedCheckpoint("adapter_hf", 150, 320, "18mkc_QybP2EMyNorj7_fSfh-eKjPj98u"),
    ReleasedCheckpoint("adapter_hf", 150, 640, "1A_A6ZC_3jYG07cLFNjLK2WYXE3ZbNA9n"),
    ReleasedCheckpoint("adapter_hf", 150, 896, "1cCSDl0bPX9uL33rS6Q8HP0cf-LgLhjtl"),
    ReleasedCheckpoint("adapter_hf++", 2, 320, "1uPb5AEDj2VKbjKOP3lVYPRbVhM4oced7"),
    ReleasedCheckpoint("adapter_hf++", 12, 320, "1TGlpAisiZMY8JQ1FqMsC5UiUxA-ThBjO"),
    ReleasedCheckpoint("adapter_hf++", 150, 320, "1SjfSbMTZBQgUhsQoz-uJd7ej6QQrgXLm"),
)

RELEASED = {each.name: each for each in _ALL}
"""By the names that ``--released`` takes."""


def find_released(name: str) -> ReleasedCheckpoint:
    """Look a checkpoint up.

    Args:
        name: method/classes, or method/classes/size.

    Raises:
        UserError: if there is none of the name; all are named, the nearest ones first.
    """
    short = name.removesuffix(f"/{_USUAL_SIZE}")
    if short not in RELEASED:
        raise UserError(
            f"unknown --released '{name}'{suggest(short, RELEASED)} "
            f"(known: {', '.join(RELEASED)}; the size is {_USUAL_SIZE} where none is said)"
        )
    return RELEASED[short]
