"""The rules of docs/architecture.md: imports go down, without circles; only commands use the public face."""

import ast
import graphlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import mgm

SOURCE = Path(mgm.__file__).parent

# From the ground up: a floor may import those on lines above its own. Floors on one line do not import each other.
FLOORS = [
    {"clip_kinds", "lazy", "printable", "waits"},
    {"bar", "compiled", "errors", "kept_memory", "ranks", "spans", "version"},
    {"files", "machine", "notebook", "terminal", "workers"},
    {"video", "masks"},
    {"data", "models", "flow"},
    {"training"},
    {"evaluation"},
    {"show"},
    {"demo", "explore"},
    {"commands"},
]
# The same within a floor.
ROOMS = {
    "video": [{"container"}, {"motion"}, {"clip"}, {"scan"}, {"transcode"}],
    "data": [
        {"boxes", "items", "labels", "unreadable"},
        {"shards", "augment", "box_formats", "groups", "judging"},
        {"clips", "synthetic"},
        {"annotations", "loading"},
        {"benchmark"},
    ],
    "training": [
        {"trackers"},
        {
            "event_file",
            "guard",
            "muon",
            "named_weights",
            "open_files",
            "peers",
            "recipe_file",
            "sharding",
            "signals",
            "step_lines",
        },
        {"sections"},
        {"config", "fabric"},
        {"other_names"},
        {"devices", "exchange", "folder", "networks", "optim", "recipe"},
        {"checkpoint_folder", "ending", "explain", "log", "method", "shared_set"},
        {"checkpoint", "engine", "run"},
        {"examples", "head_start", "replay_file", "resume", "run_record", "step", "trial", "whitening"},
        {"announce", "saving"},
        {"loop", "results"},
        {"export", "finetune", "pretrain"},
        {"preflight", "replay"},
    ],
    "evaluation": [
        {"bootstrap", "checked_tensors", "classification", "metrics", "pooling", "ranks"},
        {"feature_journal", "prediction_journal", "protocol", "token_file"},
        {"column_blocks"},
        {"feature_blocks", "prediction_blocks"},
        {"views"},
        {"attentive", "feature_cache", "holdout", "linear", "nearest", "prediction_table"},
        {"low_shot"},
        {"probing"},
        {"raw_motion", "run", "saliency"},
        {"baselines", "embedding", "multi_view", "paper", "prediction"},
        {"paper_table", "result_table", "run_comparison", "transfer"},
    ],
    "demo": [{"measure", "systems"}, {"findings", "plan"}, {"summary"}, {"page"}, {"pipeline"}],
}
HEAVY = {"torch", "lightning_fabric", "pydantic", "PIL", "transformers", "tensorboard"}


def module_of(file: Path) -> str:
    """ "mgm.video.scan.folder" of its file; a package for its `__init__`."""
    parts = file.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = sorted(p for p in SOURCE.rglob("*.py") if p != SOURCE / "__init__.py")
MODULES = {module_of(p) for p in FILES} | {"mgm"}


class Facts(NamedTuple):
    """What the rules need of a file: every module that it imports with the names from it, inside functions too; its calls."""

    imports: list[tuple[str, tuple[str, ...]]]
    calls: set[str]


@cache
def facts(file: Path) -> Facts:
    found = Facts([], set())
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.imports.extend((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import; write the whole name"
            found.imports.append((node.module or "", tuple(alias.name for alias in node.names)))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            found.calls.add(node.func.id)
    return found


@cache
def homes(package: str) -> dict[str, str]:
    """The modules that define the public names of a package with a stub."""
    stub = SOURCE.parent.joinpath(*package.split("."), "__init__.pyi")
    if not stub.exists():
        return {}
    return {name: module for module, names in facts(stub).imports for name in names if module != package}


def needed(file: Path) -> set[str]:
    """The modules of mgm that a file imports; names of a public package by the module that defines them."""
    found = set()
    for module, names in facts(file).imports:
        if module.split(".")[0] == "mgm":
            public = homes(module)
            submodules = {f"{module}.{name}" for name in names} & MODULES
            found |= submodules | {public[name] for name in names if name in public}
            if not names or any(name not in public and f"{module}.{name}" not in MODULES for name in names):
                found.add(module)
    return found - {module_of(file)}


@pytest.fixture(scope="module")
def all_needed() -> dict[str, set[str]]:
    """The modules that each module needs."""
    return {module_of(p): needed(p) for p in FILES}


def check_order(kind: str, own: str, other: str, order: list[set[str]]) -> None:
    level = {name: number for number, line in enumerate(order) for name in line}
    assert own in level, f"{own} is new: give it a place in {kind} of this test and in docs/architecture.md"
    assert own == other or level[other] < level[own], f"{own} imports {other}, which is not below it in {kind}"


def test_every_folder_has_its_floor():
    here = {
        p.name if p.is_dir() else p.stem for p in SOURCE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()
    }
    assert here - {"__init__"} == set().union(*FLOORS), "a new folder needs a place in FLOORS and docs/architecture.md"


def test_imports_go_down(all_needed):
    for module, others in all_needed.items():
        own = module.split(".")
        for other in (name.split(".") for name in others):
            if len(other) == 1:
                assert own[1] == "commands", f"{module} imports the public face; import from the room itself"
                continue
            check_order("FLOORS", own[1], other[1], FLOORS)
            if own[1] == other[1] in ROOMS and len(own) > 2 and len(other) > 2:
                check_order("ROOMS", own[2], other[2], ROOMS[own[1]])


def test_no_circle(all_needed):
    graphlib.TopologicalSorter(all_needed).prepare()  # raises CycleError with the modules of a circle


def test_video_and_masks_need_no_torch():
    for file in FILES:
        if file.relative_to(SOURCE).parts[0] in ("video", "masks"):
            assert not {module.split(".")[0] for module, _ in facts(file).imports} & HEAVY, file


def test_all_is_printed_by_the_terminal():
    """It escapes the control characters of names."""
    assert {file for file in FILES if facts(file).calls & {"print", "Console"}} <= {SOURCE / "terminal.py"}


def test_torchvision_is_absent():
    """Next to a torch of another build it breaks lightning_fabric on import; see constraints.txt."""
    import importlib.util

    assert importlib.util.find_spec("torchvision") is None
