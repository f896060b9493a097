"""How right a model's answers are, where that is not the share of right classes: `metric` in the model file.

Outputs are arrays [vectors, ...], the labels of a call are numbers: `targets` [vectors, ...].

    mae, rmse    mean absolute difference, root of the mean square, of the first output and the labels
    top5         share of vectors whose label is among the five largest outputs
    f1           2 tp / (2 tp + fp + fn) over all elements; labels are 0 or 1, one for each element
    iou          mean over classes of intersection by union; labels are maps of classes
    auc          share of pairs of a 1 and a 0 that the outputs put into the right order (ties count half)
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mcu_build.errors import McuError
from mcu_build.quality.sqnr import MOST_DROP
from mcu_build.vectors.npz import Array

# Percent by which an error may grow without a warning.
_MOST_MORE = 10.0
# What stands for a function of the model file.
OWN = "own"


@dataclass(frozen=True)
class Metric:
    """A figure of the float model, of the int8 program in PyTorch, and of the firmware.

    `higher` tells whether more is better.
    """

    name: str
    float_model: float
    int8_model: float
    device: float
    higher: bool

    @property
    def is_much_worse(self) -> bool:
        """Whether a user has to be warned: 2 points of 100, a tenth more of an error."""
        return self.drop > (MOST_DROP if self.higher else _MOST_MORE)

    @property
    def drop(self) -> float:
        """How much worse the device is than the float model: points of 100, of errors percent."""
        if self.higher:
            return 100 * (self.float_model - self.device)
        if self.float_model == 0:  # as where the labels are the float model's answers
            return math.inf if self.device > 0 else 0.0
        return 100 * (self.device - self.float_model) / abs(self.float_model)


def _mae(outputs: Array, targets: Array) -> float:
    return float(np.abs(outputs - _like(outputs, targets)).mean())


def _rmse(outputs: Array, targets: Array) -> float:
    return float(np.sqrt(np.square(outputs - _like(outputs, targets)).mean()))


def _top5(outputs: Array, targets: Array) -> float:
    scores, classes = outputs.reshape(len(outputs), -1), targets.reshape(len(outputs), -1)
    if classes.shape[1] != 1:
        raise ValueError(f"labels {targets.shape[1:]}, not one class each")
    return float((np.argsort(-scores, axis=1, kind="stable")[:, :5] == classes).any(axis=1).mean())


def _f1(outputs: Array, targets: Array) -> float:
    guesses, right = outputs > _threshold(outputs), _like(outputs, targets) > 0.5
    hits, wrong = int((guesses & right).sum()), int((guesses != right).sum())
    return 2 * hits / (2 * hits + wrong) if hits or wrong else 1.0


def _iou(outputs: Array, targets: Array) -> float:
    """Maps of classes: of the largest channel (dimension 1), of a threshold where there is one channel."""
    if outputs.ndim > 2 and outputs.shape[1] > 1 and outputs.shape != targets.shape:
        guesses = outputs.argmax(axis=1)
    else:
        guesses = (outputs > _threshold(outputs)).astype(np.int64)
    classes = _like(guesses, targets).round().astype(np.int64)
    shares = []
    for label in np.unique(np.concatenate([guesses.reshape(-1), classes.reshape(-1)])):
        either = (guesses == label) | (classes == label)
        shares.append(((guesses == label) & (classes == label)).sum() / either.sum())
    return float(np.mean(shares))


def _auc(outputs: Array, targets: Array) -> float:
    scores = outputs.reshape(len(outputs), -1)
    if scores.shape[1] == 2 and targets.size == len(outputs):
        scores = scores[:, 1:] - scores[:, :1]
    columns = _like(scores, targets) > 0.5
    return float(np.mean([_ordered(scores[:, k], columns[:, k]) for k in range(scores.shape[1])]))


def _ordered(scores: Array, positive: Array) -> float:
    if positive.all() or not positive.any():
        raise ValueError("all labels are the same")
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    ones, zeros = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def _threshold(outputs: Array) -> float:
    """Between yes and no: a half where all outputs are shares, 0 for scores."""
    return 0.5 if float(outputs.min()) >= 0 and float(outputs.max()) <= 1 else 0.0


def _like(outputs: Array, targets: Array) -> Array:
    if outputs.size != targets.size:
        raise ValueError(f"labels of shape {targets.shape[1:]} for an output of {outputs.shape[1:]}")
    return targets.reshape(outputs.shape)


_NAMED: Mapping[str, tuple[Callable[[Array, Array], float], bool]] = {
    "mae": (_mae, False),
    "rmse": (_rmse, False),
    "top5": (_top5, True),
    "f1": (_f1, True),
    "iou": (_iou, True),
    "auc": (_auc, True),
}
NAMES = tuple(_NAMED)


def named(name: str) -> Callable[[Sequence[Array], Array], float]:
    """A metric of `NAMES`, as a function of the outputs, real numbers, and the labels.

    McuError where the two do not fit one another.
    """
    function, _ = _NAMED[name]

    def measure(outputs: Sequence[Array], targets: Array) -> float:
        try:
            return function(outputs[0].astype(np.float64), targets.astype(np.float64))
        except ValueError as error:
            raise McuError(
                f"metric: {name}: {error}", "docs/model-file.md lists the labels that each metric takes."
            ) from error

    return measure


def is_higher_better(name: str) -> bool:
    """Whether more of it is better; it is of a model file's own function."""
    return name == OWN or _NAMED[name][1]
