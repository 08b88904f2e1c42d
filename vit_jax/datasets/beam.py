"""Writes shards as an Apache Beam pipeline, on one machine or many."""

from collections.abc import Sequence
import shlex

from vit_jax.core import errors
from vit_jax.datasets import shards


def run(jobs: Sequence[shards.Job], options: str) -> None:
  """Writes shards; all workers of the pipeline must see the same files.

  Its options are text, such as "--runner=DirectRunner".

  Raises:
    ConfigError: Beam is not installed, or does not know an option.
    DataError: the pipeline failed.
  """
  try:
    import apache_beam
    from apache_beam.options import pipeline_options
  except ImportError as e:
    raise errors.ConfigError(
      "{beam} needs Apache Beam: pip install 'vit_jax[beam]'", {"beam": options}
    ) from e
  try:
    parsed = pipeline_options.PipelineOptions(shlex.split(options))
    if not parsed.get_all_options(drop_default=True):
      raise ValueError("these are not options of a pipeline")
    pipeline = apache_beam.Pipeline(options=parsed)
  except ValueError as e:
    raise errors.ConfigError(
      f"{{beam}}: {' '.join(str(e).split())[:300]}", {"beam": options}
    ) from e
  _ = (
    pipeline
    | apache_beam.Create(list(jobs))
    # Otherwise one worker would get all of them.
    | apache_beam.Reshuffle()
    | apache_beam.Map(shards.write)
  )
  try:
    pipeline.run().wait_until_finish()
  except RuntimeError as e:
    reason = " ".join(str(e).split())
    raise errors.DataError(f"the pipeline failed: {reason[-300:]}") from e
