# ResNet50x1, JFT-300M, on v3:4x4: at least 13.9 core-days
# JFT-300M is private to Google: python launch/tpu_vm.py train --name=jft-300m-r50x1-epochs-7 --zone=ZONE --type=v3-32 -- --config=configs/vit_jft.py:variant=R50x1,epochs=7 --workdir=gs://BUCKET/jft-300m-r50x1-epochs-7 --config.runtime.mesh=auto
# ResNet50x1, JFT-300M, on v3:4x4: at least 13.7 core-days
# JFT-300M is private to Google: python launch/tpu_vm.py train --name=jft-300m-r50x1-epochs-7-optim-sgd --zone=ZONE --type=v3-32 -- --config=configs/vit_jft.py:variant=R50x1,epochs=7,optim=sgd --workdir=gs://BUCKET/jft-300m-r50x1-epochs-7-optim-sgd --config.runtime.mesh=auto
# ResNet152x2, JFT-300M, on v3:16x16: at least 571.8 core-days
# JFT-300M is private to Google: python launch/tpu_vm.py train --name=jft-300m-r152x2-epochs-7 --zone=ZONE --type=v3-512 -- --config=configs/vit_jft.py:variant=R152x2,epochs=7 --workdir=gs://BUCKET/jft-300m-r152x2-epochs-7 --config.runtime.mesh=auto
# ResNet152x2, JFT-300M, on v3:16x16: at least 555 core-days
# JFT-300M is private to Google: python launch/tpu_vm.py train --name=jft-300m-r152x2-epochs-7-optim-sgd --zone=ZONE --type=v3-512 -- --config=configs/vit_jft.py:variant=R152x2,epochs=7,optim=sgd --workdir=gs://BUCKET/jft-300m-r152x2-epochs-7-optim-sgd --config.runtime.mesh=auto
