"""The paper's other datasets, one file each, and training on several at once.

Datasets register themselves in :data:`seg_training.datasets.data_module.DATASETS`.
"""
