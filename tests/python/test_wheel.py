"""`pip install ./python` without network, into a virtual environment, from the build tree's objects."""

import os
import subprocess
import sys

import pytest

from conftest import BUILD, SOURCE


def test_pip_installs_the_package_without_network(tmp_path):
    pytest.importorskip("ensurepip", reason="python3-venv is not installed")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True, env=environment, timeout=120)
    subprocess.run([venv / "bin/pip", "install", "--no-index", "--disable-pip-version-check", "-q",
                    f"--config-settings=build-dir={BUILD}", SOURCE / "python"],
                   check=True, env=environment, timeout=250)
    told = subprocess.run(
        [venv / "bin/python", "-c",
         "import bzmq, importlib.metadata as m, pathlib;"
         "bzmq.Endpoint().shutdown();"
         "print(bzmq.__file__, m.version('bzmq'),"
         "      (pathlib.Path(bzmq.__file__).parent / 'py.typed').exists())"],
        check=True, env=environment, capture_output=True, text=True, timeout=60).stdout.split()
    assert told[0].startswith(str(venv)) and told[1:] == [bzmq_version(), "True"]


def bzmq_version():
    import bzmq
    return bzmq.__version__
