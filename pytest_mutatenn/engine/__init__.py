"""From a recipe, a cell and inputs to predictions: evaluation, sandbox and store."""
