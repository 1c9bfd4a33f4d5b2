"""What Coatcheck costs, measured beside the raw work and its peers: `python -m bench`, also `./dev bench`.

Every figure is a ratio to something measured in the same run; contestants take turns, so that a noisy neighbour hits
all of them alike. Nothing here is a test: no figure fails a build.
"""
