#!/bin/sh
# make test: every test, root tests included, then their numbers. The build
# has been done. Ends with a failure if any part failed.
set -u
go=${GO:-go}
report=$(mktemp)
trap 'rm -f "$report"' EXIT
failed=0

part() {
    name=$1
    shift
    began=$(date +%s)
    echo "== $name"
    "$@" || failed=1
    echo "== $name: $(($(date +%s) - began)) s"
}

race() {
    make --no-print-directory -s race
}

root() {
    MYCOMPOSE_ROOT_TESTS=1 MYCOMPOSE_ROOT_REPORT=$report "$go" test -p 1 -count 1 -timeout 40m ./...
}

part "lint" sh e2e/lint.sh quick
part "race runs of the unit tests" race
part "all tests, root tests included" root

ran=$(grep -c '^run' "$report")
skipped=$(grep -c '^skip' "$report")
grep '^skip' "$report" | sort -u | awk -F'\t' '{print "skipped " $2 ": needs " $3}'
echo "root tests: $ran run, $skipped skipped"
if grep -q '^skip.*	root$' "$report"; then
    echo "root tests were skipped for want of root: run as root" >&2
    failed=1
fi
exit $failed
