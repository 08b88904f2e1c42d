"""The score of VTAB-1k: means of the accuracies on its tasks."""

from collections.abc import Mapping

from vit_jax.core import errors
from vit_jax.data.sources import vtab


def means(accuracies: Mapping[str, float]) -> dict[str, float]:
  """The mean over all tasks, and over those of each group.

  "all" weighs each of the 19 tasks alike, not each group (of 7 natural, 4
  specialized and 8 structured tasks). Source: arXiv:1910.04867; Table 2 and
  Figure 2, arXiv:2010.11929, show these means.

  Args:
    accuracies: accuracy by task, see `vit_jax.data.sources.vtab.TASKS`.

  Raises:
    DataError: a task is missing, or unknown; a mean of fewer is no VTAB score.
  """
  missing = sorted(vtab.TASKS.keys() - accuracies.keys())
  unknown = sorted(accuracies.keys() - vtab.TASKS.keys())
  if missing or unknown:
    raise errors.DataError(
      f"VTAB-1k is {len(vtab.TASKS)} tasks;"
      f" missing: {', '.join(missing) or 'none'};"
      f" unknown: {', '.join(unknown) or 'none'}"
    )

  def mean(group: str) -> float:
    scores = [
      accuracies[name]
      for name, task in vtab.TASKS.items()
      if group in (task.group, "all")
    ]
    return sum(scores) / len(scores)

  return {group: mean(group) for group in (*vtab.GROUPS, "all")}
