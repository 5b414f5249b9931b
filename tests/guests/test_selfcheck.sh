#!/bin/sh
# SPDX-License-Identifier: MIT
# test: timeout=700 alone
# Debian's kernel boots to our initramfs, whose self-check passes.
cd "$FERRY_SRC" || exit 1
tests/guests/fetch linux busybox >/dev/null || exit 77
patience=${FERRY_PATIENCE:-1}
export FERRY_TIMEOUT=$((600 * ${patience%.*}))
exec tests/guests/run --selfcheck
