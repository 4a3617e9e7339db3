"""How to improve a vector of numbers: every optimiser is given a problem and knows nothing else about it.

Whatever is evaluated goes through a journal, so that an interrupted calibration resumes to the same bits.
"""
