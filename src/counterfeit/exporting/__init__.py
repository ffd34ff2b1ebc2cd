"""Files that make a run's images without us: ONNX, .pt2, a page for a browser; each proved before it is kept."""

from counterfeit.exporting.exported import export

__all__ = ["export"]
