"""What Coatcheck costs, measured beside the raw work and its peers: `python -m bench`, also `./dev bench`.

Every figure is compared with something measured in the same run; contestants take turns, so that a noisy neighbour hits
all of them alike. `rows/` ask the questions, `sides/` are Coatcheck and its peers on files of their own, `served/` the
same behind their servers. `results.json` keeps the figures, `reasons.toml` what people have to say of them, and
RESULTS.md and `plots/` show both. Nothing here is a test: no figure fails a build.
"""
