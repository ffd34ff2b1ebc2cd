"""torch-fidelity's own command, `fidelity`, where torchvision needs help to load; see without_cuda.py."""

import without_cuda  # noqa: F401  isort: skip

from torch_fidelity.fidelity import main

if __name__ == "__main__":
    main()
