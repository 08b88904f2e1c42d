"""The TPU launcher against a gcloud that notes its calls and plays a script.

Google Cloud is not here: this shows what is asked of it, and what follows from
its answers.
"""

import json

import pytest

from tests.launch import commands
from tests.launch.test_gke import load

tpu_vm = load("tpu_vm.py")
GOLDEN = commands.ROOT / "tests/golden/launch"
NAMED = ("--name=vit", "--zone=europe-west4-a", "--type=v3-32")
TRAIN = ("--", "--config=c.py", "--workdir=gs://b/run", "--config.seed=a b")

# `script.json` holds what each training run ends with: the codes its workers
# tell, gcloud's own, and the slice's states after it; and the states that a new
# slice goes through.
BODY = """
words = sys.argv[1:]
state = home / "state.json"
script = json.loads((home / "script.json").read_text())
now = json.loads(state.read_text()) if state.exists() else []
if name == "git":
  sys.exit()
elif "scp" in words:
  # Before Google says that machines are gone, they do not answer any more.
  sys.exit(now == ["ACTIVE", "SUSPENDED"])
elif "describe" in words:
  if not now:
    print("ERROR: NOT_FOUND: no such thing", file=sys.stderr)
    sys.exit(1)
  print(now[0])
  state.write_text(json.dumps(now[1:] or now))
elif "create" in words:
  state.write_text(json.dumps(script["states"]))
elif "delete" in words:
  state.unlink()
elif any("tpu_worker.sh train" in w for w in words):
  codes, own, after = script["runs"].pop(0)
  for i, code in enumerate(codes):
    print(f"vit_jax on t1v-n-0-w-{i}: exit code {code}")
  if after:
    state.write_text(json.dumps(after.split()))
  (home / "script.json").write_text(json.dumps(script))
  sys.exit(own)
"""


@pytest.fixture
def cloud(tmp_path, monkeypatch):
  """Runs the launcher; its exit code and what it asked for."""

  def run(*words, runs=(), states=("ACTIVE",), command="train"):
    env = commands.fake(tmp_path, BODY, "gcloud", "git")
    monkeypatch.setenv("PATH", env["PATH"])
    script = {"runs": list(runs), "states": list(states)}
    (tmp_path / "script.json").write_text(json.dumps(script))
    tail = TRAIN if command == "train" else ()
    code = tpu_vm.main([command, *NAMED, "--poll_s=0", *words, *tail])
    return code, [asked(c) for c in commands.calls(tmp_path) if c[0] != "git"]

  return run


def asked(call):
  """One word for a call of gcloud."""
  if "ssh" in call:
    return next(w for w in ("install", "train", "stop") if w in str(call))
  return next(w for w in ("describe", "create", "scp", "delete") if w in call)


RUN = ["scp", "install", "train"]
NEW = ["describe", "create", "describe"]


def test_trains_and_deletes(cloud):
  code, calls = cloud(runs=[([0, 0], 0, "")])
  assert code == 0
  assert calls == [*NEW, *RUN, "delete"]


def test_a_preempted_slice_is_created_anew(cloud, capfd):
  code, calls = cloud(
    "--spot",
    runs=[
      # SIGTERM came in time, then the machines went.
      ([143, 143], 1, "SUSPENDED"),
      # They went at once: ssh breaks off.
      ([], 255, "SUSPENDING SUSPENDED"),
      # And once more while the new ones were being installed.
      ([143, 143], 1, "ACTIVE ACTIVE SUSPENDED"),
      ([0, 0], 0, ""),
    ],
    states=["WAITING_FOR_RESOURCES", "ACTIVE"],
  )
  assert code == 0
  new = ["describe", "create", "describe", "describe"]
  gone = ["describe", "delete", *new, *RUN]
  assert calls == [
    *new,
    *RUN,
    *gone,
    *["describe", *gone],
    *["describe", "scp", "describe", *gone],
    "delete",
  ]
  out = capfd.readouterr().out
  assert out.count("preempted; the same command resumes") == 3
  assert "vit is WAITING_FOR_RESOURCES\n" in out


def test_sigterm_without_preemption_goes_on_there(cloud):
  code, calls = cloud("--keep", runs=[([143, 143], 1, ""), ([0, 0], 0, "")])
  assert code == 0
  assert calls == [*NEW, *RUN, "describe", *RUN]


