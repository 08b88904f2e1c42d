# ViT-H/14, JFT-300M, on v3:16x32: at least 1,178.2 core-days
# JFT-300M is private to Google: python launch/tpu_vm.py train --name=jft-300m-h-14-epochs-14 --zone=ZONE --type=v3-1024 -- --config=configs/vit_jft.py:variant=H/14,epochs=14 --workdir=gs://BUCKET/jft-300m-h-14-epochs-14 --config.runtime.mesh=auto
# ViT-L/16, JFT-300M, on v3:16x16: at least 368.5 core-days
# JFT-300M is private to Google: python launch/tpu_vm.py train --name=jft-300m-l-16-epochs-14 --zone=ZONE --type=v3-512 -- --config=configs/vit_jft.py:variant=L/16,epochs=14 --workdir=gs://BUCKET/jft-300m-l-16-epochs-14 --config.runtime.mesh=auto
# ViT-L/16, ImageNet-21k, on v3:16x16: at least 140.5 core-days
python launch/tpu_vm.py train --name=imagenet-21k-l-16 --zone=ZONE --type=v3-512 -- --config=configs/vit_i21k.py:variant=L/16 --workdir=gs://BUCKET/imagenet-21k-l-16 --config.runtime.mesh=auto
python -m vit_jax sweep run --config=configs/sweeps/transfer.py:model=vit,variant=L/16,dataset=vtab,checkpoint=gs://BUCKET/imagenet-21k-l-16 --workdir=runs/imagenet-21k-l-16
