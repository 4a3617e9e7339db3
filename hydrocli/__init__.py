"""hydrocli: batch calibration of spatially distributed, hybrid physics-AI flood models."""

__version__ = "0.1.0"
