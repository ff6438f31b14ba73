#!/bin/sh
# again.sh CMD…: runs a command that needs the network, up to three times.
for pause in 5 20 0; do
    "$@" && exit
    code=$?
    [ "$pause" = 0 ] || { echo "again in $pause s: $*" >&2; sleep "$pause"; }
done
exit "$code"
