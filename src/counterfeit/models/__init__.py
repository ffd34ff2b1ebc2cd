"""The generators: named recipes, the objectives that they train by, their losses. Importing it imports no torch."""
