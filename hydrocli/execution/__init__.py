"""How work is carried out: progress, signals, the machine's resources."""
