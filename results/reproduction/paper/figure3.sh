# ViT-B/16, ImageNet, on v3:4x4: at least 9.3 core-days
python launch/tpu_vm.py train --name=imagenet-b-16 --zone=ZONE --type=v3-32 -- --config=configs/vit_i1k.py:variant=B/16 --workdir=gs://BUCKET/imagenet-b-16 --config.runtime.mesh=auto
# ViT-B/32, ImageNet, on v3:4x4: at least 2.1 core-days
python launch/tpu_vm.py train --name=imagenet-b-32 --zone=ZONE --type=v3-32 -- --config=configs/vit_i1k.py:variant=B/32 --workdir=gs://BUCKET/imagenet-b-32 --config.runtime.mesh=auto
# ViT-L/16, ImageNet, on v3:16x16: at least 42.4 core-days
python launch/tpu_vm.py train --name=imagenet-l-16 --zone=ZONE --type=v3-512 -- --config=configs/vit_i1k.py:variant=L/16 --workdir=gs://BUCKET/imagenet-l-16 --config.runtime.mesh=auto
# ViT-L/32, ImageNet, on v3:16x16: at least 22 core-days
python launch/tpu_vm.py train --name=imagenet-l-32 --zone=ZONE --type=v3-512 -- --config=configs/vit_i1k.py:variant=L/32 --workdir=gs://BUCKET/imagenet-l-32 --config.runtime.mesh=auto
# ViT-B/16, ImageNet-21k, on v3:4x4: at least 31.1 core-days
python launch/tpu_vm.py train --name=imagenet-21k-b-16 --zone=ZONE --type=v3-32 -- --config=configs/vit_i21k.py:variant=B/16 --workdir=gs://BUCKET/imagenet-21k-b-16 --config.runtime.mesh=auto
# ViT-B/32, ImageNet-21k, on v3:4x4: at least 7 core-days
python launch/tpu_vm.py train --name=imagenet-21k-b-32 --zone=ZONE --type=v3-32 -- --config=configs/vit_i21k.py:variant=B/32 --workdir=gs://BUCKET/imagenet-21k-b-32 --config.runtime.mesh=auto
# ViT-L/16, ImageNet-21k, on v3:16x16: at least 140.5 core-days
python launch/tpu_vm.py train --name=imagenet-21k-l-16 --zone=ZONE --type=v3-512 -- --config=configs/vit_i21k.py:variant=L/16 --workdir=gs://BUCKET/imagenet-21k-l-16 --config.runtime.mesh=auto
# ViT-L/32, ImageNet-21k, on v3:16x16: at least 72 core-days
python launch/tpu_vm.py train --name=imagenet-21k-l-32 --zone=ZONE --type=v3-512 -- --config=configs/vit_i21k.py:variant=L/32 --workdir=gs://BUCKET/imagenet-21k-l-32 --config.runtime.mesh=auto
# ViT-B/16, JFT-300M, on v3:4x4: at least 42.5 core-days
# JFT-300M is private to Google: python launch/tpu_vm.py train --name=jft-300m-b-16-epochs-7 --zone=ZONE --type=v3-32 -- --config=configs/vit_jft.py:variant=B/16,epochs=7 --workdir=gs://BUCKET/jft-300m-b-16-epochs-7 --config.runtime.mesh=auto
# ViT-B/32, JFT-300M, on v3:4x4: at least 10.6 core-days
# JFT-300M is private to Google: python launch/tpu_vm.py train --name=jft-300m-b-32-epochs-7 --zone=ZONE --type=v3-32 -- --config=configs/vit_jft.py:variant=B/32,epochs=7 --workdir=gs://BUCKET/jft-300m-b-32-epochs-7 --config.runtime.mesh=auto
# ViT-L/16, JFT-300M, on v3:16x16: at least 368.5 core-days
# JFT-300M is private to Google: python launch/tpu_vm.py train --name=jft-300m-l-16-epochs-14 --zone=ZONE --type=v3-512 -- --config=configs/vit_jft.py:variant=L/16,epochs=14 --workdir=gs://BUCKET/jft-300m-l-16-epochs-14 --config.runtime.mesh=auto
# ViT-L/32, JFT-300M, on v3:16x16: at least 106.5 core-days
# JFT-300M is private to Google: python launch/tpu_vm.py train --name=jft-300m-l-32-epochs-7 --zone=ZONE --type=v3-512 -- --config=configs/vit_jft.py:variant=L/32,epochs=7 --workdir=gs://BUCKET/jft-300m-l-32-epochs-7 --config.runtime.mesh=auto
# ViT-H/14, JFT-300M, on v3:16x32: at least 1,178.2 core-days
# JFT-300M is private to Google: python launch/tpu_vm.py train --name=jft-300m-h-14-epochs-14 --zone=ZONE --type=v3-1024 -- --config=configs/vit_jft.py:variant=H/14,epochs=14 --workdir=gs://BUCKET/jft-300m-h-14-epochs-14 --config.runtime.mesh=auto
python -m vit_jax sweep run --config=configs/sweeps/transfer.py:model=vit,variant=B/16,dataset=usual,checkpoint=gs://BUCKET/imagenet-b-16 --workdir=runs/imagenet-b-16
python -m vit_jax sweep run --config=configs/sweeps/transfer.py:model=vit,variant=B/32,dataset=usual,checkpoint=gs://BUCKET/imagenet-b-32 --workdir=runs/imagenet-b-32
python -m vit_jax sweep run --config=configs/sweeps/transfer.py:model=vit,variant=L/16,dataset=usual,checkpoint=gs://BUCKET/imagenet-l-16 --workdir=runs/imagenet-l-16
python -m vit_jax sweep run --config=configs/sweeps/transfer.py:model=vit,variant=L/32,dataset=usual,checkpoint=gs://BUCKET/imagenet-l-32 --workdir=runs/imagenet-l-32
python -m vit_jax sweep run --config=configs/sweeps/transfer.py:model=vit,variant=B/16,dataset=usual,checkpoint=gs://BUCKET/imagenet-21k-b-16 --workdir=runs/imagenet-21k-b-16
python -m vit_jax sweep run --config=configs/sweeps/transfer.py:model=vit,variant=B/32,dataset=usual,checkpoint=gs://BUCKET/imagenet-21k-b-32 --workdir=runs/imagenet-21k-b-32
python -m vit_jax sweep run --config=configs/sweeps/transfer.py:model=vit,variant=L/16,dataset=usual,checkpoint=gs://BUCKET/imagenet-21k-l-16 --workdir=runs/imagenet-21k-l-16
python -m vit_jax sweep run --config=configs/sweeps/transfer.py:model=vit,variant=L/32,dataset=usual,checkpoint=gs://BUCKET/imagenet-21k-l-32 --workdir=runs/imagenet-21k-l-32
