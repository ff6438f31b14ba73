#!/bin/sh
# make demo: sets up what is missing, builds mycompose, brings up
# examples/flask-redis and asks its page three times.
set -eu
cd "$(dirname "$0")/.."

base=debian:bookworm-slim
mycompose=bin/mycompose
app="$mycompose -f examples/flask-redis/compose.yaml"
times=
began=$(date +%s.%N)

# took NAME: notes the seconds since the last part.
took() {
    now=$(date +%s.%N)
    times="$times$(printf '  %-28s %6.1f s' "$1" "$(echo "$now $began" | awk '{print $1 - $2}')")
"
    began=$now
}

# make_base pulls the base image, or makes it where no registry serves it.
make_base() {
    if printf 'services: {base: {image: "%s"}}' "$base" |
        timeout 60 "$mycompose" -p demo-base -f - pull >/dev/null 2>&1; then
        return
    fi
    echo "demo: no registry serves $base, making it with debootstrap"
    folder=$(mktemp -d /var/tmp/mycompose-demo-XXXXXX)
    trap 'rm -rf "$folder"' EXIT
    sh examples/base.sh "$folder/base.tar"
    "$mycompose" image import "$folder/base.tar" "$base"
    rm -rf "$folder"
    trap - EXIT
}

# ask waits until the page answers (at most a minute) and prints its answer.
ask() {
    curl -s --fail --retry 60 --retry-delay 1 --retry-connrefused --max-time 60 http://127.0.0.1:5000/
}

make --no-print-directory setup
took "setup"
make --no-print-directory build
took "build mycompose"

$app down -v
if ! "$mycompose" image ls | grep -q "^debian  *bookworm-slim "; then
    make_base
fi
took "base image"

$app up -d
took "up -d"

for _ in 1 2 3; do
    ask
done
took "three answers"

echo
$app ps
echo
$app logs --tail 3
echo
printf 'Seconds that each part took:\n%s' "$times"
echo
echo "The page stays at http://127.0.0.1:5000/ until you stop it:"
echo "  $app down        (down -v forgets the count as well)"
