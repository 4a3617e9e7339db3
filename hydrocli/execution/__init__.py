"""How work is carried out: log and progress, signals, the machine's resources, the pool of workers."""
