#!/bin/sh
# base.sh OUT.tar [PACKAGE…]: packs a minimal Debian bookworm, with further
# packages if named, made by debootstrap from the mirror that this host's apt
# uses. It stands in for debian:bookworm-slim where no registry serves it.
set -eu
out=$1
shift
include=$(echo "$*" | tr ' ' ',')

mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' |
    awk '$2 == "bookworm" {print $1; exit}')
if [ -z "$mirror" ]; then
    echo "base: apt on this host knows no mirror of bookworm: run apt-get update" >&2
    exit 1
fi
mkdir -p "$(dirname "$out")"
folder=$(mktemp -d "$(dirname "$out")/base-XXXXXX")
trap 'rm -rf "$folder"' EXIT
for try in 1 2 3; do # a mirror may fail once
    rm -rf "$folder/root"
    debootstrap --variant=minbase ${include:+--include="$include"} bookworm "$folder/root" "$mirror" >"$folder/log" 2>&1 && break
    tail -20 "$folder/log" >&2
    [ "$try" != 3 ] || exit 1
done
rm -rf "$folder"/root/var/cache/apt/archives/*.deb "$folder"/root/var/lib/apt/lists/*
# The proxy of this host's apt, if it has one, is needed inside as well.
apt-config dump Acquire::http::Proxy Acquire::https::Proxy >"$folder/root/etc/apt/apt.conf.d/90host"
tar --numeric-owner -C "$folder/root" -cf "$folder/out.tar" .
mv "$folder/out.tar" "$out"
