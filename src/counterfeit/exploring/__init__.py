"""To look into a trained model: where its latents lead, and which training images its images are near to."""

from counterfeit.exploring.explorer import Explorer as Explorer
