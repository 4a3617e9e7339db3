"""Many runs: which, in what order, by which workers, and their states."""
