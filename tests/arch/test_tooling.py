"""One truth about dependencies and checks."""

from importlib import metadata
import itertools
import re
import shlex
import shutil
import subprocess

from packaging.markers import Marker
from packaging.requirements import Requirement
import pytest
import yaml

from tests import slowest
from tests.arch import source

LOCK = source.ROOT / "requirements.lock"
MACHINES = [
  {
    "python_version": version,
    "python_full_version": f"{version}.1",
    "sys_platform": system,
    "platform_machine": machine,
    "os_name": "posix",
    "extra": "",
  }
  for version in ("3.11", "3.12", "3.13")
  for system, machine in (
    ("linux", "x86_64"),
    ("linux", "aarch64"),
    ("darwin", "arm64"),
  )
]


def normal(name):
  return re.sub(r"[-_.]+", "-", name).lower()


def locked(text):
  """(name, version, marker, number of hashes) of every entry of a lock."""
  entries = text.replace("\\\n", " ").splitlines()
  for line in filter(None, map(str.strip, entries)):
    if not line.startswith("#"):
      head, *hashes = line.split("--hash=sha256:")
      requirement, _, marker = head.partition(" ; ")
      name, _, version = requirement.strip().partition("==")
      yield normal(name), version, marker.strip(), len(hashes)


def lock_faults(text, requirements):
  """Requirements that some machine would not get from the lock."""
  entries = list(locked(text))
  for machine in MACHINES:
    have = {
      name: version
      for name, version, marker, _ in entries
      if not marker or Marker(marker).evaluate(machine)
    }
    for requirement in map(Requirement, requirements):
      marker = requirement.marker
      if marker and not marker.evaluate(machine):
        continue
      version = have.get(normal(requirement.name), "")
      if not version or not requirement.specifier.contains(version):
        yield f"{requirement} is locked as {version!r} on {machine}"


def dependencies():
  project = source.pyproject()["project"]
  return [
    *project["dependencies"],
    *project["optional-dependencies"]["dev"],
  ]


def test_the_lock_fits_every_dependency_on_every_machine():
  faults = list(lock_faults(LOCK.read_text(), dependencies()))
  assert not faults, "\n".join(faults)


def test_every_entry_of_the_lock_is_a_version_with_hashes():
  for name, version, _, hashes in locked(LOCK.read_text()):
    assert re.fullmatch(r"\d[\w.+!]*", version), name
    assert hashes, name


def test_the_lock_names_no_index_and_no_url():
  text = LOCK.read_text()
  assert not re.findall(r"(?m)^\s*-(?!-hash).*|\w+://.*| @ .*", text)


def ranges(group, machine):
  """The range of versions of each requirement that a machine has."""
  found = {}
  for text in group:
    requirement = Requirement(text)
    if not requirement.marker or requirement.marker.evaluate(machine):
      found[normal(requirement.name)] = requirement.specifier
  return found


def test_the_extras_follow_jax():
  project = source.pyproject()["project"]
  extras = project["optional-dependencies"]
  for machine in MACHINES:
    jax = ranges(project["dependencies"], machine)["jax"]
    assert ranges(extras["tpu"], machine) == {"jax": jax}
    assert ranges(extras["cuda"], machine) == {"jax": jax}


def test_libtpu_is_the_one_that_jax_asks_for():
  ours = Requirement(
    next(
      text
      for text in source.pyproject()["project"]["optional-dependencies"]["plan"]
      if Requirement(text).marker.evaluate()
    )
  )
  (theirs,) = (
    requirement
    for requirement in map(Requirement, metadata.requires("jax"))
    if requirement.name == "libtpu"
    and requirement.marker.evaluate({"extra": "tpu"})
  )
  (version,) = theirs.specifier
  assert ours.specifier.contains(version.version.removesuffix(".*"))
  assert theirs.specifier.contains(metadata.version("libtpu"))


@pytest.mark.parametrize(
  ("requirement", "fits"),
  [
    ("a>=1,<2", True),
    ("a>=2", False),
    ("b", False),
    ("c>=1", False),
    ("b; sys_platform == 'win32'", True),
  ],
)
def test_a_requirement_that_is_not_locked_is_found(requirement, fits):
  text = "a==1.5 \\\n  --hash=sha256:0\nc==1 ; python_version < '3.12'\n"
  assert fits == (not list(lock_faults(text, [requirement])))


