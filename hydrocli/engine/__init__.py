"""The order of computation, the loops over cells and time, and what goes from controls to cost and back."""
