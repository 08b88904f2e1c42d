"""How long several processes wait for one another; every such wait is here."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Timeouts:
  """In whole seconds; nothing hangs longer.

  Attributes:
    initialization: until all processes have connected.
    heartbeat: without a sign of life, of a dead host or a lost network.
    progress: without a step, a batch of an evaluation or an agreement, on a
      host whose storage hangs. Opening the data, restoring and compiling have
      to fit in.
    save: until all have come to a save, and until all have written it.
    shutdown: for the others at the very end.
  """

  initialization: int = 300
  heartbeat: int = 60
  progress: int = 1800
  save: int = 600
  shutdown: int = 60
