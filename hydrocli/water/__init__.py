"""How water moves in one cell in one step: scalars in, tuple out, the adjoint beneath each forward."""
