"""Stands for MetWork's acquisition: what the steps and listeners of an mfdata plugin are made of."""

from .archive_step import AcquisitionArchiveStep
from .batch_step import AcquisitionBatchStep
from .copy_step import AcquisitionCopyStep
from .fork_step import AcquisitionForkStep
from .listener import AcquisitionListener
from .move_step import AcquisitionMoveStep
from .reinject_step import AcquisitionReinjectStep
from .stats import AcquisitionStatsDClient
from .step import AcquisitionStep
from .transform_step import AcquisitionTransformStep

__all__ = [
    "AcquisitionArchiveStep",
    "AcquisitionBatchStep",
    "AcquisitionCopyStep",
    "AcquisitionForkStep",
    "AcquisitionListener",
    "AcquisitionMoveStep",
    "AcquisitionReinjectStep",
    "AcquisitionStatsDClient",
    "AcquisitionStep",
    "AcquisitionTransformStep",
]
