"""From images to a score: compute features once, apply every metric, and write a receipt of how it was measured."""

from counterfeit.scoring import judge
from counterfeit.scoring.images import Images
from counterfeit.scoring.score import Score, Scored
from counterfeit.scoring.scorer import Scorer

__all__ = ["Images", "Score", "Scored", "Scorer", "judge"]
