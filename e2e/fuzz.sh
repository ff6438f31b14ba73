#!/bin/sh
# Runs each fuzz target for a while (FUZZTIME, 20s); stops at the first crash.
set -eu
go=${GO:-go}
grep -rl --include='*_test.go' '^func Fuzz' cmd engine compose network volume | while read -r file; do
    package=./$(dirname "$file")
    for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file"); do
        echo "== $package $target"
        MYCOMPOSE_ROOT_TESTS=0 "$go" test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-20s}" "$package"
    done
done
