"""Tests; the folders mirror the package."""

import beartype

# Checks annotations as pyright reads them: an int will do for a float.
checked = beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))
