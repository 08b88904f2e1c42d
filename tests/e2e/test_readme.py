"""What the README tells people to type works."""

import re
import shlex

from tests.e2e import own_folder, run as cli
from vit_jax.cli import flags, main
from vit_jax.core import config as config_lib
from vit_jax.models import vit
from vit_jax.sweeps import sweep
from vit_jax.train.experiment import Experiment

TEXT = (cli.ROOT / "README.md").read_text()


def commands():
  for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL):
    for line in block.replace("\\\n", " ").splitlines():
      words = shlex.split(line.removesuffix("&"), comments=True)
      while words and re.match(r"[A-Z_]+=", words[0]):
        words.pop(0)
      if words[:3] == ["python", "-m", "vit_jax"]:
        yield words[3:]


def test_every_command_is_accepted(monkeypatch, tmp_path):
  # Where the files are that the commands name.
  (tmp_path / "configs").symlink_to(cli.ROOT / "configs")
  own_folder.photos(tmp_path / "photos")
  own_folder.save(tmp_path / "B_16.npz", vit.Model(own_folder.VIT), "npz")
  monkeypatch.chdir(tmp_path)
  seen = set()
  for words in commands():
    args, rest = main.parser().parse_known_args(words)
    args.overrides = rest
    seen.add(args.command)
    if args.command == "sweep":
      path, _, arg = args.config.partition(":")
      assert sweep.load(path, arg).runs
    elif getattr(args, "config", ""):
      config_lib.build(Experiment, flags.load(args))
    else:
      flags.refuse_rest(args)
  assert seen == set(main.commands())


def test_make_targets_exist():
  makefile = (cli.ROOT / "Makefile").read_text()
  targets = set(re.findall(r"^make (\w+)", TEXT, re.MULTILINE))
  assert targets == {"quickstart", "test"}
  for target in targets:
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_python_snippet():
  (snippet,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
  small = snippet.replace('variant="B/16"', 'variant="Ti/16", depth=2')
  scope = {}
  exec(small, scope)
  shapes = {name: x.shape for name, x in scope["out"].items()}
  assert shapes["logits"] == (1, 1000)
  assert shapes["grid"] == (1, 14, 14, 192)
  assert shapes["attention"] == (2, 1, 3, 197, 197)


def test_linked_files_exist():
  for link in re.findall(r"\]\(([^)#:]+)\)", TEXT):
    assert (cli.ROOT / link).exists(), link
