from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mlparity.errors import DataFolderError
from mlparity.stack.folder import DataFolder


def test_a_new_folder_is_made_and_can_be_prepared_again(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "new" / "data")
    folder.prepare()
    folder.prepare()
    assert json.loads((folder.path / "mlparity.json").read_text()) == {"format": 1}


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(DataFolderError, match="not a data folder") as caught:
        DataFolder(tmp_path).prepare()
    assert "thesis.tex" in caught.value.why
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.touch()
    with pytest.raises(DataFolderError, match="is no folder"):
        DataFolder(path).prepare()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(DataFolderError, match="cannot be written") as caught:
            DataFolder(tmp_path / "data").prepare()
        assert "--data-dir or MLPARITY_DATA_DIR" in caught.value.hint
    finally:
        tmp_path.chmod(0o700)


def test_a_folder_of_a_newer_version(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    (folder.path / "mlparity.json").write_text('{"format": 2}')
    with pytest.raises(DataFolderError, match="another layout") as caught:
        folder.prepare()
    assert "format 2" in caught.value.why


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is empty"),
        (b"[]", "its values are of another kind or number"),
        (b"{}", "it has no 'format'"),
        (b"\x00", "it is not JSON (line 1)"),
        (b"\xff\xff", "it is not text"),
    ],
)
def test_a_damaged_marker_is_told_in_words(tmp_path: Path, content: bytes, why: str) -> None:
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    (folder.path / "mlparity.json").write_bytes(content)
    for look in (folder.prepare, folder.inspect):
        with pytest.raises(DataFolderError, match=r"mlparity\.json is damaged") as caught:
            look()
        assert caught.value.why == why


def test_looking_touches_nothing(tmp_path: Path) -> None:
    DataFolder(tmp_path / "none").inspect()
    DataFolder(tmp_path).inspect()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["mlparity.db", "mlflow.db"])
def test_a_database_that_is_none(tmp_path: Path, name: str) -> None:
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    path = folder.path / "state" / name
    path.write_text("this is no database at all\n" * 100)
    with pytest.raises(DataFolderError) as caught:
        folder.prepare()
    assert str(path) in caught.value.what
    assert "not a database" in caught.value.why


def test_logs_rotate_and_three_are_kept(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    for number in range(6):
        folder.rotate_log("part").write_text(str(number))
    kept = {path.name: path.read_text() for path in folder.logs_dir.iterdir()}
    assert kept == {"part.log": "5", "part.log.1": "4", "part.log.2": "3", "part.log.3": "2"}


def test_a_record_whose_process_id_is_no_number_is_damaged(tmp_path: Path) -> None:
    from mlparity.stack.record import read_record

    path = tmp_path / "stack.json"
    path.write_text('{"children": [], "pid": "x"}')
    with pytest.raises(DataFolderError) as caught:
        read_record(path)
    assert caught.value.why == "it is not what a supervisor writes: its values are of another kind or number"


def test_down_where_the_data_folder_is_a_file_stops_nothing(tmp_path: Path) -> None:
    from mlparity.stack.stop import stop

    path = tmp_path / "file"
    path.touch()
    assert stop(DataFolder(path)).parts == ()
