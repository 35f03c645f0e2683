import gzip
import hashlib
import http.server
import io
import re
import tarfile
import threading

import pytest

from muon_theory.problems import data_sets
from muon_theory.problems.cifar10 import RECORD_BYTES, TEST_FILE, TRAINING_FILES
from muon_theory.problems.data_sets import DATA_SETS, fetch
from muon_theory.problems.download import download

CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server:
    """A local server whose manners can be set: ranges or none, a connection that breaks, an error."""

    def __init__(self):
        self.files, self.ranges, self.breaks_after, self.error = {"file.bin": CONTENT}, True, [], None
        self.asked = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, format, *args):
                pass

            def do_GET(self):
                outer.answer(self)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}/"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def answer(self, request):
        wanted = request.headers.get("Range")
        self.asked.append(wanted)
        content = self.files.get(request.path.rpartition("/")[2])
        if self.error or content is None:
            request.send_error(self.error or 404)
            return
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted and self.ranges else 0
        if start >= len(content):
            request.send_error(416)
            return
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        request.send_header("Content-Length", str(len(content) - start))
        request.end_headers()
        stop = len(content) if not self.breaks_after else start + self.breaks_after.pop(0)
        request.wfile.write(content[start:stop])


@pytest.fixture
def server():
    made = Server()
    yield made
    made.server.shutdown()
    made.thread.join()
    made.server.server_close()


def fetched(server, folder, sha256=SHA256, **options):
    return download("file.bin", [server.address + "file.bin"], sha256, folder, **options)


def test_a_file_is_fetched_once_with_progress_up_to_its_length(server, tmp_path):
    told = []
    assert fetched(server, tmp_path, progress=lambda *counts: told.append(counts)).read_bytes() == CONTENT
    assert told[0] == (0, len(CONTENT))
    assert told[-1] == (len(CONTENT), len(CONTENT))
    fetched(server, tmp_path)
    assert server.asked == [None]
    assert [file.name for file in tmp_path.iterdir()] == ["file.bin"]


def test_a_broken_connection_is_continued_where_it_broke(server, tmp_path):
    server.breaks_after = [1000, 500]
    assert fetched(server, tmp_path).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000-", "bytes=1500-"]


def test_an_interrupted_download_goes_on_in_the_next_call(server, tmp_path):
    server.breaks_after = [1000, 1, 1]
    with pytest.raises(OSError, match=r"1002 bytes are kept, and the same command goes on from there"):
        fetched(server, tmp_path)
    assert (tmp_path / "file.bin.part").stat().st_size == 1002
    assert not (tmp_path / "file.bin").exists()
    assert fetched(server, tmp_path).read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=1002-"
    assert not (tmp_path / "file.bin.part").exists()


def test_a_keyboard_interrupt_keeps_the_part(server, tmp_path):
    def stop(there, total):
        if there:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetched(server, tmp_path, progress=stop)
    assert (tmp_path / "file.bin.part").is_file()
    assert fetched(server, tmp_path).read_bytes() == CONTENT


def test_a_server_without_ranges_is_read_from_the_beginning(server, tmp_path):
    server.ranges = False
    (tmp_path / "file.bin.part").write_bytes(b"what came before")
    assert fetched(server, tmp_path).read_bytes() == CONTENT
    assert server.asked == ["bytes=16-"]


def test_a_part_that_is_complete_needs_no_byte_more(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    assert fetched(server, tmp_path).read_bytes() == CONTENT


def test_a_spoilt_part_is_thrown_away_and_the_file_fetched_from_the_beginning(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(b"x" * 1000)
    assert fetched(server, tmp_path).read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-", None]


def test_a_wrong_checksum_leaves_nothing_and_is_told(server, tmp_path):
    with pytest.raises(OSError, match=rf"SHA-256 is {SHA256}, expected 000"):
        fetched(server, tmp_path, sha256="0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_the_next_address_goes_on_with_the_part_of_the_first(server, tmp_path):
    server.breaks_after = [4000]
    addresses = [server.address + "file.bin", server.address + "nowhere/file.bin"]
    server.files["file.bin"] = CONTENT
    assert download("file.bin", addresses, SHA256, tmp_path).read_bytes() == CONTENT
    server.error = 503
    with pytest.raises(OSError, match=r"could not download other.bin.*503.*503"):
        download("other.bin", addresses, SHA256, tmp_path)


def archive(members):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def test_cifar10_is_unpacked_once_and_then_needs_no_network(server, tmp_path, monkeypatch):
    monkeypatch.setattr(data_sets, "IMAGES_A_FILE", 2)
    records = {f"cifar-10-batches-bin/{name}": bytes(2 * RECORD_BYTES) for name in (*TRAINING_FILES, TEST_FILE)}
    records["cifar-10-batches-bin/readme.html"] = b"<html>"
    records["../escaped.bin"] = b"no"
    packed = server.files["cifar-10-binary.tar.gz"] = archive(records)
    files = {"cifar-10-binary.tar.gz": hashlib.sha256(packed).hexdigest()}
    server.breaks_after = [100]
    told = []
    paths = fetch("cifar10", tmp_path, mirrors=(server.address,), files=files, progress=lambda *a: told.append(a))
    assert [path.name for path in paths] == [*TRAINING_FILES, TEST_FILE]
    assert told[-1] == ("cifar-10-binary.tar.gz", len(packed), len(packed))
    assert sorted(path.name for path in paths[0].parent.iterdir()) == sorted(path.name for path in paths)
    asked = len(server.asked)
    assert fetch("cifar10", tmp_path, mirrors=(server.address,), files=files) == paths
    assert len(server.asked) == asked
    paths[2].write_bytes(b"damaged")
    fetch("cifar10", tmp_path, mirrors=(server.address,), files=files)
    assert paths[2].stat().st_size == 2 * RECORD_BYTES


@pytest.mark.parametrize(("content", "told"), [(archive({"a/test_batch.bin": b""}), "lacks data_batch_1.bin"),
                                               (gzip.compress(b"text"), "is no archive")])  # fmt: skip
def test_an_archive_without_the_files_is_an_error(server, tmp_path, content, told):
    server.files["cifar-10-binary.tar.gz"] = content
    files = {"cifar-10-binary.tar.gz": hashlib.sha256(content).hexdigest()}
    with pytest.raises(OSError, match=told):
        fetch("cifar10", tmp_path, mirrors=(server.address,), files=files)


def test_every_data_set_states_terms_and_full_checksums():
    for described in DATA_SETS.values():
        assert len(described.terms) > 40
        assert all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in described.files.values())
        assert all(mirror.startswith("https://") and mirror.endswith("/") for mirror in described.mirrors)
    with pytest.raises(ValueError, match="can fetch mnist, cifar10, tinyshakespeare"):
        fetch("imagenet")
