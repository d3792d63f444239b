"""The PEP 517 back end of `pip install ./python`: builds the extension by CMake, packs a wheel.

Settings (`pip install --config-settings=NAME=VALUE`):
    build-dir    an existing or new build folder; by default build/pip beside this folder's parent
    build-type   of a new one; by default Release
"""

import base64
import hashlib
import os
import pathlib
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
PROJECT = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]
STEM = f"{PROJECT['name']}-{PROJECT['version']}"


def get_requires_for_build_wheel(config_settings=None):
    return []


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    folder = pathlib.Path(metadata_directory) / f"{STEM}.dist-info"
    folder.mkdir()
    for name, text in _metadata().items():
        (folder / name).write_text(text)
    return folder.name


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    settings = config_settings or {}
    build = pathlib.Path(settings.get("build-dir", ROOT / "build/pip")).resolve()
    with tempfile.TemporaryDirectory() as scratch:
        _build(build, settings.get("build-type", "Release"), scratch)
        name = f"{STEM}-{_tag()}.whl"
        _pack(pathlib.Path(scratch), pathlib.Path(wheel_directory) / name)
    return name


def _build(build, build_type, prefix):
    if not (build / "CMakeCache.txt").exists():
        generator = ["-G", "Ninja"] if _have("ninja") else []
        _run("cmake", "-S", ROOT, "-B", build, *generator, f"-DCMAKE_BUILD_TYPE={build_type}",
             f"-DPython3_EXECUTABLE={sys._base_executable}", "-DBZMQ_PYTHON=ON",
             "-DBZMQ_ASSERTIONS=OFF", "-DBZMQ_BUILD_TESTS=OFF", "-DBZMQ_BUILD_TOOLS=OFF",
             "-DBZMQ_BUILD_EXAMPLES=OFF")
    # The number of processors that this process may use.
    jobs = str(len(os.sched_getaffinity(0)))
    _run("cmake", "--build", build, "--target", "bzmq_python", "-j", jobs)
    with tempfile.TemporaryDirectory() as staging:
        _run("cmake", "--install", build, "--component", "python", "--prefix", staging, "--strip")
        found = list(pathlib.Path(staging).rglob("bzmq/__init__.py"))
        if not found:
            raise SystemExit("the Python package was not built: is pybind11-dev installed?")
        found[0].parent.rename(pathlib.Path(prefix) / "bzmq")


def _pack(tree, wheel):
    records = []

    def add(archive, name, content):
        archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), content,
                         zipfile.ZIP_DEFLATED)
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        records.append(f"{name},sha256={digest},{len(content)}")

    with zipfile.ZipFile(wheel, "w") as archive:
        for path in sorted(tree.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                add(archive, str(path.relative_to(tree)), path.read_bytes())
        for name, text in _metadata().items():
            add(archive, f"{STEM}.dist-info/{name}", text.encode())
        record = f"{STEM}.dist-info/RECORD"
        archive.writestr(record, "\n".join([*records, f"{record},,", ""]))


def _metadata():
    return {
        "METADATA": (f"Metadata-Version: 2.1\nName: {PROJECT['name']}\n"
                     f"Version: {PROJECT['version']}\nSummary: {PROJECT['description']}\n"
                     f"Requires-Python: {PROJECT['requires-python']}\n"),
        "WHEEL": (f"Wheel-Version: 1.0\nGenerator: bzmq\nRoot-Is-Purelib: false\nTag: {_tag()}\n"),
    }


def _tag():
    version = f"cp{sys.version_info.major}{sys.version_info.minor}"
    return f"{version}-{version}-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"


def _have(program):
    return any(os.access(os.path.join(folder, program), os.X_OK)
               for folder in os.environ.get("PATH", "").split(os.pathsep))


def _run(*command):
    subprocess.run([str(each) for each in command], check=True)
