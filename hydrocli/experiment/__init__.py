"""One experiment from configuration to results: setup, stages, final simulation, evaluation."""
