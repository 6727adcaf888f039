#!/usr/bin/env bash
# build.sh [DIR]: makes gracegate_VERSION_ARCHITECTURE.deb in DIR, by default dist/. The environment may have GOARCH (and GOARM),
# VERSION such as v1.2.3 in place of what the commit is called, SOURCE_DATE_EPOCH in place of its time, and DEBFULLNAME and DEBEMAIL,
# who answers for the package. The same commit and the same Go make the same bytes.
set -euo pipefail
export LC_ALL=C.UTF-8
umask 022
mkdir -p "${1:-dist}"
into=$(cd "${1:-dist}" && pwd)
cd "$(dirname "$0")/../../.."
arch=$(go env GOARCH)
arm=$(go env GOARM)
# Everything else that is built here is run here.
GOOS=$(go env GOHOSTOS)
GOARCH=$(go env GOHOSTARCH)
export GOOS GOARCH
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}"
export MAINTAINER="${DEBFULLNAME:-gracegate maintainers} <${DEBEMAIL:-gracegate@users.noreply.github.com}>"
export STAGE
STAGE=$(mktemp -d)
trap 'rm -rf "$STAGE"' EXIT

# version is what the program says, v1.2.3, or v1.2.3-4-gHASH for the fourth commit after that.
version() {
	local name
	if ! git rev-parse --verify --quiet HEAD >/dev/null 2>&1; then
		name=v0.0.0-devel
	elif ! name=$(git describe --tags --match 'v*' --dirty=.dirty 2>/dev/null); then
		name="v0.0.0-$(git rev-list --count HEAD)-g$(git describe --always --exclude '*' --dirty=.dirty)"
	fi
	echo "$name"
}

# debian_version makes 1.2.3 of it, 1.2.3+4.gHASH, and of v1.2.3-rc.1 1.2.3~rc.1, which is older than 1.2.3.
debian_version() { sed -E 's/^v//; s/-([0-9]+)-g([0-9a-f]+)/+\1.g\2/; s/-/~/; s/-/./g; s/$/-1/' <<<"$1"; }

program() { CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.stamped=$version" -o "$1" ./cmd/gracegate; }

changelog() {
	printf 'gracegate (%s) unstable; urgency=medium\n\n' "$1"
	printf '  * What changed is told in /usr/share/doc/gracegate/changelog.gz.\n\n'
	printf ' -- %s  %s\n' "$MAINTAINER" "$(date -u -R -d "@$SOURCE_DATE_EPOCH")"
}

# The texts that the licences of what is linked in ask to hand on.
licences() {
	local name dir file files
	printf 'The program is linked from these modules and the standard library of Go, under their licences.\n'
	{
		printf 'Go %s\t%s\n' "$(go env GOVERSION)" "$(go env GOROOT)"
		GOOS=linux GOARCH=$arch CGO_ENABLED=0 go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}	{{.Dir}}{{end}}{{end}}' ./cmd/gracegate | sort -u
	} | while IFS=$'\t' read -r name dir; do
		mapfile -t files < <(find "$dir" -maxdepth 1 -type f -iregex '.*/\(licen[cs]e\|copying\|notice\)[^/]*' -not -name '*.go' | sort)
		((${#files[@]})) || { echo "error: $name has no file with its licence in $dir" >&2; exit 1; }
		for file in "${files[@]}"; do
			printf '\n%s\n%s, %s\n\n' "$(printf '=%.0s' {1..78})" "$name" "${file##*/}"
			cat "$file"
		done
	done
}

# What this machine can run tells of itself what is not in the source: the version, the manual, the completions.
version=${VERSION:-$(version)}
program "$STAGE/host"
if [[ $GOOS/$GOARCH == linux/$arch ]]; then
	cp "$STAGE/host" "$STAGE/gracegate"
else
	GOOS=linux GOARCH=$arch GOARM=$arm program "$STAGE/gracegate"
fi
VERSION=$(debian_version "$version")
ARCH=$arch
[[ $arch == arm ]] && ARCH+=${arm%%,*} # nfpm knows 32-bit ARM by its version
export VERSION ARCH
mkdir "$STAGE/man1" "$STAGE/man5" "$STAGE/completions"
"$STAGE/host" man "$STAGE/man1"
mv "$STAGE"/man1/*.5 "$STAGE/man5"
"$STAGE/host" completion bash >"$STAGE/completions/gracegate.bash"
"$STAGE/host" completion zsh >"$STAGE/completions/_gracegate"
"$STAGE/host" completion fish >"$STAGE/completions/gracegate.fish"
changelog "$VERSION" >"$STAGE/changelog.Debian"
cp CHANGELOG.md "$STAGE/changelog"
cp -R docs "$STAGE/docs"
chmod -R a+rX,go-w "$STAGE/docs"
licences >"$STAGE/licences"
gzip -9n "$STAGE"/man?/* "$STAGE/changelog.Debian" "$STAGE/changelog" "$STAGE/licences"
sed -n '/^# policy.yaml$/,/^```$/{/^```$/!p}' README.md >"$STAGE/policy.yaml"
grep -q '^version: 1$' "$STAGE/policy.yaml"

go tool -modfile=.ci/tools/nfpm.mod nfpm package --config cmd/gracegate/debian/nfpm.yaml --packager deb --target "$into"
