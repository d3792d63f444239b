"""Runs pyzmq's own installed test suite under the back end, and compares.

    pyzmq_suite.py [--carry bzmq|all] [--build DIR] [-- ARGUMENTS OF PYTEST]

Every test must pass but those that docs/pyzmq.md names with their reasons, and those that also fail on
stock pyzmq; what is skipped must be skipped there, too, and in all PASSED_LEAST must pass. A test that fails is
run again, alone: many of them hope that a sleep was long enough. Exit code 77: pyzmq's tests are not installed.
"""

import argparse
import importlib.util
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

SOURCE = pathlib.Path(__file__).resolve().parents[2]
SKIPPED = 77
# Of pyzmq 24.0.1, with what tools/setup installs.
PASSED_LEAST = 320
# Those that the list of `--carry all` may not name: what the overlay is there for.
MUST_PASS = ("test_pubsub", "test_poll", "test_message", "test_log", "test_context", "test_socket")


def known_failures():
    """Names and reasons from the table in docs/pyzmq.md."""
    text = (SOURCE / "docs/pyzmq.md").read_text()
    section = text.split("## pyzmq's own tests")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| `(test_[^`]+)` \| (.+?) \|$", section, re.MULTILINE))


def environment(carry, build):
    made = {name: value for name, value in os.environ.items() if not name.startswith("BZMQ_")}
    made["PYTHONDONTWRITEBYTECODE"] = "1"
    if carry:
        made.update(PYZMQ_BACKEND="bzmq.pyzmq_backend", BZMQ_PYZMQ=carry,
                    PYTHONPATH=str(build / "python"))
    return made


def run(carry, build, *arguments):
    """{test: outcome}: "passed", "skipped" or what went wrong."""
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report.xml"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}",
             "--pyargs", "zmq.tests", *arguments],
            cwd=folder, env=environment(carry, build), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True)
        if not report.exists():
            sys.exit(f"pytest did not come to an end ({done.returncode}):\n{done.stdout[-3000:]}")
        outcomes = {}
        for case in xml.etree.ElementTree.parse(report).iter("testcase"):
            module = case.get("classname").split(".")
            if "tests" in module:
                module = module[module.index("tests") + 1:]
            name = "::".join([*module, case.get("name")])
            bad = [each for each in case if each.tag in ("failure", "error")]
            skipped = case.find("skipped") is not None
            outcomes[name] = (bad[0].get("message") or "failed") if bad else \
                "skipped" if skipped else "passed"
        return outcomes


def failures(outcomes):
    return {name: why for name, why in outcomes.items() if why not in ("passed", "skipped")}


def again(names, carry, build):
    """Those of `names` that fail once more, each alone."""
    left = {}
    for name in names:
        selector = name.split("::")[-1].split("[")[0]
        left.update({each: why for each, why in failures(run(carry, build, "-k", selector)).items()
                     if each == name})
    return left


def skipped_here_only(outcomes, build):
    """Those that are skipped under the back end and run on stock pyzmq."""
    skipped = {name for name, outcome in outcomes.items() if outcome == "skipped"}
    names = sorted({name.split("::")[-1].split("[")[0] for name in skipped})
    stock = run(None, build, "-k", " or ".join(names)) if names else {}
    return sorted(name for name in skipped if stock.get(name) != "skipped")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--carry", choices=("bzmq", "all"), default="all")
    parser.add_argument("--build", type=pathlib.Path,
                        default=pathlib.Path(os.environ.get("BZMQ_BUILD", SOURCE / "build/dev")))
    parser.add_argument("pytest", nargs="*", help="arguments of pytest, such as -k log")
    chosen = parser.parse_args()
    if importlib.util.find_spec("zmq") is None or importlib.util.find_spec("zmq.tests") is None:
        print("pyzmq's own tests are not installed (Debian: python3-zmq)")
        return SKIPPED
    outcomes = run(chosen.carry, chosen.build, *chosen.pytest)
    bad = again(failures(outcomes), chosen.carry, chosen.build)
    known = known_failures() if chosen.carry == "all" else {}
    unknown = {name: why for name, why in bad.items() if name not in known}
    on_stock = again(unknown, None, chosen.build)
    unknown = {name: why for name, why in unknown.items() if name not in on_stock}
    skipped = [name for name in skipped_here_only(outcomes, chosen.build)
               if name not in known]
    stale = [name for name in known if outcomes.get(name) == "passed"]
    shy = [name for name in known if name.startswith(MUST_PASS)]
    count = {kind: sum(each == kind for each in outcomes.values()) for kind in ("passed", "skipped")}
    count["passed"] += len(failures(outcomes)) - len(bad)
    print(f"{chosen.carry}: {count['passed']} passed, {count['skipped']} skipped, {len(bad)} failed, "
          f"{len(on_stock)} of these on stock pyzmq too")
    for name, why in unknown.items():
        print(f"FAILED {name}: {why}")
    for name in skipped:
        print(f"SKIPPED {name}, which runs on stock pyzmq")
    few = not chosen.pytest and count["passed"] < PASSED_LEAST
    if few:
        print(f"expected {PASSED_LEAST} to pass; is one of the packages of tools/setup missing?")
    for name in stale:
        print(f"{name} passes, but docs/pyzmq.md says that it cannot")
    for name in shy:
        print(f"docs/pyzmq.md excuses {name}, which must pass")
    return 1 if unknown or skipped or stale or shy or few or not count["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
