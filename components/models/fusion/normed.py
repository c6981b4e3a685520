"""Base of the fusions that normalise every input's embedding first."""

from collections.abc import Mapping

from torch import Tensor, nn

from components.models.fusion.masking import as_tokens, as_vector, hide_absent
from components.models.fusion.protocol import Fusion


class NormedFusion(Fusion):
    """Fusion with a layer norm per input.

    Args:
        widths: Length D_m of each input's embedding.
        width: Length of the fused vector.
    """

    projections: nn.ModuleDict

    def __init__(self, widths: Mapping[str, int], width: int) -> None:
        super().__init__()
        self.inputs = tuple(sorted(widths))
        self.width = width
        self.norms = nn.ModuleDict({name: nn.LayerNorm(widths[name]) for name in self.inputs})

    def vectors(self, embeddings: Mapping[str, Tensor], present: Tensor) -> dict[str, Tensor]:
        """Normalise each embedding as one vector (B, D_m), zeros where the input is absent."""
        hidden = hide_absent(embeddings, present, self.inputs)
        return {
            name: self.norms[name](as_vector(hidden[name])) * present[:, [column]]
            for column, name in enumerate(self.inputs)
        }

    def tokens(self, embeddings: Mapping[str, Tensor], present: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """Normalise and project the tokens of each input: (B, T_m, W), and (B, T_m) bool for the real ones.

        An absent input keeps one token.
        """
        tokens = {}
        for name, embedding in hide_absent(embeddings, present, self.inputs).items():
            value, real = as_tokens(embedding)
            tokens[name] = self.projections[name](self.norms[name](value)), real
        return tokens
