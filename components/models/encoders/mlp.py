"""Feed-forward network for tables, from scratch."""

import torch
from torch import Tensor, nn

from components.models.encoders.protocol import Encoder


class CategoryTable(nn.Module):
    """Vectors of the categories of several columns, in one table.

    The first code (missing) and the last (unseen) start at zero: where training never shows them, they stay
    neutral.

    Args:
        cardinalities: number of codes of each column, code 0 included.
        width: length of a category's vector.
    """

    offsets: Tensor

    def __init__(self, cardinalities: list[int], width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(sum(cardinalities), width)
        nn.init.normal_(self.table.weight, std=width**-0.5)
        starts = torch.tensor([0, *cardinalities[:-1]]).cumsum(0)
        with torch.no_grad():
            self.table.weight[starts] = 0
            self.table.weight[torch.tensor(cardinalities).cumsum(0) - 1] = 0
        self.register_buffer("offsets", starts, persistent=False)

    def forward(self, codes: Tensor) -> Tensor:
        """Codes float (B, c) to (B, c, width)."""
        vectors: Tensor = self.table(codes.long() + self.offsets)
        return vectors


class MLP(Encoder):
    """Numbers, missing flags and category vectors side by side through hidden layers.

    Args:
        width: length D of the embedding.
        numeric: number n of numeric columns.
        cardinalities: number of codes of each category column, code 0 included.
        hidden: units of each hidden layer; none makes the network linear.
        dropout: share of values zeroed after each hidden layer.
        category_width: length of a category's vector.
    """

    def __init__(
        self,
        width: int,
        numeric: int,
        cardinalities: list[int],
        hidden: list[int],
        dropout: float,
        category_width: int = 16,
    ) -> None:
        super().__init__(width)
        self.numeric = numeric
        self.categories = CategoryTable(cardinalities, category_width) if cardinalities else None
        units = 2 * numeric + category_width * len(cardinalities)
        layers: list[nn.Module] = []
        for after in hidden:
            layers += [nn.Linear(units, after), nn.LayerNorm(after), nn.GELU(), nn.Dropout(dropout)]
            units = after
        self.layers = nn.Sequential(*layers, nn.Linear(units, width))

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Values float (B, 2n + c) to (B, D)."""
        values = batch["values"]
        x = values[:, : 2 * self.numeric]
        if self.categories is not None:
            x = torch.cat([x, self.categories(values[:, 2 * self.numeric :]).flatten(1)], dim=1)
        embedding: Tensor = self.layers(x)  # (B, D)
        return embedding
