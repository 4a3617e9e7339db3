"""Where parameters come from: a control vector becomes maps of parameters, and gradients come back the same way."""
