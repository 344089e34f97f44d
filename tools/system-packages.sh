#!/bin/sh
# Installs what is missing from Debian's packages: system-packages.sh NAME=PACKAGE...
# NAME is a program, or NAME.pc a library that pkg-config knows. Not root, or no apt: it says so and
# goes on; what needs the package then skips with a reason.
set -eu

is_there() {
    case $1 in
    *.pc) pkg-config --exists "${1%.pc}" 2>/dev/null ;;
    *) command -v "$1" >/dev/null 2>&1 ;;
    esac
}

missing=
for pair in "$@"; do
    is_there "${pair%%=*}" || missing="$missing ${pair#*=}"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "Not installed:$missing (needs root and apt-get); tests that need it are skipped." >&2
    exit 0
fi
echo "Installing$missing" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # a list of words
apt-get install -y -qq --no-install-recommends $missing >/dev/null
