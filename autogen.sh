#!/bin/sh
# Makes configure from configure.ac. Needed once after a checkout.
set -eu
cd "$(dirname "$0")"
exec autoreconf --install --warnings=all
