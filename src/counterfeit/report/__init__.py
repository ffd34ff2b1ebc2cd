"""The report: one HTML file, built from the records of a comparison and PNG files. It never touches a tensor.

The page opens from disk, makes no network requests, needs no JavaScript, and stays under 5 MB for up to about 80 runs.
"""

from counterfeit.report.render import render

__all__ = ["render"]
