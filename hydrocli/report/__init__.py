"""Reports: one page for a run, one page for a comparison of runs, and their figures as files.

Only run folders are read, through `hydrocli.results`, so everything here can be drawn again without a model. Each
module has functions that turn tables into the numbers of a figure, and functions that draw these numbers; tests read
the numbers back from the artists.
"""
