"""Manifests for GKE, as far as they can be seen without a cluster."""

import importlib.util

import pytest
import yaml

from tests.launch import commands


def load(name):
  """A launcher as a module."""
  path = commands.LAUNCH / name
  spec = importlib.util.spec_from_file_location(path.stem, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


render = load("gke/render.py")
NAMED = ("--name=vit", "--image=eu.gcr.io/p/vit:1")
TRAIN = ("--", "--config=c.py", "--config.runtime.save_every=5 %")


def jobset(capsys, *words):
  code = render.main([*NAMED, *words, *TRAIN])
  done = capsys.readouterr()
  assert code == 0, done.err
  return yaml.safe_load(done.out)


def pods(manifest):
  """The Job of a manifest, and the spec of its pods."""
  (job,) = manifest["spec"]["replicatedJobs"]
  spec = job["template"]["spec"]
  return spec, spec["template"]["spec"]


@pytest.mark.parametrize(
  ("tpu", "topology", "accelerator", "hosts"),
  [
    ("v3", "16x32", "tpu-v3-slice", 128),
    ("v4", "2x2x4", "tpu-v4-podslice", 4),
    ("v5e", "4x8", "tpu-v5-lite-podslice", 8),
    ("v5p", "2x2x1", "tpu-v5p-slice", 1),
    ("v6e", "4x4", "tpu-v6e-slice", 4),
  ],
)
def test_one_pod_a_host_of_the_slice(capsys, tpu, topology, accelerator, hosts):
  manifest = jobset(capsys, f"--tpu={tpu}", f"--topology={topology}")
  assert manifest["apiVersion"] == "jobset.x-k8s.io/v1alpha2"
  assert manifest["kind"] == "JobSet"
  assert manifest["metadata"]["annotations"] == {
    "alpha.jobset.sigs.k8s.io/exclusive-topology": (
      "cloud.google.com/gke-nodepool"
    )
  }
  job, pod = pods(manifest)
  assert job["completions"] == job["parallelism"] == hosts
  assert job["completionMode"] == "Indexed"
  assert pod["nodeSelector"] == {
    "cloud.google.com/gke-tpu-accelerator": accelerator,
    "cloud.google.com/gke-tpu-topology": topology,
  }
  (container,) = pod["containers"]
  assert container["resources"] == {"limits": {"google.com/tpu": 4}}
  assert container["command"] == [
    *(".venv/bin/python", "-m", "vit_jax", "train")
  ]
  assert container["args"] == list(TRAIN[1:])
  assert container["env"] == []


def test_one_process_a_gpu(capsys):
  manifest = jobset(capsys, "--gpu=nvidia-h100-80gb", "--hosts=2", "--spot")
  job, pod = pods(manifest)
  assert job["completions"] == job["parallelism"] == 2
  assert pod["nodeSelector"] == {
    "cloud.google.com/gke-accelerator": "nvidia-h100-80gb",
    "cloud.google.com/gke-spot": "true",
  }
  (container,) = pod["containers"]
  assert container["resources"] == {"limits": {"nvidia.com/gpu": 8}}
  assert container["command"][:2] == ["launch/local.sh", "8"]
  env = {e["name"]: e["value"] for e in container["env"]}
  assert env["NODES"] == "2"
  # A pod's name in a JobSet: its own, its job's, its number; then the network.
  assert env["COORDINATOR"] == "vit-train-0-0.vit:8476"
  assert container["ports"] == [{"containerPort": 8476}]
  assert (commands.LAUNCH / "local.sh").stat().st_mode & 0o111


def test_a_preemption_is_retried_for_ever_and_the_rest_a_few_times(capsys):
  manifest = jobset(capsys, "--gpu=nvidia-l4", "--max_restarts=2")
  policy = manifest["spec"]["failurePolicy"]
  assert policy["maxRestarts"] == 2
  assert policy["rules"] == [
    {
      "name": "preempted",
      "action": "RestartJobSetAndIgnoreMaxRestarts",
      "onJobFailureReasons": ["PodFailurePolicy"],
    }
  ]
  job, pod = pods(manifest)
  exits, conditions = job["podFailurePolicy"]["rules"]
  assert exits["action"] == conditions["action"] == "FailJob"
  assert exits["onExitCodes"] == {
    "containerName": pod["containers"][0]["name"],
    "operator": "In",
    "values": [143],
  }
  # Kubernetes compares text.
  assert conditions["onPodConditions"] == [
    {"type": "DisruptionTarget", "status": "True"}
  ]
  assert job["backoffLimit"] == 0
  assert pod["restartPolicy"] == "Never"


@pytest.mark.parametrize(
  ("words", "message"),
  [
    ([], "give either --tpu or --gpu"),
    (["--tpu=v3", "--topology=4x4", "--gpu=x"], "give either"),
    (["--tpu=v7"], "invalid choice: 'v7'"),
    (["--tpu=v3", "--topology=4x4x4"], "must have 2 axes, such as 4x4"),
    (["--tpu=v4", "--topology=4x4"], "must have 3 axes, such as 4x4x4"),
    (
      ["--tpu=v3", "--topology=1x2"],
      "has 2 chips, which is not a multiple of the 4",
    ),
    (["--gpu=a b"], "must be a label's value"),
    (["--gpu=x", "--hosts=0"], "must be at least 1"),
    (["--gpu=x", "--name=Vit"], "lower-case letters"),
    (["--gpu=x", "--image=a b"], "is not the name of an image"),
  ],
)
def test_what_cannot_be_is_one_line(capsys, words, message):
  assert render.main([*NAMED, *words, *TRAIN]) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert message in line


def test_a_run_is_needed(capsys):
  assert render.main([*NAMED, "--gpu=x"]) == 2
  assert "are missing after --" in capsys.readouterr().err
