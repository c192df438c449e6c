import io
import os
import threading

import numpy as np
import pytest

import mgm
from mgm.data.clips.source import FileSource
from mgm.data.synthetic.known_motion import make_translation
from mgm.errors import ConfigError, VideoError
from mgm.evaluation.multi_view import evaluate_classifier
from mgm.evaluation.prediction import predict_stream
from mgm.training.checkpoint import open_classifier
from tests.errors import raises


@pytest.fixture(scope="module")
def long_video(tmp_path_factory):
    """Forty frames at 30 per second."""
    path = tmp_path_factory.mktemp("long") / "video.mkv"
    return make_translation(path, velocity=(1, 0), frames=40, size=(32, 48), fps=30)


def test_classes_are_those_of_an_evaluation(classifier_run, videos):
    classifier, config = open_classifier(classifier_run)
    expected = evaluate_classifier(classifier, videos, config, FileSource())
    paths = [item.path for item in videos.test]
    found = mgm.predict(classifier_run, paths, top=3).predictions
    assert [one.path for one in found] == paths
    for one, row in zip(found, expected.probability, strict=True):
        best = np.argsort(-row)[:3]
        assert one.classes == tuple(videos.classes[i] for i in best)
        np.testing.assert_allclose(one.probabilities, row[best], rtol=1e-6)
        assert 0 <= one.begin < one.end


def test_a_folder_and_a_broken_video(classifier_run, tmp_path, long_video):
    (tmp_path / "a.mkv").write_bytes(long_video.read_bytes())
    (tmp_path / "b.mp4").write_bytes(b"not a video")
    report = mgm.predict(classifier_run, [tmp_path])
    assert [one.path for one in report.predictions] == [str(tmp_path / "a.mkv")]
    assert list(report.unreadable) == [str(tmp_path / "b.mp4")]
    with raises(VideoError, "not_video", subject=tmp_path / "b.mp4"):
        mgm.predict(classifier_run, [tmp_path / "b.mp4"])


def test_windows_of_a_long_video(classifier_run, long_video):
    found = mgm.predict(classifier_run, [long_video], window=0.5).predictions  # 15 frames each, and 10 left
    assert [round(one.begin * 30) for one in found] == [0, 15, 30]
    assert all(one.end < (number + 1) * 0.5 for number, one in enumerate(found))
    (whole,) = mgm.predict(classifier_run, [long_video]).predictions
    assert (round(whole.begin * 30), round(whole.end * 30)) == (0, 39)
    with raises(ConfigError, "invalid_value", message="predict-window"):
        mgm.predict(classifier_run, [long_video], window=0)


def test_a_stream_is_predicted_window_by_window(classifier_run, long_video):
    """As from a camera: a prediction comes before the stream ends, and equals that of a file."""
    overrides = ("probe.spatial_views=1", "data.size=32")
    files = mgm.predict(classifier_run, [long_video], window=0.5, overrides=overrides).predictions
    reading, writing = os.pipe()
    content = long_video.read_bytes()
    finish = threading.Event()

    def write():
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(content)
            pipe.flush()
            finish.wait(20)

    thread = threading.Thread(target=write)
    thread.start()
    with os.fdopen(reading, "rb") as pipe:
        stream = predict_stream(classifier_run, pipe, window=0.5, overrides=overrides)
        first = next(stream)
        finish.set()
        found = [first, *stream]
    thread.join()
    assert [one.classes for one in found] == [one.classes for one in files]
    for one, other in zip(found, files, strict=True):
        assert (one.begin, one.end) == pytest.approx((other.begin, other.end))
        np.testing.assert_allclose(one.probabilities, other.probabilities, rtol=1e-5)


def test_a_stream_that_needs_its_end_first(classifier_run, tmp_path):
    path = make_translation(
        tmp_path / "index_at_the_end.mp4", velocity=(1, 0), frames=40, size=(240, 320), options={"qp": 1}
    )
    assert path.stat().st_size > 2**17  # more than FFmpeg keeps

    class Unseekable(io.RawIOBase):
        def __init__(self):
            self.file = io.BytesIO(path.read_bytes())

        def readinto(self, buffer):
            return self.file.readinto(buffer)

        def readable(self):
            return True

    with raises(VideoError, "damaged", message="predict-stream-index-at-the-end"):
        next(predict_stream(classifier_run, io.BufferedReader(Unseekable())))


def test_a_stream_that_is_no_video(classifier_run):
    with raises(VideoError, "not_video", message="predict-stream-text"):
        next(predict_stream(classifier_run, io.BytesIO(b"plain text")))


def test_predictions_as_a_table(classifier_run, long_video, tmp_path):
    mgm.predict(classifier_run, [long_video], top=2).save(tmp_path / "classes.csv")
    header, *rows = (tmp_path / "classes.csv").read_text().splitlines()
    assert header == "path,begin,end,rank,class,probability"
    assert [row.split(",")[3] for row in rows] == ["1", "2"]
