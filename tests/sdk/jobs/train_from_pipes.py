"""Reads its channels in Pipe mode: two epochs of one, the first line of a third, and records of another channel."""

import json
import os
import stat
from pathlib import Path

DATA = Path(os.environ["SM_CHANNEL_TRAIN"]).parent
config = json.loads((DATA.parent / "config" / "inputdataconfig.json").read_text())
seen = {
    "config": {name: config[name] for name in ("train", "records", "code")},
    "before": sorted(path.name for path in DATA.iterdir() if path.name.startswith(("train", "records"))),
    "is_fifo": stat.S_ISFIFO((DATA / "train_0").stat().st_mode),
    "epochs": [(DATA / f"train_{epoch}").read_text() for epoch in (0, 1)],
}
with (DATA / "train_2").open() as stream:
    seen["first_line"] = stream.readline()
(Path(os.environ["SM_MODEL_DIR"]) / "records").write_bytes((DATA / "records_0").read_bytes())
(Path(os.environ["SM_MODEL_DIR"]) / "seen.json").write_text(json.dumps(seen))
