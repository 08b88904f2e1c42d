"""Checkpoints: our own runs, and every published format, in and out."""

from vit_jax.checkpoints.loaded import Loaded, Report
from vit_jax.checkpoints.loading import is_run, load
from vit_jax.checkpoints.saving import Saved, convert, save

__all__ = ["Loaded", "Report", "Saved", "convert", "is_run", "load", "save"]
