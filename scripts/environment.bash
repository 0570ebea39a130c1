# Sourced by the scripts beside it: finds a Python, installs Debian packages that are missing, makes .venv.
# Every step that changes something says so in one line; nothing is done twice.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv

# Puts where Debian keeps mosquitto, mariadbd, RabbitMQ's and PostgreSQL's programs (one folder a version) behind what PATH has.
add_program_folders() {
  local folder
  for folder in /usr/sbin /sbin /usr/lib/postgresql/*/bin; do
    [[ ! -d $folder || :$PATH: == *:$folder:* ]] || PATH=$PATH:$folder
  done
}

add_program_folders

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

fail() {
  say "$@"
  exit 2
}

# Prints the first Python that is new enough; SAMESKY_PYTHON names another.
read_python() {
  local candidate
  for candidate in ${SAMESKY_PYTHON:+"$SAMESKY_PYTHON"} python3.11 python3 python3.12 python3.13 python3.14; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  fail "needs Python 3.11 or newer; this machine has $(python3 --version 2>/dev/null || echo none)." \
    "Install one (Debian 12: apt-get install python3 python3-venv), or name it: SAMESKY_PYTHON=/path/to/python3.11"
}

# Prints the Debian package that gives $python a working venv module.
read_venv_package() {
  case ${python##*/} in
    python3.*) printf '%s-venv\n' "${python##*/}" ;;
    *) echo python3-venv ;;
  esac
}

can_make_venv() { "$python" -c 'import ensurepip, venv' 2>/dev/null; }

# Whether a program is on the path; or a library, NAME.so.N, where the loader looks.
is_there() {
  if [[ $1 == *.so.* ]]; then
    grep -qF "$1" <<<"$(/sbin/ldconfig -p)"
  else
    command -v "$1" >/dev/null
  fi
}

# Installs those of the given "program package" pairs whose program, or library, is missing.
ensure_programs() {
  local missing=() pair program package
  for pair in "$@"; do
    read -r program package <<<"$pair"
    is_there "$program" || missing+=("$package")
  done
  ((${#missing[@]} == 0)) && return
  install_packages "${missing[@]}"
  add_program_folders
}

install_packages() {
  local as_root=() log
  command -v apt-get >/dev/null || fail "missing: $*. This machine has no apt-get: install them as it does, then run again"
  if ((EUID != 0)); then
    command -v sudo >/dev/null || fail "missing: $*. As root: apt-get install $*"
    as_root=(sudo)
  fi
  say "installing with apt-get: $*"
  log=$(mktemp)
  if ! install_quietly "$@" >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    fail "apt-get couldn't install $*; what it said is above"
  fi
  rm -f "$log"
}

# Debian starts the service of a package that it installs. Nothing here needs that, and a developer's machine doesn't
# either, so for the time of the installation policy-rc.d says no; one that is there already is left as it is.
install_quietly() {
  local policy=/usr/sbin/policy-rc.d made=no status=0
  if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
    made=yes
  fi
  "${as_root[@]}" apt-get -q update &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends "$@" || status=$?
  [[ $made == no ]] || "${as_root[@]}" rm -f "$policy"
  return "$status"
}

# Makes .venv hold this checkout with the extra $1 ("" for none), at the versions of constraints.txt. A stamp file says
# for what it was made; the extra `test` holds all the others.
ensure_venv() {
  local extra=$1 wanted
  wanted=$({ "$python" --version && echo "$root" && cat "$root/pyproject.toml" "$root/constraints.txt"; } | sha256sum)
  if "$venv/bin/python" -c '' 2>/dev/null; then
    [[ $(read_stamp test) == "$wanted" || $(read_stamp "$extra") == "$wanted" ]] && return
  else
    can_make_venv || install_packages "$(read_venv_package)"
    say "making .venv with $("$python" --version)"
    "$python" -m venv --clear "$venv" || fail "couldn't make $venv; what Python said is above"
  fi
  say "installing samesky${extra:+[$extra]} into .venv"
  (cd "$root" && "$venv/bin/python" -m pip install -qq --disable-pip-version-check -c constraints.txt \
    -e ".${extra:+[$extra]}") || fail "pip couldn't install samesky${extra:+[$extra]}; what it said is above"
  printf '%s\n' "$wanted" >"$venv/stamp-${extra:-plain}"
}

read_stamp() { cat "$venv/stamp-${1:-plain}" 2>/dev/null || true; }

python=$(read_python)
