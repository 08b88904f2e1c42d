"""ViT-B/16 pre-trained without labels: masked patch prediction.

Source: Section 4.6 and Appendix B.1.2 of arXiv:2010.11929: half of the patch
  embeddings corrupted (80 % a learned mask, 10 % another patch's, 10 % kept),
  the mean colour of each corrupted patch predicted with 3 bits per channel;
  Adam, 1M steps (about 14 epochs of JFT), batch 4096, peak rate 2e-4, 10k steps
  of warm-up, cosine decay. Crops and flips as for classification (issue 103 of
  google-research/vision_transformer).
Expected: 79.9 on ImageNet, pre-trained on JFT and fine-tuned at 384 px; 2
  points above training from scratch, 4 below supervised pre-training. 100k
  steps, or ImageNet instead of JFT, gave similar gains (Appendix B.1.2).
Cost: not printed; by FLOPs 2,530 TPUv3 chip-hours for 1M steps, 250 for 100k.
Data: JFT-300M is private to Google, so ImageNet is used instead; only the
  few-shot evaluation uses its labels.
  python -m vit_jax data prepare tfds:imagenet2012
Run: python -m vit_jax train
  --config=configs/masked_patch_b16.py:steps=100000 --workdir=runs/masked_patch

Arguments: steps=1000000, target=mean_colour (or small_patch: the colours of
4 x 4 parts of each patch; or pixels: least squares, which the paper found
slightly worse), corrupted=0.5 (0.15 was slightly worse), data=tfds:imagenet2012
and train=train (any data set and its split), seed=0.

Fine-tune the result like any other checkpoint, with
configs/transfer.py:dataset=imagenet2012,checkpoint=runs/masked_patch; the
prediction head and the mask embedding are left out.

Differs from the paper in using bfloat16, and possibly in the weight decay,
which the paper does not print: here 0.1, as in its JFT rows. Few-shot accuracy
uses the mean of the patches, since nothing trains the output at the class
token.
"""

from vit_jax.core import config, errors
from vit_jax.evals import fewshot
from vit_jax.models import vit
from vit_jax.tasks import masked_patch
from vit_jax.train.experiment import Experiment


def get_config(arg: str = "") -> config.ConfigDict:
  args = config.parse_arg(
    arg,
    steps=1_000_000,
    target="mean_colour",
    corrupted=0.5,
    data="tfds:imagenet2012",
    train="train",
    seed=0,
  )
  errors.check_one_of("target", args.target, (*masked_patch.SIDES, "pixels"))
  c = config.to_config_dict(
    Experiment(
      model=vit.variant(
        "B/16", num_classes=0, pool="patches", dtype="bfloat16"
      ),
      task=masked_patch.Config(target=args.target, corrupted=args.corrupted),
      evals={"imagenet": fewshot.Config()},
    )
  )
  c.seed = args.seed
  c.duration = f"{args.steps} steps"
  c.data.batch_size = 4096
  c.data.train.name = args.data
  c.data.train.split = args.train
  c.data.train.preprocess = (
    "decode|inception_crop(224)|flip_lr|keep('image')|value_range(-1, 1)"
  )
  few = c.evals.imagenet
  few.train.name = few.data.name = "tfds:imagenet2012"
  few.train.split, few.data.split = "train", "validation"
  few.train.preprocess = few.data.preprocess = (
    "decode|resize_small(256)|central_crop(224)|keep('image', 'label')"
    "|value_range(-1, 1)"
  )
  few.shots = (1, 5, 10)
  few.batch_size = 1024
  c.optim.peak_lr = 2e-4
  c.optim.weight_decay = 0.1
  c.optim.schedule.decay = "cosine"
  c.optim.schedule.warmup = "10_000 steps"
  c.runtime.save_every = "1_000 steps"
  return c
