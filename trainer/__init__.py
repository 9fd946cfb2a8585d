"""Where a recipe, a table, a model and a run meet: what train.py is made of."""
