#!/bin/sh
set -e
echo "arguments: $*"
python3 -c 'import sklearn, pathlib, os; pathlib.Path(os.environ["SM_MODEL_DIR"], "version").write_text(sklearn.__version__)'
