"""Reads the names out of the public C++ headers: enough of C++ for these, and no more."""

import re

_SCOPE = re.compile(r"\b(?:namespace|class|struct)\b(?!.*\()")
_NAMED = re.compile(r"\b(?:namespace|class|struct)\s+(?:BZMQ_EXPORT\s+)?([\w:]+)")
_ENUM = re.compile(r"\benum class\s+(\w+)")


def _plain(text):
    text = re.sub(r"//[^\n]*", "", text)
    text = re.sub(r"^\s*#[^\n]*", "", text, flags=re.MULTILINE)
    text = re.sub(r'"(\\.|[^"\\])*"', '""', text)
    return re.sub(r"'(\\.|[^'\\])'", "0", text)


def _without_templates(text):
    """Without what stands between < and >, as far as those belong together."""
    text = re.sub(r"\boperator\S+", "operator", text)
    while (shorter := re.sub(r"<[^<>]*>", "", text)) != text:
        text = shorter
    return text


def _declared(statement, owner):
    """The names that a statement declares."""
    text = _without_templates(re.sub(r"\[\[[^\]]*\]\]", "", statement))
    text = re.sub(r"\btemplate\b|\brequires\b\s*(\(.*?\)|\S+)|\bBZMQ_EXPORT\b", "", text).strip()
    if not text or re.match(r"(using|friend|typedef|class|struct|enum|static_assert)\b", text):
        return []
    if "operator" in text:
        return []
    text = re.sub(r"\bdecltype\(auto\)", "auto", text)
    head = re.split(r"[({=]", text, maxsplit=1)[0]
    if "(" in text and text[len(head)] == "(":
        name = re.search(r"(~?\w+)\s*$", head)
        return [name[1]] if name and name[1].lstrip("~") != owner.rpartition("::")[2] else []
    # Fields, several of them perhaps: `std::size_t a = 0, b = 0;`
    return [name for each in text.split(",")
            if (name := (re.search(r"(\w+)\s*$", re.split(r"[={]", each)[0]) or [None, None])[1])]


def names(header):
    """Pairs of a class's name, or "", and a public name of it; enumerations as pairs of "" and theirs."""
    text = _plain(header)
    found = []

    def skip(at):
        depth = 0
        while True:
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            at += 1
            if depth == 0:
                return at

    def read(at, owner, public):
        begin = at
        while at < len(text):
            char = text[at]
            if char == "}":
                return at + 1
            if char == ":" and (label := re.search(r"\b(public|private)\s*$", text[begin:at])):
                public = label[1] == "public"
                begin = at + 1
            elif char == ";":
                if public:
                    found.extend((owner, name) for name in _declared(text[begin:at], owner))
                begin = at + 1
            elif char == "{":
                head = _without_templates(text[begin:at])
                scope = _NAMED.search(head)
                if "enum class" in head:
                    if public:
                        found.append((owner, _ENUM.search(head)[1]))
                    at = skip(at)
                    begin = at
                    continue
                if scope and _SCOPE.search(head) and "=" not in head:
                    if head.lstrip().startswith("namespace") or "namespace" in head:
                        hidden = scope[1] == "detail" or scope[1] == "std"
                        at = skip(at) if hidden else read(at + 1, owner, public)
                    else:
                        hidden = not public or scope[1].startswith("std::")
                        if not hidden:
                            found.append(("", scope[1]))
                        at = skip(at) if hidden else read(at + 1, scope[1], "struct" in head)
                    begin = at
                    continue
                at = skip(at)
                # A body ends its function; an initialiser is part of its statement.
                if "(" in head and "=" not in head.rpartition(")")[2]:
                    if public:
                        found.extend((owner, name) for name in _declared(head, owner))
                    begin = at
                continue
            at += 1
        return at

    read(0, "", True)
    return found
