"""Drives `bzmq-cli logger` and `replay --logs` as processes. BZMQ_CLI names the program."""

import gzip
import json
import os
import pathlib
import resource
import signal
import time

import pytest

from support import CLI, FAILURE, OK, SOURCE, USAGE, WAIT, Node, Process, run

LOGS = pathlib.Path(os.environ.get("BZMQ_ZEEK_LOGS", SOURCE / "../shared/data/zeek-logs"))
HEADER = (b"#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n"
          b"#path\ttest\n#open\t2024-04-12-19-29-12\n#fields\tz\ta\ts\n"
          b"#types\ttime\tstring\tset[string]\n")


class Logger(Node):
    """`bzmq-cli logger --json` on an ephemeral port."""

    def __init__(self, binary, folder, *arguments, **more):
        Process.__init__(self, binary, "logger", "--json", "--name", "logger", "--folder", folder,
                         "--listen", "tcp://127.0.0.1:0", *arguments, **more)
        self.url = self.event("listening")["url"]
        self.id = self.event("ready")["id"]

    def stop(self):
        self.signal(signal.SIGTERM)
        assert self.wait() == OK, self.error_text()


def read(path):
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def canonical(path):
    """A log's lines in order, its sets' elements in order, without the times of opening and closing."""
    out, types = [], []
    for line in read(path).splitlines():
        if line.startswith((b"#open", b"#close")):
            continue
        cells = line.split(b"\t")
        if cells[0] == b"#types":
            types = cells[1:]
        elif not line.startswith((b"#", b"{")):
            cells = [b",".join(sorted(cell.split(b","))) if kind.startswith(b"set[") else cell
                     for kind, cell in zip(types, cells, strict=True)]
        out.append(b"\t".join(cells))
    return sorted(out)


def replay(url, *files, more=()):
    done = run("replay", "--logs", "--peer", url, "--wait", *WAIT, *more, *files)
    assert done.returncode == OK, done.stderr


def await_that(condition, timeout=30):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_replayed_log_comes_out_equal_with_fields_in_order_and_types_of_what_is_unset(tmp_path, start):
    source = tmp_path / "source.log"
    source.write_bytes(HEADER + b"1521911720.865716\t-\t(empty)\n"
                       b"1521911720.000001\t-\\x09\\xff\\\\x\tb,a\\x2c\n")
    logger = start(tmp_path / "out", kind=Logger)
    replay(logger.url, source)
    logger.stop()
    assert canonical(tmp_path / "out/test.log") == canonical(source)
    assert read(tmp_path / "out/test.log").splitlines()[:5] == HEADER.splitlines()[:5]


@pytest.mark.skipif(not (LOGS / "dns.log.gz").exists(), reason="BZMQ_ZEEK_LOGS names no folder of logs")
def test_real_logs_come_out_equal(tmp_path, start):
    logger = start(tmp_path / "out", "--rotate-size", "1M", "--gzip", kind=Logger)
    logs = sorted(LOGS.glob("*.log.gz"))
    replay(logger.url, *logs)
    logger.stop()
    for log in logs:
        name = log.name.split(".")[0]
        parts = sorted((tmp_path / "out").glob(f"{name}.*"))
        got = [line for part in parts for line in canonical(part) if not line.startswith(b"#")]
        assert sorted(got) == [line for line in canonical(log) if not line.startswith(b"#")], name
    assert len(list((tmp_path / "out").glob("dns.*.log.gz"))) >= 5
    assert all(b"#close" in read(part) for part in (tmp_path / "out").glob("*.log*"))


@pytest.mark.skipif(not (LOGS / "weird.json.gz").exists(), reason="BZMQ_ZEEK_LOGS names no folder of logs")
def test_real_json_logs_come_out_equal(tmp_path, start):
    logger = start(tmp_path / "out", "--log-format", "json", "--json-time", "iso8601", kind=Logger)
    replay(logger.url, LOGS / "weird.json.gz", LOGS / "notice.json.gz")
    logger.stop()
    for name in ("weird", "notice"):
        assert canonical(tmp_path / f"out/{name}.log") == canonical(LOGS / f"{name}.json.gz")