def test_a_wrong_config_is_not_tried_again(cloud, capfd):
  code, calls = cloud(runs=[([2, 2], 1, "")])
  assert code == 2
  assert calls == [*NEW, *RUN]
  assert "refused its config" in capfd.readouterr().err


def test_failures_are_tried_a_few_times(cloud, capfd):
  code, calls = cloud("--max_failures=1", runs=[([1, 134], 1, "")] * 2)
  assert code == 1
  assert calls == [*NEW, *RUN, "describe", "describe", *RUN, "describe"]
  (line,) = capfd.readouterr().err.splitlines()
  assert "failed 2 times" in line
  assert "[1, 134]" in line


@pytest.mark.parametrize("state", ["FAILED", "UNKNOWN"])
def test_a_request_that_failed_is_an_error(cloud, capfd, state):
  code, calls = cloud(states=["CREATING", state])
  assert code == 1
  assert calls == [*NEW, "describe"]
  assert f"vit is {state}: see" in capfd.readouterr().err


def test_a_machine_without_the_queue(cloud):
  code, calls = cloud(
    "--direct",
    runs=[([], 255, "PREEMPTED"), ([0, 0], 0, "")],
    states=["CREATING", "READY"],
  )
  assert code == 0
  assert calls.count("create") == calls.count("delete") == 2


def test_the_other_commands(cloud, capfd):
  assert cloud(command="status")[0] == 0
  assert capfd.readouterr().out == "there is no slice\n"
  assert cloud(command="create")[1][-2:] == ["scp", "install"]
  assert cloud(command="stop")[1][-1] == "stop"
  assert cloud(command="delete")[1][-1] == "delete"


@pytest.mark.parametrize(
  ("name", "words"),
  [
    ("queued", ["train", "--spot", "--project=my-project", *TRAIN]),
    ("direct", ["train", "--direct", "--internal_ip", "--keep", *TRAIN]),
    ("create", ["create", "--valid_until=6h", "--runtime=x-1"]),
    ("stop", ["stop"]),
  ],
)
def test_dry_run(golden, monkeypatch, capsys, name, words):
  # Nothing can be run: there is no command at all.
  monkeypatch.setenv("PATH", "")
  cut = words.index("--") if "--" in words else len(words)
  assert tpu_vm.main([*words[:cut], *NAMED, "--dry_run", *words[cut:]]) == 0
  golden(GOLDEN / f"tpu_vm_{name}.txt", capsys.readouterr().out)


@pytest.mark.parametrize(
  ("words", "message"),
  [
    (["status", "--name=Vit"], "--name=Vit must be"),
    (["status", "--name=-x"], "--name=-x must be"),
    (["status", "--zone=here"], "--zone=here must be a zone such as"),
    (["status", "--project=a;b"], "must be a project id"),
    (["create", "--type=v7-8"], "must be one of v2, v3, v4, v5litepod, v5p"),
    (["create", "--type=v3"], "a dash and a number, such as v3-32"),
    (["create", "--runtime=$(x)"], "must be a runtime version"),
    (["create", "--valid_until=soon"], "must be a duration such as 6h"),
    (["create", "--direct", "--valid_until=6h"], "is for the queue"),
    (["train"], "train needs arguments for"),
    (["stop", "--", "--config=x"], "the other commands take none"),
    (["train", "--", "--workdir=runs/x"], "--workdir=gs://BUCKET/RUN"),
    (["train", "--", "--config=x"], "has to outlive the machines"),
    (["start"], "invalid choice: 'start'"),
  ],
)
def test_what_cannot_be_is_one_line(monkeypatch, capsys, words, message):
  monkeypatch.setenv("PATH", "")
  cut = words.index("--") if "--" in words else len(words)
  given = [*words[:1], *NAMED, *words[1:cut], *words[cut:]]
  assert tpu_vm.main(given) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert message in line


def test_without_gcloud_it_says_so(monkeypatch, capsys):
  monkeypatch.setenv("PATH", "")
  assert tpu_vm.main(["status", *NAMED]) == 1
  assert capsys.readouterr().err == "tpu_vm.py: gcloud is not installed\n"
