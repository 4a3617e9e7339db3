"""Optimisers: each is given a problem and nothing else.

All evaluations are recorded in a journal, so that an interrupted calibration resumes with identical results.
"""
