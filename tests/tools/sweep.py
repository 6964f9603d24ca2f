"""Changes every byte of a bundle, or every so many, and asks the second verifier: sweep.py FOLDER TRUST EVERY.

Files that the manifest lists are compared with their digests; the manifest and its list are read anew. Digests of files that did not change are kept.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../crates/evidence/verify"))
import bundle

SMALL = 8192


class Changed(bundle.Bundle):
    """A bundle of which one file is another."""

    name, data = None, b""

    def __init__(self, root, trust):
        super().__init__(root, trust)
        self.known = {name: super(Changed, self).digest(name) for name in self.names}

    def read(self, name):
        return self.data if name == self.name else super().read(name)

    def digest(self, name):
        return bundle.sha256(self.data).hexdigest() if name == self.name else self.known[name]


def main(folder, trust, every):
    one = Changed(folder, bundle.Trust(trust))
    manifest = one.manifest()
    tried = 0
    for name in sorted(one.names):
        one.name = None
        whole = one.read(name)
        one.name, end = name, len(whole)
        if end <= SMALL:
            places = range(0, end, every)
        else:
            places = [*range(0, 512, every), *range(0, end, 997 * every), *range(end - 512, end, every)]
        for at in places:
            for data in (whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :],) if at % 31 else (whole[:at], whole[:at] + whole[at + 1 :], whole[:at] + b"x" + whole[at:]):
                one.data = data
                try:
                    if name in (bundle.MANIFEST, bundle.SUMS):
                        one.manifest()
                    else:
                        one.files(manifest)
                except Exception as error:
                    if name not in str(error) and bundle.MANIFEST not in str(error):
                        sys.exit(f"{name}, byte {at}: {error!r} does not name it")
                else:
                    sys.exit(f"{name}, byte {at}: not found")
                tried += 1
    print(f"{tried} changes, all found")


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
