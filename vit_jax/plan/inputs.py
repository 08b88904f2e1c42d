"""Made-up data of the shapes of a config's data, which need not be here."""

import dataclasses

from vit_jax.core import errors
from vit_jax.core.duration import Duration
from vit_jax.data import base as sources, slices
from vit_jax.datasets import catalog
from vit_jax.train import experiment as experiment_lib

# Length of a run in epochs if the size of its data set is not known.
_STEPS = 1_000_000


@dataclasses.dataclass(frozen=True)
class Planned:
  """A config that can be built without its data.

  Attributes:
    experiment: the config with made-up data and without evaluators.
    inputs: the made-up data.
    steps: length of the run; 0 if unknown.
  """

  experiment: experiment_lib.Experiment
  inputs: experiment_lib.Inputs
  steps: int


def make_up(experiment: experiment_lib.Experiment, examples: int) -> Planned:
  """Replaces a config's data.

  Args:
    experiment: the config.
    examples: size of its training split; 0 takes that of the data set if it is
      here, else the published size.

  Raises:
    ConfigError: the preprocessing does not fit the model.
  """
  split, model = experiment.data.train, experiment.model
  examples = examples or _known_examples(experiment)
  h, w = model.image_size
  name = f"synthetic:{examples or 1}x{h}x{w}x3x{model.num_classes or 1}"
  unknown = not examples and experiment.duration.unit == "epochs"
  duration = Duration(_STEPS, "steps") if unknown else experiment.duration
  made_up = dataclasses.replace(
    experiment,
    duration=duration,
    evals={},
    data=dataclasses.replace(
      experiment.data,
      train=dataclasses.replace(split, name=name, split="train"),
    ),
  )
  inputs = experiment_lib.open_inputs(made_up)
  steps = 0 if unknown else inputs.lengths["total_steps"]
  return Planned(made_up, inputs, steps)


def _known_examples(experiment: experiment_lib.Experiment) -> int:
  split = experiment.data.train
  try:
    return len(
      sources.open_source(split.name, split.split, experiment.runtime.data_dir)
    )
  except errors.UserError:
    # The data set is not here; perhaps its size was published.
    facts = catalog.facts(split.name)
  if not facts or split.split.partition("[")[0] not in facts.splits:
    return 0
  _, start, stop = slices.parse(split.split, facts.splits)
  return stop - start
