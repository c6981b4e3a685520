"""The training loop: one for encoders, fusion and joint training alike."""

import math
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from components.config import LoopConfig, ModalityDropout
from components.errors import OutOfTimeError
from components.objectives import Objective
from components.runtime.deadline import Deadline
from components.runtime.device import out_of_memory, precision
from components.storage.tensors import is_whole, load_tensors, save_tensors
from components.targets import rank
from components.training import checkpoint
from components.training.batches import Source
from components.training.checkpoint import Epoch, Progress
from components.training.distributed import DistributedGroup
from components.training.faults import MicroBatcher, NotFinite
from components.training.modality_dropout import hide, rate_at

CHECKPOINT, BEST = "checkpoint.safetensors", "best.safetensors"


def train(
    network: nn.Module,
    objective: Objective,
    training: Source,
    validation: Source,
    config: LoopConfig,
    *,
    seed: int,
    folder: Path,
    device: torch.device,
    modality_dropout: ModalityDropout | None = None,
    inputs: Sequence[str] = (),
    stop: int | None = None,
    deadline: Deadline | None = None,
) -> Iterator[Epoch]:
    """Train a network, epoch by epoch; at the end it holds its best weights and is in eval mode.

    A checkpoint is written after every epoch. Called again on the same folder, the loop first yields the
    finished epochs and then resumes behind them. Every random draw of an epoch comes from the seed and the
    epoch's number. So an interrupted training ends in the same weights as an uninterrupted one.

    A batch that does not fit into memory is halved, with the gradient of the whole; later ones are cut alike,
    unless several workers share the training. A step whose gradient is not finite is skipped.

    In a process group of torch, all its workers call this on the same folder: see
    :class:`components.training.distributed.DistributedGroup`.

    Args:
        network: Takes ``(batch.inputs, batch.present)``.
        objective: Loss to minimise, and the metric by which training stops.
        training: Rows to learn from.
        validation: Rows for early stopping.
        config: Options.
        seed: Seed of this training.
        folder: Folder of its checkpoints.
        device: Device of the network.
        modality_dropout: Hides inputs of training rows.
        inputs: Names in the order of the columns of ``present``. After each epoch the network is evaluated
            given each of them alone; without names it is not.
        stop: Number of epochs after which the training ends, on the schedule of all; its last weights are
            then the best, and no validation row decides. None stops by the validation rows.
        deadline: The training ends before an epoch that would end later, if it has had one; see
            :func:`is_over`.

    Yields:
        One :class:`Epoch` per pass.

    Raises:
        OutOfTimeError: If the deadline passes in the first epoch.
        TrainingError: If the loss is not finite; the message names epoch, batch and rows. If gradients are
            not finite eleven times in a row. If two rows do not fit into memory.
    """
    # Put everything on the device first: the optimizer holds references to the parameters there.
    network.to(device)
    objective.to(device)
    learned = [*network.parameters(), *objective.parameters()]
    optimizer = torch.optim.AdamW(
        [parameter for parameter in learned if parameter.requires_grad],
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        fused=True,  # one pass over all weights: of a small fusion's step, a fifth of the time
    )
    # One worker writes the files that all resume from, so the others wait until they are in order.
    workers = DistributedGroup()
    average = AveragedModel(network, avg_fn=_ema(config.ema), use_buffers=True) if config.ema else None
    if workers.is_main and not is_whole(folder / BEST):  # a checkpoint cannot be resumed without them
        (folder / CHECKPOINT).unlink(missing_ok=True)
    workers.wait()
    progress = checkpoint.load(folder / CHECKPOINT, network, objective, optimizer, average) or Progress()
    batcher, not_finite = MicroBatcher(1 if workers.size > 1 else None), NotFinite()
    loss_of = workers.loss_of(network, objective)
    yield from progress.history

    batches = math.ceil(len(training) / config.batch_size)
    while not is_over(progress.history, config, objective.metric, stop):
        history = progress.history
        if deadline is not None and history and workers.agree(deadline.left() < history[-1].seconds):
            break
        # Seed every draw by the epoch, so that a resumed training repeats an uninterrupted one.
        started = time.perf_counter()
        epoch = len(progress.history)
        torch.manual_seed(workers.seed(_draw(seed, epoch)))
        generator = torch.Generator().manual_seed(_draw(seed, epoch) + 1)
        order = torch.randperm(len(training), generator=generator)  # (N,)
        if not workers.is_main:
            generator.manual_seed(workers.seed(_draw(seed, epoch) + 1))
        # Begin in train mode, since the validation of the last epoch left eval mode behind.
        network.train()
        objective.train()
        objective.begin_epoch(epoch, config.epochs)
        total, skipped = 0.0, 0
        rate = None if modality_dropout is None else rate_at(modality_dropout, epoch, config.epochs)

        def gradient(weight: float, positions: Tensor, share: float) -> float:
            """Add the gradient of some rows; gives their share of the loss, over all workers."""
            batch = training.batch(positions, generator)  # noqa: B023  (called in this epoch alone)
            present = batch.present if rate is None else hide(batch.present, rate, generator)  # noqa: B023
            with precision(config.precision, device):
                loss = loss_of(batch, present) * weight
            shown = workers.mean(loss)
            if not torch.isfinite(shown):
                raise not_finite.loss(loss.item(), network, training, positions, config.learning_rate)
            objective.backward(network, loss * share, weight * share)
            return shown.item() * share

        # Walk through the shuffled rows; each worker takes its part of every batch.
        for number, positions in enumerate(order.split(config.batch_size), start=1):
            if deadline is not None and workers.size == 1 and deadline.left() < 0:
                break
            mine, weight = workers.part(positions)
            not_finite.at = f"epoch {epoch}, batch {number} of {batches} (step {progress.step})"
            for group in optimizer.param_groups:
                group["lr"] = _learning_rate(config, progress.step, batches * config.epochs)
            loss = batcher.run(
                partial(gradient, weight), mine, generator, lambda: _clear(optimizer, objective)
            )
            objective.after_backward(network, workers.mean)
            norm = nn.utils.clip_grad_norm_(learned, config.clip_norm or math.inf)
            if not_finite.skips(norm, config.learning_rate):
                skipped += 1
            else:
                optimizer.step()
                if average is not None:
                    average.update_parameters(network)
            progress.step += 1
            total += loss * len(positions)
        else:
            number = 0
        if number:  # out of time in the middle: the checkpoint is behind the epoch before
            if not progress.history:
                raise OutOfTimeError(f"its first epoch was not done after batch {number - 1} of {batches}")
            break

        # Validate the averaged weights where there are any, because those are delivered.
        workers.share_buffers(network)
        averaged = average.module if average is not None else network
        outputs = predict(averaged, validation, config.batch_size, config.precision, device)  # (N, K)
        if not torch.isfinite(outputs).all():
            raise not_finite.outputs(epoch, config.learning_rate)
        val_loss, value = objective.evaluate(
            outputs,
            {name: target.cpu() for name, target in validation.targets.items()},
            validation.present.cpu(),
        )
        alone = _alone(averaged, objective, validation, inputs, config, device)
        val_loss, value, alone = workers.agree((val_loss, value, alone))
        # Record the epoch; its checkpoint is the last to be written, because it marks the epoch as done.
        result = Epoch(
            epoch=epoch,
            train_loss=total / len(training),
            val_loss=val_loss,
            metric=value,
            learning_rate=optimizer.param_groups[0]["lr"],
            seconds=time.perf_counter() - started,
            alone=alone,
            skipped=skipped,
        )
        progress.history.append(result)
        if workers.is_main:
            if stop is not None or best_epoch(progress.history, objective.metric) is result:
                save_tensors(folder / BEST, averaged.state_dict())
            checkpoint.save(folder / CHECKPOINT, network, objective, optimizer, average, progress)
        workers.wait()
        yield result
    # Hand back the best epoch, since the last one may have begun to overfit.
    network.load_state_dict(load_tensors(folder / BEST))
    network.eval()


