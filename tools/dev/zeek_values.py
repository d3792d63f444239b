"""Zeek's tab-separated logs as the JSON that `bzmq-cli sub --json` must print for them.

Written from Zeek's documentation and docs/data-model.md, not from bzmq's reader, so that tests and
the demo have something to compare with.

  expected_records(path)   yields (log name, the "data" field's exact JSON text) for each record
  message_parts(line)      (topic, "data" as text, hops) of one line that `sub --json` printed
"""

import base64
import gzip
import ipaddress
import json
import re

SECOND = 1_000_000_000
UNITS = (("s", SECOND), ("ms", 1_000_000), ("us", 1_000), ("ns", 1))
ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|\\)")


def nanoseconds(text):
    sign = -1 if text.startswith("-") else 1
    whole, _, fraction = text.lstrip("-").partition(".")
    return sign * (int(whole) * SECOND + int((fraction + "0" * 9)[:9]))


def timespan(ns):
    unit, size = next((u, s) for u, s in UNITS if ns % s == 0)
    return f"{ns // size}{unit}"


def timestamp(ns):
    seconds, fraction = divmod(ns, SECOND)
    days, rest = divmod(seconds, 86_400)
    # Civil date from days (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    z = days + 719_468
    era, doe = divmod(z, 146_097)
    yoe = (doe - doe // 1_460 + doe // 36_524 - doe // 146_096) // 365
    doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    mp = (5 * doy + 2) // 153
    day, month = doy - (153 * mp + 2) // 5 + 1, mp + 3 if mp < 10 else mp - 9
    year = yoe + era * 400 + (month <= 2)
    text = f"{year:04}-{month:02}-{day:02}T{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    if fraction:
        text += "." + f"{fraction:09}".rstrip("0")
    return text + "Z"


def typed(kind, value):
    return f'{{"@data-type":"{kind}","data":{value}}}'


def string(raw, kind="string"):
    try:
        return typed(kind, json.dumps(raw.decode(), ensure_ascii=False))
    except UnicodeDecodeError:
        text = base64.b64encode(raw).decode()
        return f'{{"@data-type":"{kind}","encoding":"base64","data":"{text}"}}'


NONE = typed("none", "{}")


def scalar(kind, raw, protocol):
    """The JSON of one value; `raw` is bytes without escapes."""
    if kind == "string":
        return string(raw)
    if kind == "enum":
        return string(raw, "enum-value")
    text = raw.decode()
    if kind == "time":
        return typed("timestamp", f'"{timestamp(nanoseconds(text))}"')
    if kind == "interval":
        return typed("timespan", f'"{timespan(nanoseconds(text))}"')
    if kind == "count":
        return typed("count", int(text))
    if kind == "int":
        return typed("integer", int(text))
    if kind == "bool":
        return typed("boolean", "true" if text == "T" else "false")
    if kind == "addr":
        return typed("address", f'"{ipaddress.ip_address(text)}"')
    if kind == "port":
        return typed("port", f'"{int(text)}/{protocol}"')
    raise ValueError(f"type {kind}")


def sort_key(kind, raw):
    if kind == "addr":
        address = ipaddress.ip_address(raw.decode())
        return (b"\0" * 10 + b"\xff\xff" if address.version == 4 else b"") + address.packed
    return int(raw) if kind in ("count", "int", "port") else raw


def unescape(raw):
    if b"\\" not in raw:
        return raw
    return ESCAPE.sub(lambda m: bytes([int(m.group(1), 16)]) if m.group(1) else b"\\", raw)


def field(kind, raw, protocol):
    if raw == b"-":
        return NONE
    container, bracket, inner = kind.partition("[")
    if not bracket:
        return scalar(kind, b"" if raw == b"(empty)" else unescape(raw), protocol)
    inner = inner[:-1]
    parts = [] if raw == b"(empty)" else raw.split(b",")
    if container == "vector":
        items = [NONE if p == b"-" else scalar(inner, unescape(p), protocol) for p in parts]
    else:
        unique = sorted({unescape(part) for part in parts}, key=lambda part: sort_key(inner, part))
        items = [scalar(inner, part, protocol) for part in unique]
    return typed(container, "[" + ",".join(items) + "]")


def expected_records(path):
    opened = gzip.open(path) if str(path).endswith(".gz") else open(path, "rb")
    with opened as lines:
        name = fields = kinds = None
        for line in lines:
            cells = line.rstrip(b"\n").split(b"\t")
            if line.startswith(b"#"):
                if cells[0] == b"#path":
                    name = cells[1].decode()
                elif cells[0] == b"#fields":
                    fields = [cell.decode() for cell in cells[1:]]
                elif cells[0] == b"#types":
                    kinds = [cell.decode() for cell in cells[1:]]
                    columns = list(zip(fields, kinds))
                    order = sorted(range(len(fields)), key=lambda i: fields[i].encode())
                    keys = [f'{{"key":{string(fields[i].encode())},"value":' for i in order]
                    protocol_at = next((i for i, f in enumerate(fields) if f in
                                        ("proto", "port_proto", "transport_proto")), None)
                continue
            protocol = cells[protocol_at].decode() if protocol_at is not None else "?"
            if protocol not in ("tcp", "udp", "icmp"):
                protocol = "?"
            values = [field(kind, cell, protocol) for (_, kind), cell in zip(columns, cells)]
            rows = ",".join(f"{key}{values[i]}}}" for key, i in zip(keys, order))
            yield name, typed("table", f"[{rows}]")


def message_parts(line):
    """Topic, the "data" field's text and the hops of a printed line, without parsing the data."""
    begin = line.index(',"data":')
    end = line.rindex(',"origin":')
    rest = line[end:]
    hops = int(rest[rest.index('"hops":') + 7:].partition(",")[0])
    return json.loads(line[9:begin]), line[begin + 8:end], hops
