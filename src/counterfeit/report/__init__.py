"""The report: one HTML file from the records of a comparison and PNG files. No tensor reaches it.

It opens from the disk, asks the network for nothing, needs no JavaScript, and stays under 5 MB for up to some 80 runs.
"""

from counterfeit.report.render import render

__all__ = ["render"]