def test_a_full_disk_holds_publishers_up_and_loses_nothing(tmp_path, start):
    source = tmp_path / "source.log"
    rows = b"".join(b"%d.000000\tsome text that takes room\t(empty)\n" % i for i in range(20_000))
    source.write_bytes(HEADER + rows)
    logger = start(tmp_path / "out", "--flush", "50ms", kind=Logger)
    pid = logger.process.pid
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (100_000, hard))
    replay(logger.url, source)
    await_that(lambda: "test.log: File too large; trying again" in logger.error_text())
    # Told to stop, it keeps what it has acknowledged until there is room.
    logger.signal(signal.SIGTERM)
    await_that(lambda: "not written yet; a second signal gives them up" in logger.error_text())
    assert logger.process.poll() is None
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
    assert logger.wait() == OK, logger.error_text()
    assert "writing again" in logger.error_text()
    assert canonical(tmp_path / "out/test.log") == canonical(source)


def test_sigterm_writes_all_that_was_acknowledged(tmp_path, start):
    source = tmp_path / "source.log"
    source.write_bytes(HEADER + b"".join(b"%d.000000\t-\t-\n" % i for i in range(50_000)))
    logger = start(tmp_path / "out", "--flush", "1h", kind=Logger)
    replay(logger.url, source)
    logger.stop()
    assert canonical(tmp_path / "out/test.log") == canonical(source)
    assert "50000 records written" in logger.error_text()


def test_what_is_no_record_is_kept_and_told(tmp_path, start):
    logger = start(tmp_path / "out", kind=Logger)
    for value in ("7", "(1, 3, (enum(a), enum(b), late, (1, 2)))", "(1, 9, ())"):
        sent = run("pub", "/zeek/logs/x", "--peer", logger.url, "--wait", "--reliable", *WAIT, value)
        assert sent.returncode == OK, sent.stderr
    logger.stop()
    assert "3 messages were no log records" in logger.error_text()
    lines = [json.loads(line) for line in (tmp_path / "out/rejected.log").read_text().splitlines()]
    assert [line["topic"] for line in lines] == ["/zeek/logs/x"] * 3
    assert "before its log_create" in lines[1]["reason"]
    assert lines[0]["data"] == {"@data-type": "count", "data": 7}


def test_a_record_whose_values_are_not_of_its_fields_types_is_rejected_and_the_log_can_be_read(tmp_path, start):
    logger = start(tmp_path / "out", kind=Logger)
    begin = '(1, 2, (enum("mm::LOG"), enum("w"), {}, (("n", "count"), ("a", "addr"), ("s", "set[string]"))))'
    writes = ", ".join(f'(1, 3, (enum("mm::LOG"), enum("w"), "mm", {values}))' for values in (
        '(1, 10.0.0.1, {"x"})', '(-3, 10.0.0.1, {"x"})', '(1, "10.0.0.1", {"x"})', '(1, 10.0.0.1, "x")',
        '(2, nil, nil)'))
    sent = run("pub", "/zeek/logs/mm", "--peer", logger.url, "--wait", "--reliable", *WAIT,
               f"(1, 5, ({begin}, {writes}))")
    assert sent.returncode == OK, sent.stderr
    logger.stop()
    reasons = [json.loads(line)["reason"] for line in (tmp_path / "out/rejected.log").read_text().splitlines()]
    assert reasons == ["n of mm: expected count, got int -3", "a of mm: expected addr, got string 10.0.0.1",
                       "s of mm: expected set[string], got string x"]
    again = start(tmp_path / "again", kind=Logger)
    replay(again.url, tmp_path / "out/mm.log")
    again.stop()
    assert canonical(tmp_path / "again/mm.log") == canonical(tmp_path / "out/mm.log")
    assert b"2\t-\t-" in read(tmp_path / "again/mm.log")


