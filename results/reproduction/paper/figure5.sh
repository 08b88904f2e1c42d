# ViT-B/32, JFT-300M, on v3:4x4: at least 10.6 core-days
# JFT-300M is private to Google: python launch/tpu_vm.py train --name=jft-300m-b-32-epochs-7 --zone=ZONE --type=v3-32 -- --config=configs/vit_jft.py:variant=B/32,epochs=7 --workdir=gs://BUCKET/jft-300m-b-32-epochs-7 --config.runtime.mesh=auto
# ViT-B/16, JFT-300M, on v3:4x4: at least 42.5 core-days
# JFT-300M is private to Google: python launch/tpu_vm.py train --name=jft-300m-b-16-epochs-7 --zone=ZONE --type=v3-32 -- --config=configs/vit_jft.py:variant=B/16,epochs=7 --workdir=gs://BUCKET/jft-300m-b-16-epochs-7 --config.runtime.mesh=auto
# ViT-L/32, JFT-300M, on v3:16x16: at least 106.5 core-days
# JFT-300M is private to Google: python launch/tpu_vm.py train --name=jft-300m-l-32-epochs-7 --zone=ZONE --type=v3-512 -- --config=configs/vit_jft.py:variant=L/32,epochs=7 --workdir=gs://BUCKET/jft-300m-l-32-epochs-7 --config.runtime.mesh=auto
# ViT-L/16, JFT-300M, on v3:16x16: at least 184.2 core-days
# JFT-300M is private to Google: python launch/tpu_vm.py train --name=jft-300m-l-16-epochs-7 --zone=ZONE --type=v3-512 -- --config=configs/vit_jft.py:variant=L/16,epochs=7 --workdir=gs://BUCKET/jft-300m-l-16-epochs-7 --config.runtime.mesh=auto
# ViT-L/16, JFT-300M, on v3:16x16: at least 368.5 core-days
# JFT-300M is private to Google: python launch/tpu_vm.py train --name=jft-300m-l-16-epochs-14 --zone=ZONE --type=v3-512 -- --config=configs/vit_jft.py:variant=L/16,epochs=14 --workdir=gs://BUCKET/jft-300m-l-16-epochs-14 --config.runtime.mesh=auto
# ViT-H/14, JFT-300M, on v3:16x32: at least 1,178.2 core-days
# JFT-300M is private to Google: python launch/tpu_vm.py train --name=jft-300m-h-14-epochs-14 --zone=ZONE --type=v3-1024 -- --config=configs/vit_jft.py:variant=H/14,epochs=14 --workdir=gs://BUCKET/jft-300m-h-14-epochs-14 --config.runtime.mesh=auto
# ResNet50x1, JFT-300M, on v3:4x4: at least 13.9 core-days
# JFT-300M is private to Google: python launch/tpu_vm.py train --name=jft-300m-r50x1-epochs-7 --zone=ZONE --type=v3-32 -- --config=configs/vit_jft.py:variant=R50x1,epochs=7 --workdir=gs://BUCKET/jft-300m-r50x1-epochs-7 --config.runtime.mesh=auto
# ResNet50x2, JFT-300M, on v3:8x8: at least 37.5 core-days
# JFT-300M is private to Google: python launch/tpu_vm.py train --name=jft-300m-r50x2-epochs-7 --zone=ZONE --type=v3-128 -- --config=configs/vit_jft.py:variant=R50x2,epochs=7 --workdir=gs://BUCKET/jft-300m-r50x2-epochs-7 --config.runtime.mesh=auto
# ResNet101x1, JFT-300M, on v3:8x8: at least 35.7 core-days
# JFT-300M is private to Google: python launch/tpu_vm.py train --name=jft-300m-r101x1-epochs-7 --zone=ZONE --type=v3-128 -- --config=configs/vit_jft.py:variant=R101x1,epochs=7 --workdir=gs://BUCKET/jft-300m-r101x1-epochs-7 --config.runtime.mesh=auto
# ResNet152x1, JFT-300M, on v3:16x16: at least 161.9 core-days
# JFT-300M is private to Google: python launch/tpu_vm.py train --name=jft-300m-r152x1-epochs-7 --zone=ZONE --type=v3-512 -- --config=configs/vit_jft.py:variant=R152x1,epochs=7 --workdir=gs://BUCKET/jft-300m-r152x1-epochs-7 --config.runtime.mesh=auto
# ResNet152x2, JFT-300M, on v3:16x16: at least 571.8 core-days
# JFT-300M is private to Google: python launch/tpu_vm.py train --name=jft-300m-r152x2-epochs-7 --zone=ZONE --type=v3-512 -- --config=configs/vit_jft.py:variant=R152x2,epochs=7 --workdir=gs://BUCKET/jft-300m-r152x2-epochs-7 --config.runtime.mesh=auto
# R50x1+ViT-B/32, JFT-300M, on v3:4x4: at least 22.1 core-days
# JFT-300M is private to Google: python launch/tpu_vm.py train --name=jft-300m-r50-b-32-epochs-7 --zone=ZONE --type=v3-32 -- --config=configs/vit_jft.py:variant=R50+B/32,epochs=7 --workdir=gs://BUCKET/jft-300m-r50-b-32-epochs-7 --config.runtime.mesh=auto
# R50x1+ViT-B/16, JFT-300M, on v3:8x8: at least 62.6 core-days
# JFT-300M is private to Google: python launch/tpu_vm.py train --name=jft-300m-r50-b-16-epochs-7 --zone=ZONE --type=v3-128 -- --config=configs/vit_jft.py:variant=R50+B/16,epochs=7 --workdir=gs://BUCKET/jft-300m-r50-b-16-epochs-7 --config.runtime.mesh=auto
# R50x1+ViT-L/32, JFT-300M, on v3:16x16: at least 132 core-days
# JFT-300M is private to Google: python launch/tpu_vm.py train --name=jft-300m-r50-l-32-epochs-7 --zone=ZONE --type=v3-512 -- --config=configs/vit_jft.py:variant=R50+L/32,epochs=7 --workdir=gs://BUCKET/jft-300m-r50-l-32-epochs-7 --config.runtime.mesh=auto
# R50x1+ViT-L/16, JFT-300M, on v3:16x16: at least 209.1 core-days
# JFT-300M is private to Google: python launch/tpu_vm.py train --name=jft-300m-r50-l-16-epochs-7 --zone=ZONE --type=v3-512 -- --config=configs/vit_jft.py:variant=R50+L/16,epochs=7 --workdir=gs://BUCKET/jft-300m-r50-l-16-epochs-7 --config.runtime.mesh=auto
# R50x1+ViT-L/16, JFT-300M, on v3:16x16: at least 418.3 core-days
# JFT-300M is private to Google: python launch/tpu_vm.py train --name=jft-300m-r50-l-16-epochs-14 --zone=ZONE --type=v3-512 -- --config=configs/vit_jft.py:variant=R50+L/16,epochs=14 --workdir=gs://BUCKET/jft-300m-r50-l-16-epochs-14 --config.runtime.mesh=auto
