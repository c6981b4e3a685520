import sys
from pathlib import Path

# `python -m flows.…` searches the working directory first, and a yaml.py beside the data would be imported.
# Processes that braid starts have PYTHONSAFEPATH; where braid itself is in that directory, it stays.
if sys.argv[:1] == ["-m"] and not sys.flags.safe_path and Path(sys.path[0]) != Path(__file__).parents[1]:
    del sys.path[0]
