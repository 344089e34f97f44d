#!/bin/sh
# Makes the environment in which tests/integrations/test_engines.py runs Ray, Spark and Daft, with the package of
# this checkout installed: engines-venv.sh FOLDER. PYTHON names another Python than python3.
set -eu

folder=$1
root=$(cd "$(dirname "$0")/.." && pwd)

"${PYTHON:-python3}" -m venv "$folder"
# What an earlier build left there would go into the wheel.
rm -rf "$root"/build/lib* "$root"/build/bdist*
# One installation, so that all of them get one version of pyarrow and of NumPy.
"$folder/bin/python" -m pip install -qq --disable-pip-version-check "$root[ray,spark,daft,datatrove]"