@torch.inference_mode()
def predict(
    network: nn.Module,
    source: Source,
    batch_size: int,
    number_format: str,
    device: torch.device,
    column: int | None = None,
) -> Tensor:
    """Give the network's outputs (N, ...) float32 on the CPU for all rows of a source, in eval mode.

    With ``column``, the rows are those that have this input, given it alone. Workers of a process group share
    the batches, and all get all outputs.
    """
    workers = DistributedGroup()
    network.eval()
    rows = torch.arange(len(source)) if column is None else source.present[:, column].cpu().nonzero()[:, 0]
    parts = []  # of (b, ...) each
    for positions in rows.split(batch_size)[workers.rank :: workers.size]:
        parts.append(torch.cat(_outputs(network, source, positions, number_format, device, column)))
    return torch.cat(workers.collect(parts))


def _outputs(
    network: nn.Module,
    source: Source,
    positions: Tensor,
    number_format: str,
    device: torch.device,
    column: int | None,
) -> list[Tensor]:
    """Give the outputs of one batch, in halves if it does not fit into memory."""
    try:
        batch = source.batch(positions)
        present = batch.present
        if column is not None:
            present = torch.zeros_like(present)
            present[:, column] = True
        with precision(number_format, device):
            return [network(batch.inputs, present).float().cpu()]
    except RuntimeError as error:
        if not out_of_memory(error) or len(positions) == 1:
            raise
    halves = [
        _outputs(network, source, half, number_format, device, column) for half in positions.tensor_split(2)
    ]
    return [*halves[0], *halves[1]]


