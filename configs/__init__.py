"""Recipes (`*.yaml`) and the schema that reads them."""
