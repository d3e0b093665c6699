"""The paper's other datasets, one file each, and training on several at once.

Importing the package makes them known by their names in configs; the commands do that.
"""

from multitask_segmentation.cityscapes import Cityscapes
from multitask_segmentation.coco import COCO
from multitask_segmentation.floor import Floor
from multitask_segmentation.gdd import GDD
from multitask_segmentation.glass import Glass
from multitask_segmentation.gta5 import GTA5
from multitask_segmentation.metalbot import Metalbot
from multitask_segmentation.msd import MSD
from multitask_segmentation.scenenet import SceneNet
from multitask_segmentation.several_datasets import SeveralDatasetsModule
from multitask_segmentation.sun_rgbd import SunRgbd
from multitask_segmentation.trans10k import Trans10K
from seg_training.datasets.data_module import DATA_MODULES, DATASETS

__all__ = [
    "COCO",
    "GDD",
    "GTA5",
    "MSD",
    "Cityscapes",
    "Floor",
    "Glass",
    "Metalbot",
    "SceneNet",
    "SeveralDatasetsModule",
    "SunRgbd",
    "Trans10K",
]

DATASETS |= {
    "cityscapes": Cityscapes,
    "coco": COCO,
    "floor": Floor,
    "gdd": GDD,
    "glass": Glass,
    "gta5": GTA5,
    "metalbot": Metalbot,
    "msd": MSD,
    "scenenet": SceneNet,
    "sun_rgbd": SunRgbd,
    "trans10k": Trans10K,
}
DATA_MODULES["several"] = SeveralDatasetsModule