def _alone(
    network: nn.Module,
    objective: Objective,
    source: Source,
    inputs: Sequence[str],
    config: LoopConfig,
    device: torch.device,
) -> dict[str, float]:
    """Evaluate the network given each input alone, over the rows that have it: metric by name."""
    results, present = {}, source.present.cpu()
    for column, name in enumerate(inputs):
        rows = present[:, column]
        if not rows.any():
            continue
        outputs = predict(network, source, config.batch_size, config.precision, device, column)
        values = {target: value.cpu()[rows] for target, value in source.targets.items()}
        results[name] = objective.evaluate(outputs, values, present[rows])[1]
    return results


def _clear(optimizer: torch.optim.Optimizer, objective: Objective) -> None:
    """Forget all gradients."""
    optimizer.zero_grad(set_to_none=True)
    objective.zero_grad(set_to_none=True)


def best_epoch(history: Sequence[Epoch], metric_name: str) -> Epoch:
    """Find the first epoch with the best validation metric; the loss decides between equal ones."""
    return max(history, key=lambda epoch: rank(metric_name, epoch.metric, epoch.val_loss))


def is_over(history: Sequence[Epoch], config: LoopConfig, metric_name: str, stop: int | None) -> bool:
    """Tell if a training has had all its epochs; arguments as of :func:`train`."""
    if stop is not None:
        return len(history) >= stop
    if not history or config.patience is None:
        return len(history) >= config.epochs
    waited = len(history) - 1 - best_epoch(history, metric_name).epoch
    return len(history) >= config.epochs or waited >= config.patience


def _learning_rate(config: LoopConfig, step: int, steps: int) -> float:
    """Linear warm-up, then half a cosine to 0 (Loshchilov and Hutter 2017) or constant."""
    warmup = config.warmup * steps
    if step < warmup:
        return config.learning_rate * (step + 1) / (warmup + 1)
    if config.schedule == "constant":
        return config.learning_rate
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1.0, steps - warmup)))


def _ema(decay: float):  # type: ignore[no-untyped-def]  # the type of torch's avg_fn is not public
    def update(average: Tensor, value: Tensor, updates: Tensor | int) -> Tensor:
        now = min(decay, (1 + int(updates)) / (10 + int(updates)))  # young averages forget faster
        return average + (value - average) * (1 - now)

    return update


def _draw(seed: int, epoch: int) -> int:
    """Derive the seed of one epoch of one training."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint32)[0])
