#!/bin/sh
# make lint: gofmt, go vet, and staticcheck at a fixed version, which go run
# builds at its first use; where it cannot be had that is said, and is no
# failure. golangci-lint, with the rules of .golangci.yml, runs where it is
# installed. lint.sh quick, which make test runs, is gofmt and go vet alone: the
# others take more than a minute.
set -u
cd "$(dirname "$0")/.."
go=${GO:-go}
staticcheck=honnef.co/go/tools/cmd/staticcheck@v0.8.2
failed=0

wrong=$(gofmt -l cmd engine compose network volume e2e)
if [ -n "$wrong" ]; then
    echo "gofmt would change:" "$wrong"
    failed=1
fi
"$go" vet ./... || failed=1
[ "${1:-}" != quick ] || exit $failed
if "$go" run "$staticcheck" -version >/dev/null 2>&1; then
    "$go" run "$staticcheck" ./... || failed=1
else
    echo "lint: $staticcheck cannot be built here: left out"
fi
if command -v golangci-lint >/dev/null; then
    golangci-lint run || failed=1
fi
exit $failed