def test_dependencies_are_ranges_from_the_index():
  project = source.pyproject()["project"]
  groups = [project["dependencies"], *project["optional-dependencies"].values()]
  for text in itertools.chain.from_iterable(groups):
    requirement = Requirement(text)
    assert requirement.url is None, text
    operators = {s.operator for s in requirement.specifier}
    assert ">=" in operators, text
    assert "==" not in operators, text


def recipes():
  """Commands of each target of the Makefile, and what the target needs."""
  commands, needs = {}, {}
  for line in (source.ROOT / "Makefile").read_text().splitlines():
    target = re.match(r"([\w$()/.-]+):(?!=)\s*(.*)", line)
    if target:
      name = target[1]
      needs[name] = target[2].split()
      commands[name] = []
    elif line.startswith("\t"):
      commands[name].append(line.strip())
  return commands, needs


def checks():
  text = (source.ROOT / "Makefile").read_text()
  return re.search(r"(?m)^CHECKS := (.*)$", text)[1].split()


def test_hooks_run_what_make_check_runs():
  config = yaml.safe_load((source.ROOT / ".pre-commit-config.yaml").read_text())
  hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
  assert all(repo["repo"] == "local" for repo in config["repos"])
  assert recipes()[1]["check"] == ["$(CHECKS)"]
  assert [hook["entry"] for hook in hooks] == [f"make {c}" for c in checks()]
  assert all(hook["language"] == "system" for hook in hooks)
  assert not any(hook["pass_filenames"] for hook in hooks)


def test_make_check_covers_lint_format_types_and_spelling():
  commands, _ = recipes()
  run = [" ".join(commands[c]).removeprefix("$(RUN) ") for c in checks()]
  assert run == [
    "ruff check",
    "ruff format --check",
    'pyright --pythonpath "$(VENV)/bin/python"',
    "codespell_lib",
  ]


def test_ci_tests_and_checks_in_a_new_environment():
  script = (source.ROOT / ".ci" / "run").read_text()
  lines = [shlex.split(line, comments=True) for line in script.splitlines()]
  made = [line for line in lines if line[:1] == ["make"]]
  assert ["env=$(mktemp", "-d)"] in lines
  assert made == [
    ["make", "test", "VENV=$env/venv"],
    ["make", "check", "VENV=$env/venv"],
    [
      *("make", "versions", "PYTHON=$other", "VENV=$env/other"),
      *("DATA=$env/data", "RUNS=$env"),
    ],
  ]
  assert ["set", "-euo", "pipefail"] in lines


def test_the_newest_other_python_is_found(tmp_path):
  """A command on the path that does not run is passed over, as pyenv's are."""
  on_path, managed = tmp_path / "bin", tmp_path / "versions/3.12.1/bin"
  for folder in (on_path, managed):
    folder.mkdir(parents=True)
  broken, works = on_path / "python3.12", managed / "python"
  broken.write_text("#!/bin/sh\nexit 127\n")
  works.write_text("#!/bin/sh\necho 3.12\n")
  (on_path / "python3.11").write_text("#!/bin/sh\necho 3.11\n")
  (on_path / "bash").symlink_to(shutil.which("bash"))
  used = tmp_path / "used"
  used.write_text("#!/bin/sh\necho 3.10\n")
  for file in (broken, works, on_path / "python3.11", used):
    file.chmod(0o755)
  done = subprocess.run(
    [source.ROOT / ".ci" / "other_python", used],
    env={"PATH": str(on_path), "PYENV_ROOT": str(tmp_path)},
    capture_output=True,
    text=True,
    check=True,
  )
  assert done.stdout == f"{works}\n"
  assert done.stderr.splitlines() == [
    f"Python 3.10: {used}, used for the whole suite",
    "Python 3.13: not installed",
    f"Python 3.12: {works}, used for make versions",
    f"Python 3.11: {on_path}/python3.11, not used",
  ]


def test_slow_test_files_start_first():
  """With the table's order, which pytest-xdist would change by itself."""
  assert all((source.ROOT / file).is_file() for file in slowest.FILES)
  seconds = list(slowest.FILES.values())
  assert seconds == sorted(seconds, reverse=True)
  (command,) = recipes()[0]["test"]
  assert command.endswith("--dist loadfile --no-loadscope-reorder")
