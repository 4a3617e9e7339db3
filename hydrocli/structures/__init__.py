"""One file per cell model."""