def test_only_the_bad_record_of_a_batch_is_rejected(tmp_path, start):
    logger = start(tmp_path / "out", kind=Logger)
    source = tmp_path / "source.log"
    source.write_bytes(HEADER + b"1.000000\tx\t(empty)\n")
    sub = start("sub", "/zeek/logs/", "--peer", logger.url, "--json", "-n", "1", *WAIT)
    sent = run("replay", "--logs", "--peer", logger.url, "--wait=2", *WAIT, source)
    assert sent.returncode == OK, sent.stderr
    batch = json.loads(sub.line())
    parts = batch["data"]["data"][2]["data"]
    assert len(parts) == 2, "a log_create and a log_write"
    good, bad = parts[1], json.loads(json.dumps(parts[1]))
    bad["data"][2]["data"][3]["data"].pop()  # A value is missing.
    batch["data"]["data"][2]["data"] = [parts[0], good, bad, good]
    sent = run("pub", "-", "--peer", logger.url, "--wait", "--reliable", *WAIT,
               data=json.dumps(batch).encode() + b"\n")
    assert sent.returncode == OK, sent.stderr
    logger.stop()
    lines = read(tmp_path / "out/test.log").splitlines()
    assert [line for line in lines if not line.startswith(b"#")] == [b"1.000000\tx\t(empty)"] * 3
    rejected = [json.loads(line) for line in (tmp_path / "out/rejected.log").read_text().splitlines()]
    assert len(rejected) == 1
    assert rejected[0]["data"] == bad
    assert "has 2 values for 3 fields" in rejected[0]["reason"]


def test_what_a_killed_logger_left_unpacked_is_packed_at_the_next_start(tmp_path, start):
    out = tmp_path / "out"
    out.mkdir()
    names = ["dns.2024-04-12-19-29-12.log", "dns.2024-04-12-19-29-12-1.log", "a.b.2024-04-12-19-29-13.log"]
    for name in names:
        (out / name).write_bytes(b"rotated\n")
    (out / "dns.2024-04-12-20-00-00.log").write_bytes(b"packed already\n")
    (out / "dns.2024-04-12-20-00-00.log.gz").write_bytes(gzip.compress(b"packed already\n"))
    (out / "dns.2024-04-12-19-29-12.log.gz.part").write_bytes(b"half")
    others = ["dns.log", "mine.txt", "notes.2024.log", "x.gz.part"]
    for name in others:
        (out / name).write_bytes(b"other\n")
    logger = start(out, "--gzip", kind=Logger)
    await_that(lambda: all((out / f"{name}.gz").exists() and not (out / name).exists() for name in names))
    logger.stop()
    assert all(read(out / f"{name}.gz") == b"rotated\n" for name in names)
    assert not (out / "dns.2024-04-12-20-00-00.log").exists()
    assert not (out / "dns.2024-04-12-19-29-12.log.gz.part").exists()
    assert "a former run broke off in it" in logger.error_text()
    assert all((out / name).read_bytes() == b"other\n" for name in others)


def test_a_table_is_a_record_too(tmp_path, start):
    logger = start(tmp_path / "out", "/zeek/", "--log-format", "json", kind=Logger)
    sent = run("pub", "/zeek/mine", "--peer", logger.url, "--wait", "--reliable", *WAIT,
               "--format", "json", '{"b":1,"a":"x"}')
    assert sent.returncode == OK, sent.stderr
    logger.stop()
    assert (tmp_path / "out/mine.log").read_bytes() == b'{"a":"x","b":1}\n'


def test_wrong_use_is_told(tmp_path, start):
    assert run("logger", "--folder", tmp_path).returncode == USAGE
    assert run("logger", "--listen", "tcp://127.0.0.1:0").returncode != OK
    start(tmp_path / "out", kind=Logger)
    second = run("logger", "--folder", tmp_path / "out", "--listen", "tcp://127.0.0.1:0")
    assert second.returncode == FAILURE
    assert b"another logger writes to this folder" in second.stderr
