"""Where the rooms meet: structures, the skewed sweep and its reverse, control to cost and back."""
