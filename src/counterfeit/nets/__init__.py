"""Architectures as pairs: an encoder maps an image to a vector, a decoder maps a vector to an image.

Most models use these two maps: an encoder or a discriminator is image -> vector, a decoder or a generator is vector ->
image. Networks return raw values (no sigmoid, no tanh), since only the model knows their meaning.

Letters: B batch, C channels, H and W height and width, Z latent length, K classes (0: not conditional).
"""

from counterfeit.nets import dcgan, infogan, mlp, sngan, sngan_resnet
from counterfeit.nets.batch_norm import share_batch_norm
from counterfeit.nets.pair import NETS, Pair, Shape

__all__ = ["NETS", "Pair", "Shape", "dcgan", "infogan", "mlp", "share_batch_norm", "sngan", "sngan_resnet"]
