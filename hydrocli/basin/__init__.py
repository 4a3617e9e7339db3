"""What is there: rasters, drainage network, gauges, forcing, descriptors. Files in, arrays over active cells out."""
