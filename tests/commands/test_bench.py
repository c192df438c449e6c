from typer.testing import CliRunner

from mgm.commands.bench import bench
from mgm.data.benchmark import STAGES


def test_every_stage_is_printed(tiny_set):
    arguments = ["data", str(tiny_set), "--recipe", "debug", "--clips", "4", "--rate", "10"]
    result = CliRunner().invoke(bench, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    for stage in STAGES:
        assert f"\n{stage} " in result.output
    assert "clips/s from one core" in result.output
    assert "10 clips/s" in result.output
