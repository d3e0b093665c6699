"""The paper's other datasets, one file each, and training on several at once: none here yet.

A dataset of this package adds itself to :data:`seg_training.datasets.data_module.DATASETS`; the
commands import the package for that.
"""
