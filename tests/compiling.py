"""How the tests compile: quickly, where they do not ask for speed."""

import jax

# jaxlib 0.12 has only the newer emitters, and aborts on flags that are unknown.
OLD_EMITTERS = jax.__version_info__ < (0, 11)
# Compiling for CPUs is most of the suite's time. Fewer optimisations save a
# third of it, and where tests ask for none, the older emitters of fused loops
# save half. Tests compare programs that are compiled alike.
FLAGS = "--xla_backend_optimization_level=1" + (
  " --xla_cpu_use_fusion_emitters=false" if OLD_EMITTERS else ""
)
# As users compile: the older emitters add long sums less exactly.
AS_USERS_DO = {"xla_cpu_use_fusion_emitters": True} if OLD_EMITTERS else {}
