import functools
import hashlib
import http.server
import threading
from pathlib import Path

import pytest

from muon_theory.problems import data_folder, fetch_mnist


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass


@pytest.fixture
def mirror(tmp_path):
    served = tmp_path / "served"
    served.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(served)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield served, f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_argument_comes_before_the_variable_and_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("MUON_THEORY_DATA", str(tmp_path / "variable"))
    assert data_folder(tmp_path / "argument") == tmp_path / "argument"
    assert data_folder() == tmp_path / "variable"
    monkeypatch.setenv("MUON_THEORY_DATA", "")
    assert data_folder().name == "muon_theory"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_folder("~/data") == tmp_path / "data"


def test_a_file_is_no_data_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="name a folder"):
        data_folder(tmp_path / "file")


def test_a_download_is_checked_and_done_once(mirror, tmp_path):
    served, address = mirror
    (served / "one.gz").write_bytes(b"content")
    files = {"one.gz": hashlib.sha256(b"content").hexdigest()}
    (path,) = fetch_mnist(tmp_path / "data", mirrors=[address], files=files)
    assert path == tmp_path / "data" / "mnist" / "one.gz"
    assert path.read_bytes() == b"content"
    (served / "one.gz").unlink()
    assert fetch_mnist(tmp_path / "data", mirrors=[address], files=files) == [path]


def test_a_damaged_file_is_downloaded_anew(mirror, tmp_path):
    served, address = mirror
    (served / "one.gz").write_bytes(b"content")
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "one.gz").write_bytes(b"cont")
    files = {"one.gz": hashlib.sha256(b"content").hexdigest()}
    (path,) = fetch_mnist(tmp_path, mirrors=[address], files=files)
    assert path.read_bytes() == b"content"


def test_the_second_mirror_serves_what_the_first_spoils(mirror, tmp_path):
    served, address = mirror
    for folder, content in (("first", b"spoilt"), ("second", b"content")):
        (served / folder).mkdir()
        (served / folder / "one.gz").write_bytes(content)
    files = {"one.gz": hashlib.sha256(b"content").hexdigest()}
    mirrors = [f"{address}missing/", f"{address}first/", f"{address}second/"]
    (path,) = fetch_mnist(tmp_path / "data", mirrors=mirrors, files=files)
    assert path.read_bytes() == b"content"


def test_a_wrong_checksum_everywhere_is_an_error_and_leaves_no_file(mirror, tmp_path):
    served, address = mirror
    (served / "one.gz").write_bytes(b"spoilt")
    with pytest.raises(OSError, match=r"could not download one.gz.*place it there by hand"):
        fetch_mnist(tmp_path / "data", mirrors=[address], files={"one.gz": "0" * 64})
    assert list((tmp_path / "data" / "mnist").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mnist").touch()
    with pytest.raises(OSError, match="mnist"):
        fetch_mnist(Path(tmp_path / "data"), mirrors=[], files={})
