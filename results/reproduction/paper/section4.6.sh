python launch/tpu_vm.py train --name=masked-patch --zone=ZONE --type=v3-32 -- --config=configs/masked_patch_b16.py --workdir=gs://BUCKET/masked-patch --config.runtime.mesh=auto
python -m vit_jax sweep run --config=configs/sweeps/transfer.py:dataset=imagenet2012,checkpoint=gs://BUCKET/masked-patch --workdir=runs/masked-patch
