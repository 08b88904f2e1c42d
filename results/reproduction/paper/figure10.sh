python -m vit_jax analyze --checkpoint=CHECKPOINT --images=DIR --out=DIR
