"""How things show themselves in a notebook: images as a grid, tables as HTML, curves and scores as figures."""
