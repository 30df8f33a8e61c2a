#!/bin/sh
# Counts the knots of all logs given, or of those in data/.
set -eu
cat "${@:-data/log.txt}" | node -e 'import("./lib/count.js").then(m => console.table(m.count(require("fs").readFileSync(0, "utf8"))))'
