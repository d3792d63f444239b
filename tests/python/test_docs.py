"""Runs every block of Python in the guides for Python as a program of its own."""

import re

import pytest

from conftest import SOURCE, finish

TEXTS = {name: (SOURCE / f"docs/{name}.md").read_text() for name in ("python", "pyzmq", "from-broker")}
BLOCKS = [(f"{name}: " + text[:found.start()].rsplit("\n## ", 1)[1].split("\n")[0], found[1])
          for name, text in TEXTS.items()
          for found in re.finditer(r"```python\n(.*?)```", text, re.DOTALL)]


@pytest.mark.parametrize("block", [text for _, text in BLOCKS],
                         ids=[f"{i}-{title}" for i, (title, _) in enumerate(BLOCKS)])
def test_a_block_runs(program, block):
    if "import zmq\n" in block or "import bzmq.zmq" in block:
        pytest.importorskip("zmq")
    finish(program(block))


def test_there_are_blocks():
    assert len(BLOCKS) >= 14
