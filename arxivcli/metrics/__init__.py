"""How good predictions are: vectorised, weighted, never NaN.

What every command needs is here; `eval` imports the other modules too.
"""

from arxivcli.metrics.labels import (
    MOST_LISTED,
    NOT_LISTED,
    LabelQuality,
    importance,
    label_indices,
    label_mix,
    label_quality,
    top,
)
from arxivcli.metrics.reliability import ECE_BINS, calibration_error

__all__ = [
    "ECE_BINS",
    "MOST_LISTED",
    "NOT_LISTED",
    "LabelQuality",
    "calibration_error",
    "importance",
    "label_indices",
    "label_mix",
    "label_quality",
    "top",
]
