"""The exercises, one module a notebook: EXERCISES, in the order of the notebook."""
