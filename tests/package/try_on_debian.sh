#!/bin/sh
# Tries the Debian package on a clean Debian 12 that it makes itself; `make deb-test` calls it. Needs
# root, Linux with cgroup v2, debootstrap, and the mirror that apt uses here (or MIRROR).
#
# The Debian is a folder with a systemd of its own as process 1, in namespaces of its own: nothing
# of this machine is touched, and nothing in there reaches a network. In it the package is
# installed, configured and started; messages are sent while the SMSC is away, and on while a package
# of a higher version is installed over it; then all are counted at the SMSC. At last it is purged,
# and what is left is listed. ROOT=FOLDER keeps the clean Debian for the next time, DEB=FILE takes
# a package that is built already.
#
# It ends with a table, and with status 1 if a line of it is wrong.
set -eu
cd "$(dirname "$0")/../.."

SUITE=bookworm
WAITING=300   # messages sent while no SMSC is there
MOST=100000   # and while the package is upgraded: as many as go
RATE=60       # messages a second to the SMSC, so that some wait all the while
SENDSMS=13013 ADMIN=13000 SMSC=2775

work=$(mktemp -d)
base=${ROOT:-$work/clean}
root=$work/root
group=
first=
cleanup() {
  if [ -n "$first" ]; then
    kill -9 "$first" 2>/dev/null || true
    wait 2>/dev/null || true
  fi
  if [ -n "$group" ]; then
    for _ in 1 2 3 4 5 6 7 8 9 10; do
      find "$group" -depth -type d -exec rmdir {} + 2>/dev/null && break
      sleep 0.3
    done
  fi
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

say() { printf '%s\n' "$*" >&2; }
figure() { printf '  %-58s %s\n' "$1" "$2" >> "$work/figures"; }
wrong() { printf '  %-58s WRONG: %s\n' "$1" "$2" >> "$work/figures"; }
must_be() { if [ "$2" = "$3" ]; then figure "$1" "$2"; else wrong "$1" "$2, not $3"; fi; }

# ---- two packages, and a clean Debian

old=${DEB:-}
if [ -z "$old" ]; then
  say "building the package"
  DEB_OUT=$work sh packaging/build-deb.sh > /dev/null
  old=$(ls "$work"/*.deb)
fi
version=$(dpkg-deb -f "$old" Version)
new=$work/new.deb
dpkg-deb -R "$old" "$work/unpacked"
sed -i "s/^Version: .*/&+upgrade1/" "$work/unpacked/DEBIAN/control"
dpkg-deb --root-owner-group -Znone --build "$work/unpacked" "$new" > /dev/null
rm -rf "$work/unpacked"
figure "package" "$(basename "$old"), $(($(stat -c %s "$old") / 1024)) KiB"

if [ ! -d "$base/usr" ]; then
  # shellcheck disable=SC2016 # $( is apt's
  mirror=${MIRROR:-$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' \
    'Label: Debian' "Codename: $SUITE" | head -n 1)}
  say "making a clean Debian 12"
  debootstrap --variant=minbase --include=python3,systemd,systemd-sysv,iproute2,procps \
    "$SUITE" "$base" "$mirror" > "$work/debootstrap.log" 2>&1 || {
    tail -n 5 "$work/debootstrap.log" >&2
    exit 1
  }
fi
cp -a "$base" "$root"
mkdir -p "$root/trial" "$root/usr/local/lib/systemd"
cp "$old" "$root/trial/old.deb"
cp "$new" "$root/trial/new.deb"
cp tests/package/traffic.py "$root/trial/"

# ---- its own systemd

boot() {
  group=$(findmnt -n -o TARGET -t cgroup2 | head -n 1)/gatewayd-trial-$$
  mkdir "$group"
  (
    echo 0 > "$group/cgroup.procs"
    # shellcheck disable=SC2016 # $1 is the inner shell's
    exec setsid unshare --fork --pid --mount --uts --ipc --net --cgroup --kill-child sh -c '
      set -e
      mount --make-rprivate /
      mount --bind "$1" "$1"
      cd "$1"
      mount -t proc proc proc
      mount -t sysfs sysfs sys
      mount -t cgroup2 none sys/fs/cgroup
      mount -t tmpfs -o mode=755 tmpfs dev
      for node in null zero full random urandom tty; do
        : > dev/$node
        mount --bind /dev/$node dev/$node
      done
      mkdir dev/shm dev/pts
      mount -t tmpfs tmpfs dev/shm
      mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
      ln -s pts/ptmx dev/ptmx
      ln -s /proc/self/fd dev/fd
      mount -t tmpfs tmpfs run
      mount -t tmpfs tmpfs tmp
      ip link set lo up
      mkdir old
      pivot_root . old
      umount -l /old
      rmdir /old
      mount --make-rshared /
      exec env -i container=trial PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        /lib/systemd/systemd --system --log-target=journal --show-status=no' sh "$root"
  ) > "$work/systemd.log" 2>&1 < /dev/null &
  outer=$!
  tries=0
  while :; do
    first=$(pgrep -P "$outer" | head -n 1 || true)
    if [ -n "$first" ] && inside systemctl is-system-running 2>/dev/null |
      grep -qE 'running|degraded'; then return; fi
    tries=$((tries + 1))
    if [ "$tries" -gt 200 ]; then
      say "systemd does not start: $(tail -n 3 "$work/systemd.log")"
      exit 1
    fi
    sleep 0.2
  done
}

inside() {
  nsenter -t "$first" -a env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive \
    LANG=C.UTF-8 "$@"
}

# Whether a command in there succeeds before the seconds in $1 are over.
soon() {
  limit=$(($(date +%s) + $1))
  shift
  until inside "$@" > /dev/null 2>&1; do
    if [ "$(date +%s)" -ge "$limit" ]; then return 1; fi
    sleep 0.2
  done
}

ctl() { inside gatewayd ctl -c /etc/gatewayd/gatewayd.yaml "$@"; }
shown() { inside systemctl show gatewayd -p "$1" --value; }
queued() {
  ctl status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["sms"]["sent_queued"])'
}
everything() {
  inside find / -xdev \( -path /trial -o -path /var/log/journal -o -path /var/lib/dpkg \
    -o -path /var/cache/ldconfig \) -prune -o -print | LC_ALL=C sort
}

say "starting it"
boot
everything > "$work/before"

# ---- install, configure, start

say "installing"
inside dpkg -i /trial/old.deb > "$work/dpkg.log" 2>&1 || { cat "$work/dpkg.log" >&2; exit 1; }
must_be "installed, not configured: enabled" \
  "$(inside systemctl is-enabled gatewayd || true)" enabled
must_be "installed, not configured: running" \
  "$(inside systemctl is-active gatewayd || true)" inactive
must_be "user, home, shell" "$(inside getent passwd gatewayd | cut -d: -f 1,6,7)" \
  gatewayd:/var/lib/gatewayd:/usr/sbin/nologin
must_be "/etc/gatewayd" "$(inside stat -c '%a %U:%G' /etc/gatewayd)" "750 root:gatewayd"
must_be "/etc/gatewayd/secrets" "$(inside stat -c '%a %U:%G' /etc/gatewayd/secrets)" \
  "700 root:root"

for name in operator platform admin; do
  inside sh -c "umask 077; echo $name-password | sed s/platform/trial/ > /etc/gatewayd/secrets/$name"
done
inside sed -i 's/operator-password/secret/' /etc/gatewayd/secrets/operator
cat > "$root/etc/gatewayd/gatewayd.yaml" <<END
smscs:
  - {id: operator, host: 127.0.0.1, port: $SMSC, system-id: trial, rate: $RATE,
     password: "credential:operator", reconnect: {cap: 1s},
     smpp: {unbind-timeout: 30s}}
users:
  - {username: trial, password: "credential:platform"}
http:
  sendsms: 127.0.0.1:$SENDSMS
  admin: 127.0.0.1:$ADMIN
  admin-password: credential:admin
END
chmod 640 "$root/etc/gatewayd/gatewayd.yaml"
inside chgrp gatewayd /etc/gatewayd/gatewayd.yaml
must_be "gatewayd check" "$(inside gatewayd check -c /etc/gatewayd/gatewayd.yaml |
  sed 's/.*: good.*/good/')" good
inside systemctl start gatewayd || {
  inside journalctl -u gatewayd -n 20 --no-pager >&2
  exit 1
}
must_be "started" "$(shown ActiveState) $(shown Type)" "active notify"

say "sending $WAITING messages while no SMSC is there"
sent=$(inside python3 /trial/traffic.py send $SENDSMS 0 $WAITING /trial/waiting)
figure "sent without an SMSC" "$sent"
sleep 1.2  # the status is told once a second
figure "systemctl status says" "$(shown StatusText)"

# ---- upgrade with messages waiting, and more coming

say "upgrading while more are sent"
inside python3 /trial/traffic.py send $SENDSMS 100000 $MOST /trial/running /trial/end \
  > "$work/sent" &
sender=$!
inside sh -c "exec setsid gatewayd simulate smpp --log --receipts off --port $SMSC \
  --system-id trial --password secret > /trial/smsc.log 2>&1 < /dev/null" &
soon 30 grep -q 'submit' /trial/smsc.log || say "the SMSC gets nothing"
before=$(shown MainPID)
at_upgrade=$(queued)
inside dpkg -i /trial/new.deb >> "$work/dpkg.log" 2>&1 || { cat "$work/dpkg.log" >&2; exit 1; }
# shellcheck disable=SC2016 # ${ is dpkg's
must_be "upgraded to" "$(inside dpkg-query -W -f '${Version}' gatewayd)" "$version+upgrade1"
if [ "$(shown MainPID)" = "$before" ]; then wrong "restarted by the upgrade" no; fi
must_be "after the upgrade" "$(shown ActiveState) $(shown Result)" "active success"
figure "waited at the upgrade" "$at_upgrade messages"
touch "$root/trial/end"
wait "$sender" || say "the sender gave up"
figure "sent during the upgrade" "$(cat "$work/sent")"
all=$(cat "$root/trial/waiting" "$root/trial/running" | wc -l)

say "waiting until nothing waits"
limit=$(($(date +%s) + 120))
while [ "$(queued)" != 0 ] && [ "$(date +%s)" -lt $limit ]; do sleep 0.5; done
counted=$(inside python3 /trial/traffic.py count /trial/smsc.log /trial/waiting /trial/running)
must_be "counted at the SMSC" "$counted" \
  "{\"accepted\": $all, \"arrived\": $all, \"lost\": 0, \"twice\": 0}"

# ---- a reload, then the end

printf 'no-such-key: 1\n' >> "$root/etc/gatewayd/gatewayd.yaml"
inside systemctl reload gatewayd || true
soon 10 sh -c "systemctl show gatewayd -p StatusText | grep -q 'reload failed'" || true
figure "a broken file, reloaded" "$(shown ActiveState): $(shown StatusText | cut -c 1-90)"
must_be "restarts that nobody asked for" "$(shown NRestarts)" 0

# ---- under a tighter service manager: a hang, and a drain that is longer than it waits for a stop

say "hanging and draining"
mkdir -p "$root/etc/systemd/system/gatewayd.service.d"
printf '[Service]\nWatchdogSec=3\nTimeoutStopSec=4\n' \
  > "$root/etc/systemd/system/gatewayd.service.d/trial.conf"
sed -i '/no-such-key/d' "$root/etc/gatewayd/gatewayd.yaml"
echo 'limits: {drain: 9s}' >> "$root/etc/gatewayd/gatewayd.yaml"
inside systemctl daemon-reload
inside systemctl restart gatewayd
before=$(shown MainPID)
began=$(date +%s)
inside kill -STOP "$before"
soon 60 sh -c "test \$(systemctl show gatewayd -p MainPID --value) != $before &&
  systemctl is-active -q gatewayd" || wrong "hung (SIGSTOP), WatchdogSec=3" "not replaced"
figure "hung (SIGSTOP), WatchdogSec=3: ready again after" "$(($(date +%s) - began)) s"
must_be "restarts by then" "$(shown NRestarts)" 1

inside sh -c "kill \$(pgrep -f '[s]imulate smpp')"
inside sh -c "exec setsid gatewayd simulate smpp --silent 100% --port $SMSC \
  --system-id trial --password secret > /trial/silent.log 2>&1 < /dev/null" &
soon 30 sh -c "gatewayd ctl -c /etc/gatewayd/gatewayd.yaml status | grep -q 'online'" ||
  say "no bind to the silent SMSC"
inside python3 /trial/traffic.py send $SENDSMS 900000 5 /trial/silent > "$work/silent"
soon 15 grep -q submit /trial/silent.log || say "the silent SMSC gets nothing"
began=$(date +%s)
inside systemctl stop gatewayd
figure "drain of 9 s with TimeoutStopSec=4: stopped after" "$(($(date +%s) - began)) s"
must_be "and not killed" "$(shown Result) $(shown ExecMainStatus)" "success 0"
inside systemctl start gatewayd
must_be "of the five that were never answered, at the start" \
  "$(inside journalctl -u gatewayd -o cat | grep -o '[0-9]* messages were waiting' | tail -n 1)" \
  "5 messages were waiting"

say "removing and purging"
inside dpkg -r gatewayd >> "$work/dpkg.log" 2>&1
must_be "removed: configuration and store are kept" \
  "$(inside ls /etc/gatewayd/gatewayd.yaml /var/lib/gatewayd/gatewayd.sqlite3 | wc -l)" 2
inside dpkg -i /trial/new.deb >> "$work/dpkg.log" 2>&1
must_be "installed again: running" "$(shown ActiveState)" active
inside dpkg -P gatewayd >> "$work/dpkg.log" 2>&1
everything > "$work/after"
# Backups of the user data base are what the system makes of any change of it.
left=$(comm -13 "$work/before" "$work/after" | grep -vE '^/etc/\.?(passwd|shadow|group|gshadow|subuid|subgid|pwd)[.-]' || true)
gone=$(comm -23 "$work/before" "$work/after")
must_be "purged: files left" "$(printf '%s' "$left" | grep -c . || true) $left" "0 "
must_be "purged: files of others gone" "$(printf '%s' "$gone" | grep -c . || true) $gone" "0 "
must_be "purged: user" "$(inside getent passwd gatewayd || echo none)" none

if grep -iE 'warning|error|fail' "$work/dpkg.log" > "$work/complaints"; then
  wrong "dpkg complained" "$(head -n 3 "$work/complaints")"
fi
printf 'gatewayd as a package on Debian 12 with systemd %s\n' \
  "$(inside systemctl --version | sed -n '1s/[^0-9]*\([0-9]*\).*/\1/p')"
cat "$work/figures"
! grep -q 'WRONG' "$work/figures"
