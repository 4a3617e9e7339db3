"""One file per cell model, and in `routings` one per routing."""
