"""Makes Zeek logs with all that a log can have in it, where no real ones are at hand: every type, unset
and empty fields, sets and vectors, escapes. The same ones each time."""

import gzip
import json
import random

TSV_FIELDS = (("ts", "time"), ("uid", "string"), ("proto", "enum"), ("orig_p", "port"), ("took", "interval"),
              ("n", "count"), ("delta", "int"), ("score", "double"), ("ok", "bool"), ("orig_h", "addr"),
              ("net", "subnet"), ("what", "enum"), ("text", "string"), ("names", "set[string]"),
              ("hosts", "set[addr]"), ("sizes", "set[count]"), ("times", "vector[interval]"),
              ("words", "vector[string]"), ("ratios", "vector[double]"))
TEXTS = ("plain", "with space", "tab\\x09and\\x0aline", "\\x00\\xff", "back\\\\slash", "\\x2d", "\\x28empty)",
         "(almost", "-5", "a=b; \"c\"", "z" * 300)
LIST_TEXTS = (*TEXTS, "comma\\x2cin")
HOSTS = ("10.0.0.1", "192.0.2.200", "2001:db8::1", "::1", "fe80::a:b")
NETS = ("10.0.0.0/8", "192.0.2.128/25", "2001:db8::/32", "0.0.0.0/0")


def _seconds(random_, most=4_000_000_000):
    return f"{random_.randrange(most)}.{random_.randrange(1_000_000):06d}"


def _tsv_value(kind, number):
    """A value as Zeek writes it, rarely one at an end of its range."""
    choose = number.choice
    if kind.startswith(("set[", "vector[")):
        outer, inner = kind.rstrip("]").split("[")
        # One unset or empty element alone reads as an unset or empty list (docs/cluster.md).
        elements = [choose(LIST_TEXTS) if inner == "string" else _tsv_value(inner, number)
                    for _ in range(number.randrange(1, 5))]
        if outer == "vector" and len(elements) > 1 and number.random() < 0.2:
            elements[1] = "-"
        return ",".join(dict.fromkeys(elements) if outer == "set" else elements)
    return {"time": lambda: _seconds(number), "interval": lambda: choose(("-", "")) + _seconds(number, 5000),
            "count": lambda: str(choose((0, 1, 2**64 - 1, number.randrange(10**6)))),
            "int": lambda: str(choose((-1, -2**63, 2**63 - 1, number.randrange(-10**6, 0)))),
            "double": lambda: repr(number.randrange(-10**6, 10**6) + 0.125), "bool": lambda: choose("TF"),
            "addr": lambda: choose(HOSTS), "subnet": lambda: choose(NETS),
            "port": lambda: str(number.randrange(65536)), "string": lambda: choose(TEXTS),
            "enum": lambda: choose(("Notice::ACTION_LOG", "SSL::Invalid_Server_Cert", "x"))}[kind]()


def make_tsv(path, name, records):
    number = random.Random(name)
    lines = ["#separator \\x09", "#set_separator\t,", "#empty_field\t(empty)", "#unset_field\t-", f"#path\t{name}",
             "#open\t2024-04-12-19-29-12", "\t".join(("#fields", *(field for field, _ in TSV_FIELDS))),
             "\t".join(("#types", *(kind for _, kind in TSV_FIELDS)))]
    for _ in range(records):
        cells = []
        for field, kind in TSV_FIELDS:
            luck = number.random()
            may_be_empty = kind == "string" or "[" in kind
            if field == "proto":
                cells.append(number.choice(("tcp", "udp", "icmp", "-")))
            else:
                cells.append("-" if luck < 0.1 else "(empty)" if luck < 0.2 and may_be_empty
                             else _tsv_value(kind, number))
        lines.append("\t".join(cells))
    lines.append("#close\t2024-04-12-19-34-07\n")
    path.write_bytes(gzip.compress("\n".join(lines).encode(), 1))
    return path


def make_json(path, name, records):
    """Types follow from the names (tools/cli/logs/zeek_log_reader.hpp)."""
    number = random.Random(name)
    texts = ("plain", "tab\tand\nline", "quote\"back\\slash", "\u0001", "gr\u00fc\u00df \u4e16", "", "-", "(empty)")
    lines = []
    for _ in range(records):
        when = f"2018-03-24T17:15:{number.randrange(60):02d}.{number.randrange(10**6):06d}Z"
        record = {"_path": name, "_write_ts": when, "ts": when, "uid": f"C{number.randrange(10**9)}",
                  "id.orig_h": number.choice(HOSTS), "id.orig_p": number.randrange(65536),
                  "proto": number.choice(("tcp", "udp", "icmp")), "note": "SSL::Invalid_Server_Cert",
                  "msg": number.choice(texts), "src": number.choice(HOSTS), "p": number.randrange(65536),
                  "n": number.choice((0, 2**64 - 1, number.randrange(10**6))), "delta": number.choice((-1, -2**63)),
                  "score": number.randrange(-1000, 1000) + 0.125, "ok": number.random() < 0.5,
                  "suppress_for": float(number.randrange(5000)),
                  "actions": sorted(number.sample(("Notice::ACTION_A", "Notice::ACTION_B", "Notice::ACTION_C"),
                                                  number.randrange(4))),
                  "words": [number.choice(texts) for _ in range(number.randrange(4))]}
        for field in ("msg", "src", "p", "score", "ok", "suppress_for", "actions", "words"):
            if number.random() < 0.1:
                del record[field]  # Unset: JSON leaves it out.
        lines.append(json.dumps(record, separators=(",", ":"), ensure_ascii=False) + "\n")
    path.write_bytes(gzip.compress("".join(lines).encode(), 1))
    return path
