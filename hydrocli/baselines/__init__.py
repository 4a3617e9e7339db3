"""Pure machine learning and simple statistics as baselines: discharge of gauges from means over their catchments."""
