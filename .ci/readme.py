"""Runs the query in README.md in a clone that has the demo's lake, and compares the
output with the result in README.md."""

import contextlib
import io
import re

text = open("README.md", encoding="utf-8").read()
query, shown = re.search(r"python3 - <<'EOF'\n(.*?)EOF\n```\n\n```\n(.*?)```", text, re.S).groups()
printed = io.StringIO()
with contextlib.redirect_stdout(printed):
    exec(query)
if printed.getvalue().strip() != shown.strip():
    raise SystemExit("README.md shows another result of its query:\n" + printed.getvalue())
print("README's query: the result that it shows")
