#!/bin/sh
# Makes dist/gatewayd_VERSION_ARCHITECTURE.deb for the Debian it runs on; `make deb` calls it. The
# version is that of gatewayd/__init__.py, with "-1"; DEB_VERSION names another, DEB_MAINTAINER who
# answers for the package, DEB_OUT another folder.
#
# The package is what install.sh puts below /usr, with Debian's own /usr/bin/python3: the compiled
# packages are for that minor version, so the package depends on it.
set -eu
umask 022
cd "$(dirname "$0")/.."

python=/usr/bin/python3
out=${DEB_OUT:-dist}
version=${DEB_VERSION:-$(sed -n 's/^__version__ = "\(.*\)"/\1/p' gatewayd/__init__.py)-1}
maintainer=${DEB_MAINTAINER:-gatewayd developers <gatewayd@localhost.localdomain>}
architecture=$(dpkg --print-architecture)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
chmod 755 "$work"
mkdir "$root"
DESTDIR=$root PREFIX=/usr PYTHON=$python sh packaging/install.sh install

doc=$root/usr/share/doc/gatewayd
rm "$doc/LICENSE"  # Debian has it: see copyright
gzip -9n < "$doc/CHANGELOG.md" > "$doc/changelog.gz"
rm "$doc/CHANGELOG.md"
ln -s changelog.gz "$doc/CHANGELOG.md.gz"
install -m 644 packaging/debian/copyright "$doc/copyright"
printf 'gatewayd (%s) unstable; urgency=medium\n\n  * What is new stands in changelog.gz.\n\n -- %s  %s\n' \
  "$version" "$maintainer" "$(date -u -R -d "@$SOURCE_DATE_EPOCH")" |
  gzip -9n > "$doc/changelog.Debian.gz"
install -D -m 644 packaging/debian/lintian-overrides "$root/usr/share/lintian/overrides/gatewayd"
# systemd's files are under /usr/lib in Debian 12 too; rights of /etc/gatewayd are set by postinst.
chmod 755 "$root/etc/gatewayd"
find "$root/usr/lib/gatewayd/lib" -type f ! -name '*.so*' -exec chmod 644 {} +

control=$root/DEBIAN
mkdir "$control"
minor=$("$python" -c 'import sys; print(sys.version_info.minor)')
# The newest C library that a compiled package asks for, by the platform it was built for.
libc=$(cat "$root"/usr/lib/gatewayd/lib/python3.*/site-packages/*.dist-info/WHEEL |
  sed -n 's/.*manylinux_2_\([0-9]*\)_.*/\1/p' | sort -n | tail -n 1)
sed -e "s|@VERSION@|$version|" -e "s|@ARCHITECTURE@|$architecture|" \
  -e "s|@MAINTAINER@|$maintainer|" -e "s|@SIZE@|$(du -sk "$root" | cut -f 1)|" \
  -e "s|@PYTHON@|3.$minor|" -e "s|@NEXT_PYTHON@|3.$((minor + 1))|" -e "s|@LIBC@|2.${libc:-17}|" \
  packaging/debian/control.in > "$control/control"
for script in preinst postinst prerm postrm; do
  install -m 755 "packaging/debian/$script" "$control/$script"
done
echo /etc/gatewayd/gatewayd.yaml.example > "$control/conffiles"
(cd "$root" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) > "$control/md5sums"

find "$root" -newermt "@$SOURCE_DATE_EPOCH" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
mkdir -p "$out"
dpkg-deb --root-owner-group -Zxz --build "$root" "$out/gatewayd_${version}_$architecture.deb"
