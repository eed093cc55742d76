#!/bin/sh
# Install the Debian packages named, as far as they are missing: sh tests/debian.sh PACKAGE...
set -eu

missing=
for package in "$@"; do
    state=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
    [ "$state" = "install ok installed" ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
    as_root=sudo
    if ! command -v sudo >/dev/null; then
        echo "these Debian packages are missing, and there is no sudo to install them:$missing" >&2
        echo "as root: apt-get install --no-install-recommends$missing" >&2
        exit 1
    fi
fi

echo "apt-get install$missing"
$as_root apt-get -qq update
# shellcheck disable=SC2086 - the names are separate words
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends $missing >/dev/null

# The tests start brokers of their own; one that comes up by itself on port 1883 is not wanted.
case "$missing" in
    *\ mosquitto\ * | *\ mosquitto)
        [ ! -d /run/systemd/system ] || $as_root systemctl --quiet disable --now mosquitto
        ;;
esac
