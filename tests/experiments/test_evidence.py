"""The grid of experiments/evidence: every arm is a valid run, a cell runs again at a tiny size, and tables pair arms by video."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mgm.evaluation.paper_table import SMALL_SCALE
from mgm.training import load_config

FOLDER = Path(__file__).parents[2] / "experiments" / "evidence"


@pytest.fixture(scope="module")
def evidence():
    """The modules of the experiment, whose names are free again afterwards."""
    sys.path.insert(0, str(FOLDER))
    try:
        import grid
        import run
        import sets

        yield grid, run, sets
    finally:
        sys.path.remove(str(FOLDER))
        for name in ("cells", "figures", "grid", "judging", "run", "sets", "tables"):
            sys.modules.pop(name, None)


def opened(sets, recipe, motion_target):
    return sets.Judged((), lambda seed: {}, None, recipe, (), ("model.target=normalised-pixels",), motion_target)


def test_every_arm_has_valid_settings(evidence):
    grid, run, sets = evidence
    motion = ("model.target={normalised-pixels: 1.0, motion: 20.0}",)
    for question in grid.QUESTIONS.values():
        assert {arm.target for arm in question.references} == {arm.target for arm in question.arms}
        assert len({arm.name for arm in question.arms}) == len(question.arms)
        for arm in question.arms:
            config = load_config(
                "debug", run.settings_of(opened(sets, "debug", motion), arm, 3, (), equal_compute=False)
            )
            assert (config.mask.name, config.mask.ratio, config.seed) == (arm.mask, arm.ratio, 3)
            assert ("motion" in config.model.target_names) is (arm.target == grid.MOTION)


def test_the_papers_figure_stands_beside_the_same_arm(evidence):
    grid, _, _ = evidence
    found = [grid.paper_figures(question.arms) for name, question in grid.QUESTIONS.items() if name != "paper"]
    assert found[0]["mgm 0.75, pixels"] == 0.673
    assert found[0]["tube 0.75, pixels + motion"] == 0.65
    assert "tube 0.9, pixels" not in found[0]
    assert {name: value for figures in found[1:] for name, value in figures.items()} == {
        **dict.fromkeys(
            ("mgm", "mgm 0.75", "mgm, constant", "exact in each step", "mgm, codec", "jitter", "mgm, ViT"), 0.673
        ),
        "mgm, flow": 0.66,
        "no jitter": 0.671,
        "mgm, TimeSformer, joint": 0.647,
    }


def test_table_4_has_the_cells_of_the_other_questions(evidence):
    grid, run, sets = evidence
    question, judged = grid.QUESTIONS["paper"], opened(sets, "debug", ())
    assert grid.paper_figures(question.arms) == {
        "random tube": 0.65,
        "random block": 0.629,
        "SMM (sparse)": 0.646,
        "SMM (dense)": 0.659,
        "MGM (sparse)": 0.651,
        "MGM ViT-B": 0.673,
        "MGM with optical flow": 0.66,
        "MGM without jitter": 0.671,
        "MGM TimeSformer": 0.647,
    }

    def cells(arms):
        return {
            run.identity(judged, run.settings_of(judged, arm, 0, (), equal_compute=False), arm): arm.name
            for arm in arms
        }

    own = cells(question.arms)
    others = cells(arm for name, other in grid.QUESTIONS.items() if name != "paper" for arm in other.arms)
    assert own.keys() <= others.keys()
    assert len(own) == len(question.arms)


def test_another_source_of_motion_reads_the_videos_again(evidence):
    _, _, sets = evidence
    kept = sets.MemorySource(48, "auto")
    judged = sets.Judged(
        (), lambda seed: {}, kept, "debug", (), (), (), read=lambda asked: sets.MemorySource(48, asked.data.motion)
    )
    assert judged.source_of(load_config("debug")) is kept
    assert judged.source_of(load_config("debug", ["data.motion=flow"])).motion == "flow"


def test_steps_at_equal_compute(evidence):
    grid, run, sets = evidence
    judged = opened(sets, "debug", ())

    def steps(arm, *, equal_compute=True):
        return load_config("debug", run.settings_of(judged, arm, 0, (), equal_compute=equal_compute)).pretrain.steps

    few, some, many = (steps(grid.Arm("a", "random", ratio)) for ratio in (0.5, 0.75, 0.9))
    assert few < some == steps(None, equal_compute=False) < many
    # a ratio that changes costs the mean of its steps, which is more than a step at the mean ratio: attention is quadratic
    rising = ("mask.ratio_schedule=linear", "mask.final_ratio=0.9")
    config = load_config("debug", ["mask.name=random", "mask.ratio=0.6", *rising, "pretrain.steps=4"])
    each = [run.clip_cost(load_config("debug", ["mask.name=random", f"mask.ratio={r}"])) for r in (0.6, 0.7, 0.8, 0.9)]
    assert run.clip_cost(config) == sum(each) // 4
    assert steps(grid.Arm("c", "mgm", 0.5, settings=("model.replacement=vit",))) == some
    assert few < steps(grid.Arm("b", "random", 0.6, settings=rising)) < some


def test_differences_are_paired_by_video(evidence):
    difference = sys.modules["tables"].difference
    label = np.repeat([0, 1], 50)
    hard = np.random.default_rng(0).random((1, 100)) < 0.5
    low, high = difference(np.repeat(hard, 3, 0).astype(float), np.repeat(hard, 3, 0).astype(float), label)
    assert (low, high) == (0, 0)
    better = hard.copy()
    better[:, :10] = True
    low, high = difference(better.astype(float), hard.astype(float), label)
    assert 0 <= low < (better.mean() - hard.mean()) < high


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--seeds", "-1"], "argument --seeds"),
        (["--seeds", "one"], "argument --seeds: found 'one'"),
        (["--threads", "0"], "argument --threads"),
        (["--tune", "-5"], "argument --tune"),
        (["--against", "mgmm"], "argument --against: found 'mgmm', expected one of untrained"),
    ],
)
def test_arguments_are_refused_in_words(evidence, monkeypatch, capsys, words, expected):
    _, run, _ = evidence
    monkeypatch.setattr(sys, "argv", ["run.py", "masks", "--table", *words])
    with pytest.raises(SystemExit) as caught:
        run.main()
    assert caught.value.code == 2
    assert expected in capsys.readouterr().err


def test_real_clips_that_are_not_there(evidence, monkeypatch, tmp_path):
    _, run, _ = evidence
    words = ["run.py", "masks", "--sets", "real", "--out", str(tmp_path)]
    for data, expected in (([], "needs --data"), (["--data", str(tmp_path / "nosuch")], "found no folder surv_fights")):
        monkeypatch.setattr(sys, "argv", [*words, *data])
        with pytest.raises(SystemExit, match=expected):
            run.main()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("question", "arm"),
    [
        ("open", "sides of the motion"),
        ("schedule", "random, 0.9 to 0.6, cosine"),
        ("count", "exact in the clip"),
        ("count", "replaced tokens, exact in nothing"),
    ],
)
def test_arms_of_new_masks_run(evidence, tmp_path, monkeypatch, capsys, question, arm):
    _, run, sets = evidence
    monkeypatch.setattr(sets, "TRAIN", 16)
    monkeypatch.setattr(sets, "TEST", 16)
    words = ["run.py", question, "--arms", arm, "--seeds", "0", "--out", str(tmp_path), "--cells",
             str(tmp_path / "cells"), "--settings", "pretrain.steps=3", "pretrain.warmup=1", "probe.heads=[knn]",
             "probe.neighbours=5"]  # fmt: skip
    monkeypatch.setattr(sys, "argv", words)
    run.main()
    assert any(row.startswith(f"| {arm} | 0 |") for row in rows(capsys.readouterr().out))


@pytest.mark.slow
def test_a_cell_runs_again_and_is_kept(evidence, tmp_path, monkeypatch, capsys):
    _, run, sets = evidence
    monkeypatch.setattr(sets, "TRAIN", 16)
    monkeypatch.setattr(sets, "TEST", 16)
    words = ["run.py", "jitter", "--seeds", "0", "--out", str(tmp_path), "--cells", str(tmp_path / "cells"), "--settings",
             "pretrain.steps=2", "pretrain.warmup=1", "probe.heads=[linear, knn]", "probe.neighbours=5"]  # fmt: skip
    monkeypatch.setattr(sys, "argv", words)
    run.main()
    first = capsys.readouterr().out
    assert "| jitter | 0 |" in first
    assert "| untrained | 0 |" in first
    kept = (tmp_path / "cells" / "headings-still.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(kept) == 4  # two arms and two rivals
    # a cell without its line: its run, which is finished, is probed again
    (tmp_path / "cells" / "headings-still.jsonl").write_text("\n".join(kept[:-1]) + "\n", encoding="utf-8")
    monkeypatch.setattr(sys, "argv", words)
    run.main()
    assert rows(capsys.readouterr().out) == rows(first)
    # a judge that is added: the finished run is fine-tuned, the probes say what they said
    monkeypatch.setattr(sys, "argv", [*words, "--tune", "2"])
    run.main()
    tuned = rows(capsys.readouterr().out)
    assert "fine-tuned, 2 steps" in tuned[0]
    assert [row.split(" | ")[:3] for row in tuned[1:]] == [row.split(" | ")[:3] for row in rows(first)[1:]]
    # other settings: another run of the same arm and seed
    monkeypatch.setattr(sys, "argv", [*words, "finetune.base_lr=0.001"])
    run.main()
    assert [row.split(" | ")[:3] for row in rows(capsys.readouterr().out)[1:]] == [
        row.split(" | ")[:3] for row in tuned[1:]
    ]
    figure = tmp_path / "figure.svg"
    monkeypatch.setattr(sys, "argv", [*words, "--table", "--figure", str(figure), "--probe", "linear probe"])
    run.main()
    assert rows(capsys.readouterr().out) == tuned
    assert ">jitter</text>" in figure.read_text(encoding="utf-8")
    # another question shares the cell of the same settings
    monkeypatch.setattr(sys, "argv", [words[0], "open", *words[2:], "--table"])
    run.main()
    shared = rows(capsys.readouterr().out)
    assert rows(first)[-2].replace("| jitter |", "| mgm |").split(" (")[0] in shared[-1]


def test_curves_show_a_line_for_each_mask(evidence):
    grid, run, _ = evidence
    question = grid.QUESTIONS["length"]
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(4), 8)
    arms = [arm for arm in question.arms if arm.mask != "random"]
    found = {arm.name: {seed: {"linear probe": rng.random(32) < arm.at / 4} for seed in (0, 1)} for arm in arms}
    found["untrained"] = {0: {"linear probe": rng.random(32) < 0.5, "fine-tuned": rng.random(32) < 0.5}}
    options = run.argparse.Namespace(probe="linear probe")
    drawing = run.draw(question, "set", found, question.arms, question.reference, options, label)
    words = [shape.text for shape in drawing.shapes if hasattr(shape, "text")]
    assert {"tube", "mgm", "untrained", "linear probe", "0.5", "4"} <= set(words)
    assert not {"random", "fine-tuned"} & set(words)


def test_nothing_to_draw_ends_in_a_line(evidence, monkeypatch, capsys):
    """Two probes of one arm: no curve, and no difference by another probe."""
    grid, run, _ = evidence
    label = np.arange(4) % 2
    for question in (grid.QUESTIONS["ratio"], grid.QUESTIONS["masks"]):
        arm = question.references[0]
        found = {arm.name: {0: {"20-NN": label == 0}}}
        options = argparse.Namespace(probe="attentive probe")
        with pytest.raises(SystemExit, match="--figure"):
            run.draw(question, "set", found, [arm], arm.name, options, label)
    monkeypatch.setattr(sys, "argv", ["run.py", "masks", "--table", "--arms", "no such arm"])
    with pytest.raises(SystemExit):
        run.main()
    assert "mgm 0.75, pixels" in capsys.readouterr().err


def rows(printed):
    """The rows of the tables."""
    return [line for line in printed.splitlines() if line.startswith("| ")]


def test_cells_survive_a_stopped_writer(evidence, tmp_path):
    cells = sys.modules["cells"]
    hits = {"set": {"linear probe": np.random.default_rng(0).random(19) < 0.5}}
    kept = cells.Cells(tmp_path / "deep" / "set.jsonl")
    assert kept.read() == {}
    for name in ("a", "b"):
        packed, videos = cells.pack(hits)
        kept.add(cells.Cell(f"settings of {name}", name, packed, videos, 1, "machine", {"mgm": "0"}))
        with kept.file.open("a", encoding="utf-8") as file:
            file.write('{"settings": "of a pro')
    assert kept.read().keys() == {"settings of a", "settings of b"}
    found = kept.read()["settings of b"].unpack()
    assert np.array_equal(found["set"]["linear probe"], hits["set"]["linear probe"])


def test_judges_that_are_added_keep_the_others(evidence, tmp_path):
    cells = sys.modules["cells"]
    kept = cells.Cells(tmp_path / "set.jsonl")
    for judged in ({"a": {"probe": "80"}}, {"a": {"tuned": "40"}, "b": {"tuned": "20"}}, {"a": {"probe": "c0"}}):
        kept.add(cells.Cell("settings", "arm", judged, dict.fromkeys(judged, 3), 1, "machine", {}))
    (found,) = kept.read().values()
    assert found.hits == {"a": {"probe": "c0", "tuned": "40"}, "b": {"tuned": "20"}}
    assert found.videos == {"a": 3, "b": 3}


def test_the_package_has_the_kept_cells_of_table_4(evidence):
    grid, run, sets = evidence
    question, chosen = grid.QUESTIONS["paper"], sets.SETS["headings-still"]
    judged = replace(opened(sets, "debug", ()), settings=chosen.all_settings)
    options = argparse.Namespace(settings=[], equal_compute=False)
    cells = run.Cells(run.KEPT / "headings-still.jsonl")
    found = run.collect(judged, question.arms, (0, 1, 2), options, cells)[chosen.name(512)]
    label = np.repeat(np.arange(8), sets.TEST // 8)
    rows = run.judge(found, question.reference, "attentive probe", label)
    for name, kept in SMALL_SCALE.items():
        measured = (rows[name].each.mean(), rows[name].low, rows[name].high)
        assert measured == pytest.approx((kept.value, *(kept.interval or (np.nan, np.nan))), abs=5e-4, nan_ok=True)
