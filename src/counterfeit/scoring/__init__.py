"""From images to a score: features once, every metric on them, and a receipt of how it was measured."""

from counterfeit.scoring import judge
from counterfeit.scoring.images import Images
from counterfeit.scoring.score import Score, Scored
from counterfeit.scoring.scorer import Scorer

__all__ = ["Images", "Score", "Scored", "Scorer", "judge"]
