"""An explorer over a folder of two videos, and visitors of it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from mgm.data.synthetic.known_motion import make_translation
from mgm.explore.explorer import Explorer
from mgm.explore.kernels import compile_all
from mgm.explore.library import Library, Limits, list_folder
from mgm.explore.reading import ClipReader
from mgm.explore.server import create_app

TOKEN = "a-token-of-the-tests"


class Visitor:
    """A browser with a session of its own."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.headers = {"authorization": f"Bearer {TOKEN}"}
        self.headers["x-session"] = self.post("session").json()["session"]

    def post(self, route: str, body: object = None, **options: Any) -> Any:
        headers = {**self.headers, **options.pop("headers", {})}
        content = (
            {"content": options.pop("content")} if "content" in options else {"json": {} if body is None else body}
        )
        return self.client.post(f"/api/{route}", headers=headers, **content, **options)


def client_of(app: Any) -> TestClient:
    return TestClient(app, base_url="http://127.0.0.1:8420", raise_server_exceptions=False)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos, one of them in a folder. Tests must not change it."""
    root = tmp_path_factory.mktemp("explorer") / "videos"
    make_translation(root / "slow.mp4", velocity=(1, 0), frames=80, size=(64, 96))
    make_translation(root / "inner" / "fast.mp4", velocity=(4, -2), frames=80, size=(64, 96))
    return root


@pytest.fixture(scope="session")
def reader() -> Iterator[ClipReader]:
    compile_all()
    with ClipReader(processes=1, timeout_seconds=60, ahead_after_seconds=None) as reader:
        assert reader.wait()
        yield reader


@pytest.fixture
def serve(folder: Path, reader: ClipReader, tmp_path: Path) -> Callable[..., TestClient]:
    """A client of an explorer with other limits or videos."""

    def serve(**options: Any) -> TestClient:
        scratch = tmp_path / "scratch"
        scratch.mkdir(exist_ok=True)
        inside = options.pop("inside", folder)
        library = Library(list_folder(inside), inside=inside, scratch=scratch, limits=Limits(**options))
        return client_of(create_app(Explorer(library, reader, place=str(inside)), token=TOKEN))

    return serve


@pytest.fixture
def visitor(serve: Callable[..., TestClient]) -> Visitor:
    return Visitor(serve())
