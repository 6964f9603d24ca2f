"""Refuses a dependency whose licence does not go with Apache-2.0 OR MIT; reads `cargo metadata` on standard input."""

import json
import re
import sys

FREE = {
    "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "MIT", "MIT-0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "ISC",
    "Unicode-3.0", "Unlicense", "Zlib", "0BSD", "MPL-2.0",
    # Of data: the list of roots that the web trusts.
    "CDLA-Permissive-2.0",
}


def free(expression: str) -> bool:
    """An SPDX expression with AND and OR, as crates write them; `/` is an old spelling of OR."""
    words = re.sub(r"\s*/\s*", " OR ", expression)
    words = re.sub(r"[A-Za-z0-9.-]+(?: WITH [A-Za-z0-9.-]+)?", lambda word: word[0] if word[0] in ("AND", "OR") else str(word[0] in FREE), words)
    return bool(eval(words.replace("AND", "and").replace("OR", "or"), {"__builtins__": {}}))


refused = [
    f"{package['name']} {package['version']}: {package['license']}"
    for package in json.load(sys.stdin)["packages"]
    if not package["license"] or not free(package["license"])
]
if refused:
    sys.exit("gate: licences that do not go with ours:\n  " + "\n  ".join(refused))
