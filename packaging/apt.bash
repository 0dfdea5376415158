# Sourced by what fetches packages of Debian without installing them. Needs the variable `folder`.
mirror=${MEMTOOLS_DEBIAN_MIRROR:-http://deb.debian.org/debian}
keys=/usr/share/keyrings/debian-archive-keyring.gpg

# apt SUITE COMMAND …: its own lists, keys and cache, nothing of the system's; no package counts as installed, so that all that one needs comes.
# With `architectures`, as `arm64` or `amd64,arm64`, of these machines.
apt() {
  local suite=$1 own=$folder/apt/$1
  shift
  mkdir -p "$own"/{sources,lists/partial,archives/partial}
  : >"$own/status"
  printf 'Types: deb deb-src\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' "$mirror" "$suite" "$keys" \
    >"$own/sources/debian.sources"
  local command=$1
  shift
  # shellcheck disable=SC2086
  timeout "${limit:-300}" "$command" --quiet \
    ${architectures:+-o APT::Architecture=${architectures%%,*} -o APT::Architectures=$architectures} \
    -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$own/sources" -o Dir::Etc::parts=/dev/null \
    -o Dir::State::lists="$own/lists" -o Dir::State::status="$own/status" \
    -o Dir::Cache="$own" -o Dir::Cache::archives="$own/archives" \
    -o Acquire::http::Timeout=20 -o Acquire::Retries=2 -o APT::Install-Recommends=0 -o APT::Sandbox::User="$(id -un)" \
    -o Debug::NoLocking=1 "$@"
}
