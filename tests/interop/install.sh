#!/bin/sh
# Makes an environment with the real packages for the interop tests: install.sh DIR [PYTHON]
#
# PYTHON is CPython 3.11. Some 5 GB, most of it torch. Engines whose wheels would pull in a serving stack are not installed: only their
# watermark modules are unpacked, to DIR/peers. Everything comes from the package index that pip is set up with, at fixed versions.
set -eu

dir=${1:?usage: install.sh DIR [PYTHON]}
python=${2:-python3.11}

"$python" -m venv "$dir"
"$dir/bin/python" -m pip install --quiet \
    torch==2.13.0 transformers==5.24.0 numpy==2.4.6 scipy==1.17.1 pydantic==2.14.4 \
    msgspec==0.22.0 gguf==0.19.0 accelerate==1.15.0
"$dir/bin/python" -m pip install --quiet --no-deps synthid-text==0.2.1 textseal==0.0.5 markllm==0.1.5

wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT
"$dir/bin/python" -m pip download --quiet --no-deps --only-binary :all: --dest "$wheels" vllm==0.33.0 sglang==0.5.23
"$dir/bin/python" - "$wheels" "$dir/peers" <<'PYTHON'
import pathlib
import sys
import zipfile

wheels, peers = map(pathlib.Path, sys.argv[1:])
wanted = {
    "vllm": ("vllm/v1/watermarking/", "vllm/config/watermarking.py"),
    "sglang": ("sglang/srt/sampling/watermarking/",),
}
for name, prefixes in wanted.items():
    (wheel,) = wheels.glob(f"{name}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        members = [member for member in archive.namelist() if member.startswith(prefixes)]
        archive.extractall(peers / name, members)
    print(f"{name}: {len(members)} files of {wheel.name}")
PYTHON
echo "ready: $dir/bin/python tests/interop/peers.py"
