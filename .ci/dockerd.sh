#!/bin/sh
# Starts a private Docker daemon for the tests and prints how to reach it:
#   eval "$(.ci/dockerd.sh start)"     ...     .ci/dockerd.sh stop
# Own socket and data folder, no bridge, no iptables: it touches no other daemon, and every sandbox runs without a
# network anyway. Fails loudly (exit 1) where a daemon cannot be had.
set -eu

folder=${REWARDSMITH_DOCKERD:-/tmp/rewardsmith-dockerd}
socket=unix://$folder/docker.sock

fail() {
    echo "dockerd.sh: $1" >&2
    [ -f "$folder/log" ] && tail -n 20 "$folder/log" >&2
    exit 1
}

stop() {
    [ -f "$folder/pid" ] || return 0
    pid=$(cat "$folder/pid")
    kill "$pid" 2>/dev/null || return 0
    while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
}

start() {
    if ! command -v dockerd >/dev/null; then
        { apt-get update -q && apt-get install -y -q --no-install-recommends docker.io; } >&2 ||
            fail "cannot install docker.io"
    fi
    mkdir -p "$folder"
    if ! docker -H "$socket" version >/dev/null 2>&1; then
        rm -f "$folder/pid"
        setsid dockerd --data-root "$folder/data" --exec-root "$folder/exec" --pidfile "$folder/pid" -H "$socket" \
            --bridge=none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false \
            >"$folder/log" 2>&1 </dev/null &
        tries=0
        until docker -H "$socket" version >/dev/null 2>&1; do
            tries=$((tries + 1))
            [ "$tries" -lt 300 ] || fail "the daemon did not answer within 30 s"
            sleep 0.1
        done
    fi
    echo "export DOCKER_HOST=$socket"
}

case ${1:-start} in
start) start ;;
stop) stop ;;
*) fail "usage: dockerd.sh [start|stop]" ;;
esac
