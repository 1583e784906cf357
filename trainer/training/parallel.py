"""One model on many processes: divide the data, the parameters, or single matrices, with torch's DeviceMesh.

`torchrun --nproc-per-node N -m pipelines.cli train ...` sets the ranks; in one process nothing here is used. The mesh
has three axes, (replicate, shard, tensor). Only replicas use DDP; shards use FSDP2 (HSDP with replicas). The tensor
axis cuts matrices by columns or rows; the rows of the fused query-key-value matrix are ordered by head, so cutting rows
cuts heads.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from torch.nn.parallel import DistributedDataParallel

from roots.errors import SettingsError
from trainer.model.decoder import AlibiLM
from trainer.training.recipe import Recipe

_AXES = ("replicate", "shard", "tensor")


@dataclass(frozen=True)
class World:
    """The place of this process among all."""

    device: torch.device
    mesh: DeviceMesh | None = None
    rank: int = 0
    size: int = 1
    data_rank: int = 0  # which part of every batch this process computes
    data_size: int = 1
    started: bool = False  # whether this program opened the process group

    @property
    def first(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0

    def total(self, values: list[float]) -> list[float]:
        """Return the sums over all data ranks."""
        if self.mesh is None or self.data_size == 1:
            return values
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        for axis in _AXES[:2]:
            dist.all_reduce(tensor, group=self.mesh.get_group(axis))
        return [float(value) for value in tensor]

    def any(self, wish: bool) -> bool:
        """Whether any process wishes it, on whatever axis it is. All ranks must call it."""
        if self.size == 1:
            return wish
        tensor = torch.tensor(float(wish), device=self.device)
        dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return bool(tensor)

    def agreed(self, value: int) -> int:
        """Return the value of the first process: only it may look at files that it also writes."""
        if self.size > 1:
            held = [value]
            dist.broadcast_object_list(held, src=0, device=self.device)
            return held[0]
        return value

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.size > 1:
            dist.barrier()


def start(recipe: Recipe) -> World:
    """Join the other processes if torchrun started several.

    Raises SettingsError if replicate x shard x tensor is not their number, or a batch cannot be divided among them.
    """
    cuda = torch.cuda.is_available()
    local = int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device("cuda", local) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    size = int(os.environ.get("WORLD_SIZE", "1"))
    replicate = recipe.replicate or max(1, size // (recipe.shard * recipe.tensor))
    if replicate * recipe.shard * recipe.tensor != size:
        raise SettingsError(
            f"train: replicate {replicate} x shard {recipe.shard} x tensor {recipe.tensor} is not the number of "
            f"processes, {size}: start them with torchrun --nproc-per-node"
        )
    ranks = replicate * recipe.shard
    ramp = (recipe.ramp_rows, recipe.ramp_by) if recipe.ramp_rows else ()
    for rows in (recipe.rows, *ramp):  # a remainder would be read by no rank, without a word
        if rows % ranks:
            raise SettingsError(f"train: {rows} rows a batch (or of its ramp) cannot be divided by {ranks} ranks")
    if size == 1:
        return World(device)
    opened = not dist.is_initialized()
    if opened:
        dist.init_process_group("nccl" if cuda else "gloo")
    mesh = init_device_mesh(device.type, (replicate, recipe.shard, recipe.tensor), mesh_dim_names=_AXES)
    at = mesh.get_coordinate()
    assert at is not None
    return World(device, mesh, dist.get_rank(), size, at[0] * recipe.shard + at[1], replicate * recipe.shard, opened)


def stop(world: World) -> None:
    """Close the process group if this program opened it."""
    if world.started:
        dist.destroy_process_group()


def spread(model: AlibiLM, world: World, recipe: Recipe, bf16: bool) -> nn.Module:
    """Divide a model among the processes; call the returned module. The model keeps its parameter names."""
    mesh = world.mesh
    if mesh is not None and recipe.tensor > 1:
        _cut_matrices(model, mesh["tensor"])
    if recipe.compile:
        for block in model.blocks:
            block.compile()
    if mesh is None or world.data_size == 1:
        return model
    if recipe.shard == 1 and recipe.tensor == 1:
        return DistributedDataParallel(model, device_ids=[world.device.index] if world.device.type == "cuda" else None)
    policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32) if bf16 else MixedPrecisionPolicy()
    data = mesh[_AXES[:2]] if mesh["replicate"].size() > 1 else mesh["shard"]
    for block in model.blocks:
        fully_shard(block, mesh=data, mp_policy=policy)
    fully_shard(model, mesh=data, mp_policy=policy)
    return model


def _cut_matrices(model: AlibiLM, mesh: DeviceMesh) -> None:
    if model.shape.heads % mesh.size():
        raise SettingsError(f"train.tensor = {mesh.size()}: {model.shape.heads} heads cannot be divided by it")
    for block in model.blocks:
        parallelize_module(
            block,
            mesh,
            {
                "self_attention.query_key_value": ColwiseParallel(),
                "self_attention.dense": RowwiseParallel(),
                "mlp.dense_h_to_4h": ColwiseParallel(),
                "mlp.dense_4h_to_h": RowwiseParallel(),
            },
        )
        block.self_attention.part = (mesh.get_local_rank(), mesh.size())


@contextlib.contextmanager
def gathering(wrapped: nn.Module, last: bool) -> Iterator[None]:
    """Exchange gradients only with the last micro-batch of an update."""
    if isinstance(wrapped, DistributedDataParallel) and not last:
        with wrapped.no_sync():
            yield
    else:
        if isinstance(wrapped, FSDPModule):
            wrapped.set_requires_gradient_sync(last)
        yield


def clip_gradients(parameters: Iterable[nn.Parameter], limit: float) -> float:
    """Scale all gradients so that their common norm is at most `limit`; return the norm before.

    Parameters may be on different meshes: the norm is computed for each mesh, then for all.
    """
    groups: dict[object, list[Tensor]] = {}
    for parameter in parameters:
        if parameter.grad is not None:
            mesh = parameter.grad.device_mesh if isinstance(parameter.grad, DTensor) else None
            groups.setdefault(mesh, []).append(parameter.grad)
    norms = [gathered(torch.nn.utils.get_total_norm(grads)) for grads in groups.values()]
    norm = torch.stack(norms).norm()
    for grads in groups.values():
        torch._foreach_mul_(grads, float((limit / (norm + 1e-6)).clamp(max=1.0)))
    return float(norm)


def gathered(tensor: Tensor) -> Tensor:
    """Return a tensor whole, even if it is divided among ranks. All ranks must call it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def fill_tensor(target: Tensor, values: Tensor) -> None:
    """Write whole values into a tensor that may be divided among ranks."""
    with torch.no_grad():
        if isinstance(target, DTensor):
            values = distribute_tensor(values.to(target.device), target.device_mesh, target.placements)
        target.copy_(values)
