# Sourced by the install scripts: packages of the distribution, without starting a service of theirs.
# Needs bash, Debian or Ubuntu; root or sudo only when something is missing.

# Where everything that is not the distribution's own goes.
cache=${SHARDLOOM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/shardloom}
mkdir -p "$cache"

say() { printf '%s\n' "$*" >&2; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# The first of the named packages that the distribution has.
first_candidate() {
    local name
    for name in "$@"; do
        case $(apt-cache policy "$name" 2>/dev/null) in
            '' | *'Candidate: (none)'*) ;;
            *) echo "$name" ; return ;;
        esac
    done
    return 1
}

# Reads the distribution's package lists, once in a run.
refresh_lists() {
    if [ -z "${lists_refreshed:-}" ]; then
        say "Reading the distribution's package lists ..."
        as_root apt-get -qq -o DPkg::Lock::Timeout=300 update
        lists_refreshed=1
    fi
}

# policy-rc.d 101 keeps a package's own service from starting; whatever was there before is put back.
install_packages() {
    local policy=/usr/sbin/policy-rc.d kept='' status=0
    command -v apt-get >/dev/null || { say "Please install by hand: $*"; return 1; }
    say "Installing $* ..."
    if [ -e "$policy" ]; then
        kept=$(mktemp)
        as_root cp -p "$policy" "$kept"
    fi
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -y -qq -o DPkg::Lock::Timeout=300 \
        --no-install-recommends install "$@" </dev/null >"$cache/apt.log" 2>&1 || status=$?
    if [ -n "$kept" ]; then
        as_root cp -p "$kept" "$policy"
        as_root rm -f "$kept"
    else
        as_root rm -f "$policy"
    fi
    if [ "$status" != 0 ]; then tail -n 20 "$cache/apt.log" >&2; fi
    return "$status"
}

# On a Debian machine sbin is not on everybody's PATH.
PATH=$PATH:/usr/sbin:/sbin
