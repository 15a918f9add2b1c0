#!/bin/sh
# Puts gatewayd into the file system: `install.sh install` or `install.sh uninstall`; `make install`
# calls it. PREFIX (/usr/local), DESTDIR (none) and PYTHON (the first that is new enough) say where
# and for what; neither of the first two may have blanks in it.
#
#   PREFIX/lib/gatewayd     a virtual environment with the packages of constraints.txt, by hash
#   PREFIX/bin/gatewayd     a link to the program in there
#   PREFIX/lib/systemd, PREFIX/lib/sysusers.d, PREFIX/share/doc/gatewayd
#   /etc/gatewayd           gatewayd.yaml.example, and the folder of the secrets
#
# The environment is made beside the old one and takes its place when it is whole. No file in it
# knows where it was made.
set -eu
umask 022
cd "$(dirname "$0")/.."

PREFIX=${PREFIX:-/usr/local}
DESTDIR=${DESTDIR:-}
PYTHONS="python3 python3.14 python3.13 python3.12 python3.11"
home=$PREFIX/lib/gatewayd
doc=$PREFIX/share/doc/gatewayd
etc=$DESTDIR/etc/gatewayd

python() {
  for candidate in ${PYTHON:-$PYTHONS}; do
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
    then
      # The interpreter itself, not a link that may one day lead to another version.
      "$candidate" -c 'import os, sys; print(os.path.realpath(sys._base_executable))'
      return
    fi
  done
  echo "gatewayd needs Python 3.11 or later with venv (Debian: apt-get install python3-venv)" >&2
  exit 1
}

# Copies files into a folder, their folders with them.
copy() {
  to=$1
  shift
  mkdir -p "$to"
  tar -cf - "$@" | tar -xf - -C "$to" --no-same-owner
}

# The compiled modules of this checkout, if they are for the interpreter.
hot_modules() {
  suffix=$("$1" -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')
  shared=$(echo .venv/lib/python3.*/site-packages/gatewayd__mypyc"$suffix")
  if [ ! -e "$shared" ]; then
    echo "gatewayd is installed uncompiled, and slower: nothing is compiled here for $1" >&2
    return
  fi
  # shellcheck disable=SC2046 # names of our own modules
  copy "$2" $(find gatewayd -type f -name "*$suffix" | LC_ALL=C sort)
  cp "$shared" "$2"
  find "$2" -path '*gatewayd*' -name "*$suffix" -exec strip -g {} + 2>/dev/null || true
}

environment() {
  interpreter=$(python)
  new=$DESTDIR$home.new
  rm -rf "$new"
  "$interpreter" -m venv "$new"
  "$new/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
    --require-hashes -r constraints.txt
  "$new/bin/python" -m pip uninstall --quiet --disable-pip-version-check --yes pip setuptools
  find "$new/bin" -mindepth 1 ! -name 'python*' -delete
  sed -i "s|$new|$home|" "$new/pyvenv.cfg"

  site=$(echo "$new"/lib/python3.*/site-packages)
  # shellcheck disable=SC2046 # names of our own modules
  copy "$site" $(find gatewayd -type f \( -name '*.py' -o -name py.typed \) | LC_ALL=C sort)
  hot_modules "$interpreter" "$site"
  copy "$new/share/gatewayd" -C conf demo.yaml
  cat > "$new/bin/gatewayd" <<END
#!$home/bin/python -I
import sys

from gatewayd.cli import main

sys.exit(main())
END
  chmod 755 "$new/bin/gatewayd"

  rm -rf "$new/include"

  # The service may not write here. What is compiled must neither name this folder nor ask for the
  # time of a source.
  find "$new" -name __pycache__ -type d -prune -exec rm -rf {} +
  "$new/bin/python" -m compileall -q -f -j 0 --invalidation-mode unchecked-hash \
    -s "$new" -p "$home" "$new/lib" > /dev/null || true  # templates in packages are no Python
  rm -rf "$DESTDIR$home.old"
  if [ -d "$DESTDIR$home" ]; then mv "$DESTDIR$home" "$DESTDIR$home.old"; fi
  mv "$new" "$DESTDIR$home"
  rm -rf "$DESTDIR$home.old"
  mkdir -p "$DESTDIR$PREFIX/bin"
  ln -sf ../lib/gatewayd/bin/gatewayd "$DESTDIR$PREFIX/bin/gatewayd"
}

units() {
  mkdir -p "$DESTDIR$PREFIX/lib/systemd/system" "$DESTDIR$PREFIX/lib/sysusers.d"
  for unit in gatewayd.service gatewayd@.service; do
    sed -e "s|/usr/lib/gatewayd/|$home/|" -e "s|/usr/share/doc/gatewayd/|$doc/|" \
      "systemd/$unit" > "$DESTDIR$PREFIX/lib/systemd/system/$unit"
  done
  install -m 644 systemd/gatewayd.sysusers "$DESTDIR$PREFIX/lib/sysusers.d/gatewayd.conf"
}

documents() {
  rm -rf "$DESTDIR${doc:?}"
  # shellcheck disable=SC2046 # names of our own pages
  copy "$DESTDIR$doc" README.md CHANGELOG.md LICENSE conf systemd \
    $(find docs -type f -name '*.md' | LC_ALL=C sort)
}

configuration() {
  if [ ! -d "$etc/secrets" ]; then install -d -m 750 "$etc" && install -d -m 700 "$etc/secrets"; fi
  if [ ! -e "$etc/gatewayd.yaml.example" ]; then
    install -m 644 conf/gatewayd.yaml "$etc/gatewayd.yaml.example"
  fi
}

# What only the machine itself can be given.
machine() {
  if [ -n "$DESTDIR" ]; then return; fi
  if ! getent passwd gatewayd > /dev/null; then
    systemd-sysusers "$PREFIX/lib/sysusers.d/gatewayd.conf" ||
      useradd --system --home-dir /var/lib/gatewayd --no-create-home --shell /usr/sbin/nologin \
        gatewayd
  fi
  chgrp gatewayd "$etc"
  if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
  echo "gatewayd is installed. Write /etc/gatewayd/gatewayd.yaml, then: systemctl enable --now gatewayd"
}

case ${1:-} in
  install)
    environment
    units
    documents
    configuration
    machine
    ;;
  uninstall)
    if [ -z "$DESTDIR" ] && [ -d /run/systemd/system ]; then
      systemctl disable --now gatewayd.service 2>/dev/null || true
      systemctl stop 'gatewayd@*.service' 2>/dev/null || true
    fi
    rm -rf "$DESTDIR${home:?}" "$DESTDIR${doc:?}"
    rm -f "$DESTDIR$PREFIX/bin/gatewayd" "$DESTDIR$PREFIX/lib/systemd/system/gatewayd.service" \
      "$DESTDIR$PREFIX/lib/systemd/system/gatewayd@.service" \
      "$DESTDIR$PREFIX/lib/sysusers.d/gatewayd.conf"
    if [ -z "$DESTDIR" ] && [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
    echo "gatewayd is gone. /etc/gatewayd, /var/lib/gatewayd and the user gatewayd are kept."
    ;;
  *)
    echo "usage: install.sh install | uninstall" >&2
    exit 2
    ;;
esac
