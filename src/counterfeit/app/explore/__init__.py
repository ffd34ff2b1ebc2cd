"""Explore: walk through the latents of a trained model, morph images, encode drawings, find nearest training images."""
