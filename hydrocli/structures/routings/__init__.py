"""One file per routing: how water moves from cell to cell."""
