"""The app: pages on one's own machine that show runs, and start, watch and compare them.

`server.py` puts it together. A room is a module that holds a `Room`: its routes and its place in the navigation.
Nothing here is imported by the core, and Starlette only by `counterfeit app`.
"""
