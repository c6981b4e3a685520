"""Kullback-Leibler divergences of a student's prediction from its teacher's, per kind of target."""

import torch
from torch import Tensor
from torch.nn import functional as F

from components.targets import AnyTarget, Multilabel, Regression


def divergence(target: AnyTarget, student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KL of the teacher's distribution to the student's, row by row.

    Args:
        target: Target that both predict.
        student, teacher: Natural parameters (B, K); the teacher's are taken as they are.
        temperature: Divides logits. The result is multiplied by its square, so that its gradient weighs
            the same at every temperature (Hinton et al. 2015, section 2). A number's Gaussian has nothing
            beside its mean and spread that softening could bring out: it stays as it is.

    Returns:
        (B,), in nats at temperature 1.
    """
    if isinstance(target, Regression):
        return gaussian(student, teacher)
    kind = bernoulli if isinstance(target, Multilabel) else categorical
    return kind(student / temperature, teacher / temperature) * temperature**2


def categorical(student: Tensor, teacher: Tensor) -> Tensor:
    """Divergence of logits of classes (B, C)."""
    log_teacher = teacher.log_softmax(1)
    return (log_teacher.exp() * (log_teacher - student.log_softmax(1))).sum(1)


def bernoulli(student: Tensor, teacher: Tensor) -> Tensor:
    """Divergence of logits of labels (B, L), mean over the labels."""
    yes = F.logsigmoid(teacher) - F.logsigmoid(student)
    no = F.logsigmoid(-teacher) - F.logsigmoid(-student)
    return torch.lerp(no, yes, teacher.sigmoid()).mean(1)


def gaussian(student: Tensor, teacher: Tensor) -> Tensor:
    """Divergence of mean / variance and 1 / variance (B, 2)."""
    shift, precision = student.unbind(1)
    teacher_shift, teacher_precision = teacher.unbind(1)
    ratio = precision / teacher_precision
    distance = shift / precision - teacher_shift / teacher_precision
    return 0.5 * (ratio - ratio.log() - 1 + precision * distance.square())
