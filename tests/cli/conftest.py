import pytest

from support import CLI, OK, Process, run


@pytest.fixture
def start():
    """Starts processes and ends them with the test."""
    running = []

    def starter(*arguments, kind=Process, **more):
        running.append(kind(CLI, *arguments, **more))
        return running[-1]

    yield starter
    deaf = [str(process) for process in reversed(running) if not process.end()]
    assert not deaf, "SIGTERM did not end them"


@pytest.fixture
def keys(tmp_path):
    """Makes key pairs; those of `allow` may connect."""
    allowed = tmp_path / "allowed"
    allowed.mkdir()

    def make(name, allow=True):
        path = tmp_path / name
        assert run("keygen", path).returncode == OK
        if allow:
            (allowed / f"{name}.key").write_text((tmp_path / f"{name}.key").read_text())
        return path

    make.allowed = allowed
    return make
