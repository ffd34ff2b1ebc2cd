"""Architectures as pairs: an image read into a vector, and a vector painted as an image.

Most models use the same two shapes: the encoder and the discriminator are image -> vector, the decoder and the
generator are vector -> image. Nets return raw values (no sigmoid, no tanh): the model knows what they mean.

Letters: B batch, C channels, H and W height and width, Z latent length, K classes (0: not conditional).
"""

from counterfeit.nets import dcgan, mlp
from counterfeit.nets.batch_norm import share_batch_norm
from counterfeit.nets.pair import NETS, Pair, Shape

__all__ = ["NETS", "Pair", "Shape", "dcgan", "mlp", "share_batch_norm"]
