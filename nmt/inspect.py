"""Pictures of what a model does: a function for each `nmt inspect WHAT`, for Python and notebooks.

    import nmt

    nmt.inspect.attention("runs/captions", "Ein Hund schläft auf dem Sofa.").save("attention.svg")

`model` is a model folder, a run folder, a hub id or the name of a bundled model. Each function returns an
`Inspection`, which shows its page in a notebook, and has `figure`, `summary`, `numbers` and `save`.
"""

from nmt.inspection.attention import attention
from nmt.inspection.bottleneck import bottleneck
from nmt.inspection.context import context
from nmt.inspection.embeddings import embeddings
from nmt.inspection.gates import gates
from nmt.inspection.gradient_flow import gradient_flow
from nmt.inspection.pages import Inspection
from nmt.inspection.search import search
from nmt.inspection.steps import steps
from nmt.inspection.watching import Source

__all__ = [
    "Inspection", "Source",
    "attention", "bottleneck", "context", "embeddings", "gates", "gradient_flow", "search", "steps",
]  # fmt: skip
