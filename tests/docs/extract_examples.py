"""Makes one program of the worked examples in a document.

extract_examples.py DOCUMENT SOURCE    writes the C++ source; run it with an example's number
extract_examples.py --list DOCUMENT    a line for each example: its title
extract_examples.py --check DOCUMENT NUMBER PROGRAM    runs it and compares what it prints

An example is a `###` section of "## Worked examples" with a block of C++, whose last function is `main`,
and a block of what it prints.
"""

import re
import subprocess
import sys
from pathlib import Path


def read(document):
    section = Path(document).read_text().split("\n## Worked examples\n", 1)[1].split("\n## ", 1)[0]
    head, *parts = section.split("\n### ")
    block = re.compile(r"```(cpp|text)\n(.*?)```", re.DOTALL)
    examples = []
    for part in parts:
        blocks = block.findall(part)
        kinds = [kind for kind, _ in blocks]
        if kinds != ["cpp", "text"]:
            sys.exit(f"{document}: {part.splitlines()[0]!r} has {kinds}, not a program and its output")
        examples.append((part.splitlines()[0], *(text for _, text in blocks)))
    return dict(block.findall(head))["cpp"], examples


def source_of(document):
    prelude, examples = read(document)
    out = [prelude, "#include <cstdlib>\n"]
    for number, (title, code, _) in enumerate(examples):
        code, mains = re.subn(r"^int main\(\) \{$", "int program() {", code, flags=re.MULTILINE)
        if mains != 1 or not code.endswith("\n}\n"):
            sys.exit(f"{document}: {title!r} does not end with its only main")
        out.append(f"// {title}\nnamespace example_{number} {{\n{code[:-2]}    return 0;\n}}\n}}\n")
    out.append("int main(int argc, char** argv) {\n"
               "    switch (argc == 2 ? std::atoi(argv[1]) : -1) {\n"
               + "".join(f"        case {n}:\n            return example_{n}::program();\n"
                         for n in range(len(examples)))
               + "        default:\n            return 2;\n    }\n}\n")
    return "\n".join(out)


def check(document, number, program):
    title, _, said = read(document)[1][int(number)]
    got = subprocess.run([program, number], stdout=subprocess.PIPE, text=True, timeout=100)
    # Threads and answers may come in any order.
    if got.returncode != 0 or sorted(got.stdout.splitlines()) != sorted(said.splitlines()):
        sys.exit(f"{title!r} ended with {got.returncode}; it should print\n{said}and printed\n{got.stdout}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--list", document]:
            print("\n".join(title for title, _, _ in read(document)[1]))
        case ["--check", document, number, program]:
            check(document, number, program)
        case [document, source]:
            Path(source).write_text(source_of(document))
        case _:
            sys.exit(__doc__)
