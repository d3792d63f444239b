#!/usr/bin/python3
"""Fails when a source file includes a layer that it may not see.

Usage: check_layers.py [ROOT]

  1. A layer includes only the layers listed for it below (docs/architecture.md draws the order).
  2. The pure layers include no header of the operating system, the clock, randomness, threads or
     an I/O library: the simulator must be able to own all of these.
  3. Public headers include only public headers, the C++ library and <tl/expected.hpp>.
  4. Tools and examples include public headers only.
Exit status: 0 clean, 1 violations (printed as file:line: message), 2 misuse.
"""

import pathlib
import re
import sys

ALLOWED = {
    "base": set(),
    "data": {"base"},
    "wire": {"base"},
    "overlay": {"base"},
    "session": {"base", "wire"},
    "node": {"base", "wire", "overlay", "session"},
    "replica": {"base", "data"},
    "request": {"base"},
    "transport": {"base"},
    "storage": {"base", "data", "replica"},
    "endpoint": {"base", "data", "wire", "overlay", "node", "replica", "request", "transport",
                 "storage"},
    "zeek": set(),  # on the public headers alone, as any program
}
PURE = {"base", "data", "wire", "overlay", "session", "node", "replica", "request"}
IMPURE = re.compile(
    r"^(?:(?:sys|netinet)/"
    r"|(?:zmq|lmdb|sodium|unistd|fcntl|poll|pthread|random|thread|mutex|shared_mutex"
    r"|condition_variable|future|filesystem|fstream|iostream|cstdio)(?:$|\.))"
)
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def violation(kind, layer, name):
    head, slash, _ = name.partition("/")
    private = head if slash and head in ALLOWED else None
    if kind == "public":
        if private:
            return f"public header includes private layer {private}"
        if "." in name and head != "bzmq" and name != "tl/expected.hpp":
            return f"public header includes <{name}>"
    elif kind == "outside":
        if private:
            return f"only public headers may be used here, not layer {private}"
    elif private and private != layer and private not in ALLOWED[layer]:
        return f"layer {layer} may not include layer {private}"
    elif layer in PURE and IMPURE.match(name):
        return f"pure layer {layer} includes <{name}>"
    return None


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    places = [(root / "lib/include", "public"), (root / "lib/src", "private"),
              (root / "tools", "outside"), (root / "examples", "outside")]
    if not places[0][0].is_dir():
        print(f"{root}: no lib/include", file=sys.stderr)
        return 2
    bad = 0
    for place, kind in places:
        for path in sorted(place.rglob("*")):
            if path.suffix not in (".hpp", ".cpp", ".h"):
                continue
            layer = path.relative_to(place).parts[0]
            if kind == "private" and layer not in ALLOWED:
                print(f"{path.relative_to(root)}: unknown layer {layer}")
                bad += 1
                continue
            for number, line in enumerate(path.read_text().splitlines(), 1):
                match = INCLUDE.match(line)
                why = violation(kind, layer, match.group(2)) if match else None
                if why:
                    bad += 1
                    print(f"{path.relative_to(root)}:{number}: {why}")
    print(f"check_layers: {bad} violation(s)")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
