"""Deep canonical correlation analysis, and the linear step that ends it."""

from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional as F

from components.objectives.pairwise import Pairwise


class DCCA(Pairwise):
    """Total correlation of the canonical variates of two inputs, negated and divided by the width.

    Andrew et al. 2013, "Deep canonical correlation analysis", ICML, section 3: the trace norm of
    ``S11^-1/2 S12 S22^-1/2`` with ``r`` on the diagonals of S11 and S22. Here they are whitened by their
    Cholesky factors instead of by their roots: the singular values are the same and the slope is defined
    where eigenvalues coincide. The loss does not change if either input's space is turned, so
    the spaces are brought together afterwards: see :func:`canonical_maps`.

    Args:
        regularisation: r.
    """

    def __init__(self, regularisation: float) -> None:
        super().__init__()
        self.regularisation = regularisation

    def pair(self, x: Tensor, y: Tensor, together: Tensor) -> Tensor:
        x, y = (z.double() - z.double().mean(0) for z in (x, y))  # (B, W)
        ridge = self.regularisation * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        rows = len(x) - 1
        one, other = (torch.linalg.cholesky(z.T @ z / rows + ridge) for z in (x, y))
        half = torch.linalg.solve_triangular(one, x.T @ y / rows, upper=False)
        whitened = torch.linalg.solve_triangular(other, half.T, upper=False)  # (W, W)
        return (-torch.linalg.svdvals(whitened).sum() / x.shape[1]).float()

    def comparable(self, outputs: Tensor, present: Tensor) -> Tensor:
        """Each half of the rows in the space that the other half shows, so that no row judges itself."""
        result, first = torch.zeros_like(outputs), torch.arange(len(outputs), device=outputs.device) % 2 == 0
        for half in (first, ~first):
            maps, centres = canonical_maps(outputs[~half], present[~half], self.regularisation)
            result[half] = torch.einsum("nmw,mwv->nmv", outputs[half] - centres, maps)
        return F.normalize(result, dim=-1)


def canonical_maps(outputs: Tensor, present: Tensor, regularisation: float) -> tuple[Tensor, Tensor]:
    """Compute linear maps of each input's vectors into one space, where those of a row correlate most.

    They are the generalised eigenvectors of all inputs' covariance matrix against its diagonal blocks
    (Kettenring 1971); for two inputs they are the canonical directions. They are scaled by their correlation,
    so that directions in which nothing is shared do not count (Gong et al. 2014,
    https://arxiv.org/abs/1212.4522, section 3.2, with exponent 1). A block is estimated on the
    rows that have both of its inputs.

    Args:
        outputs: (N, M, W).
        present: (N, M) bool.
        regularisation: Added to the diagonal.

    Returns:
        Maps (M, W, W) and centres (M, W), such that ``(outputs[:, m] - centres[m]) @ maps[m]`` is in the
        shared space.
    """
    _, inputs, width = outputs.shape
    x = outputs.double()
    weight = present.double().unsqueeze(2)  # (N, M, 1)
    centres = (x * weight).sum(0) / weight.sum(0).clamp(min=1)  # (M, W)
    x = torch.where(present.unsqueeze(2), x - centres, 0.0)
    within = torch.zeros(inputs * width, inputs * width, dtype=x.dtype, device=x.device)
    parts = [slice(m * width, (m + 1) * width) for m in range(inputs)]
    for m, part in enumerate(parts):
        ridge = regularisation * torch.eye(width, dtype=x.dtype, device=x.device)
        within[part, part] = x[:, m].T @ x[:, m] / present[:, m].sum().clamp(min=1) + ridge
    whole = within.clone()
    for one, other in combinations(range(inputs), 2):
        both = (present[:, one] & present[:, other]).sum().clamp(min=1)
        whole[parts[one], parts[other]] = x[:, one].T @ x[:, other] / both
        whole[parts[other], parts[one]] = whole[parts[one], parts[other]].T
    factor = torch.linalg.cholesky(within)
    half = torch.linalg.solve_triangular(factor, whole, upper=False)
    values, vectors = torch.linalg.eigh(torch.linalg.solve_triangular(factor, half.T, upper=False))
    values, vectors = values[-width:].flip(0), vectors[:, -width:].flip(1)
    correlation = ((values - 1) / (inputs - 1)).clamp(min=0)  # 1 where all inputs say the same
    maps = torch.linalg.solve_triangular(factor.T, vectors, upper=True) * correlation  # (M W, W)
    return maps.reshape(inputs, width, width).to(outputs.dtype), centres.to(outputs.dtype)
