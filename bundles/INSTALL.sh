#!/bin/sh
# Sets up a box from this seed: the verifier, Python where the box has none, and who the box is. Nothing else.
#
# Before this runs, the box's own `sha256sum SHA256SUMS` was compared with the card by a person: that is what makes
# this file the one that headquarters wrote. It takes the card once more, works on a copy that it checked, touches no
# network, and may be cut at any moment and run again: what it makes appears under its name only when it is whole.
#
#   sh INSTALL.sh --card "THE 64 CHARACTERS" [--demo] [--root DIR] [--prefix DIR] [--command FILE]

set -eu
umask 022
LC_ALL=C
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH

stop() { # CODE WHAT DO
    echo "error: [$1] $2" >&2
    echo "  do: $3 (safe now: what ran goes on running; nothing of this seed is in force)" >&2
    exit 3
}

again='do not use this seed; ask headquarters for it and its card again'
card='' demo='' root=/var/lib/hybrid prefix=/opt/hybrid command=/usr/local/bin/hybrid
while [ $# -gt 0 ]; do
    case $1 in
        --demo) demo=--demo; shift; continue ;;
        --card | --root | --prefix | --command) [ $# -gt 1 ] || stop USAGE "$1 needs a value" 'see the guide' ;;
        *) stop USAGE "unknown option $1" 'sh INSTALL.sh --card "THE 64 CHARACTERS"' ;;
    esac
    case $1 in
        --card) card=$2 ;;
        --root) root=$2 ;;
        --prefix) prefix=$2 ;;
        --command) command=$2 ;;
    esac
    shift 2
done

card=$(printf %s "$card" | tr -d ' \t\r\n' | tr A-F a-f)
card=${card#sha256:}
case $card in
    *[!0-9a-f]* | '') stop CARD 'the card has 64 characters, 0-9 and a-f' 'type what the card says' ;;
esac
[ ${#card} -eq 64 ] || stop CARD "the card has 64 characters, not ${#card}" 'type all eight groups of the card'
for tool in sha256sum tar find cut grep stat; do
    command -v $tool > /dev/null || stop TOOL "this box has no $tool" 'install it from the box'\''s own distribution'
done

seed=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
work=$prefix.seed.part
trap 'rm -rf "$work" "$prefix.part"' EXIT
copy=$work/seed

fits() { # whether this box is what the seed needs; says what is not
    while read -r what wanted; do
        case $what in
            arch) [ "$(uname -m)" = "$wanted" ] || stop GATE "the seed is for $wanted, this box is $(uname -m)" "$other" ;;
            glibc)
                libc=$(getconf GNU_LIBC_VERSION 2> /dev/null) || libc='glibc 0.0'
                libc=${libc#glibc }
                [ "${libc%%.*}" -gt "${wanted%%.*}" ] || { [ "${libc%%.*}" -eq "${wanted%%.*}" ] \
                    && [ "${libc#*.}" -ge "${wanted#*.}" ]; } \
                    || stop GATE "the seed needs glibc $wanted, this box has $libc" "$other" ;;
            cpu) grep -qwE "^(flags|Features).*[[:space:]:]$wanted" /proc/cpuinfo \
                || stop GATE "this processor lacks $wanted" "$other" ;;
            bytes)
                blocks=$(stat -f -c %a "$(dirname -- "$prefix")")
                free=$((blocks * $(stat -f -c %S "$(dirname -- "$prefix")")))
                [ $free -ge "$wanted" ] \
                    || stop SPACE "needs $((wanted / 1000000)) MB, $((free / 1000000)) MB are free" \
                        'free space on this box and run INSTALL.sh again' ;;
            python) tag=$wanted ;;
        esac
    done < "$copy/NEEDS"
}
other='ask headquarters for a seed for this machine'

take() { # copies every file that the card covers, and holds the copy against it
    rm -rf "$work"
    mkdir -p "$copy/wheels" "$copy/python" || stop ROOT "cannot write beside $prefix" 'run it as root'
    if [ -L "$seed/SHA256SUMS" ] || [ ! -f "$seed/SHA256SUMS" ] || [ "$(stat -c %s "$seed/SHA256SUMS")" -gt 1048576 ]; then
        stop SEED 'SHA256SUMS is missing, or no list of sums' "$again"
    fi
    cp -- "$seed/SHA256SUMS" "$copy/SHA256SUMS" || stop SEED 'SHA256SUMS cannot be read' "$again"
    found=$(sha256sum < "$copy/SHA256SUMS" | cut -c1-64)
    [ "$found" = "$card" ] || stop CARD "the seed's digest is $found, the card says $card" "$again"
    find "$seed" ! -type d > "$work/there"
    while IFS= read -r path; do
        name=${path#"$seed"/}
        [ "$name" = SHA256SUMS ] || cut -c67- "$copy/SHA256SUMS" | grep -Fxq -e "$name" \
            || stop SEED "$name lies on the medium, and the card knows nothing of it" "$again"
    done < "$work/there"
    while read -r sum name; do
        case $name in
            *..* | /* | */*/* | *[!A-Za-z0-9._+%~/-]*) stop SEED "SHA256SUMS names $name" "$again" ;;
        esac
        if [ -L "$seed/$name" ] || [ ! -f "$seed/$name" ]; then stop SEED "$name is missing" "$again"; fi
        cp -- "$seed/$name" "$copy/$name" || stop SEED "$name cannot be read" "$again"
        [ "$(sha256sum < "$copy/$name" | cut -c1-64)" = "$sum" ] || stop SEED "$name is not what SHA256SUMS says" "$again"
    done < "$copy/SHA256SUMS"
}

suits() { # PYTHON: whether it is the Python that the wheels are for, with all of its library
    [ "$("$1" -I -c 'import sys; print("cp%d%d" % sys.version_info[:2])' 2> /dev/null)" = "${tag:-}" ] \
        && "$1" -I -c 'import asyncio, ctypes, hashlib, http.client, lzma, ssl, uuid, zipfile, zlib' 2> /dev/null
}

unpack_deb() { # FILE FOLDER
    if command -v dpkg-deb > /dev/null; then
        dpkg-deb -x "$1" "$2"
    elif command -v ar > /dev/null; then
        member=$(ar t "$1" | grep '^data\.tar')
        ar p "$1" "$member" > "$work/$member"
        tar -xf "$work/$member" -C "$2"
        rm "$work/$member"
    else
        stop PYTHON 'this box has neither dpkg-deb nor ar to unpack Python with' 'install binutils, or Python itself'
    fi
}

find_python() { # sets python, and libraries where the seed's own is taken
    libraries=''
    for python in /usr/bin/python3.11 /usr/bin/python3 /usr/local/bin/python3; do
        if [ -x $python ] && suits $python; then return; fi
    done
    ls "$copy"/python/*.deb > /dev/null 2>&1 \
        || stop PYTHON "this box has no Python for ${tag:-the wheels}, and the seed brings none" \
            'ask headquarters for a seed with Python (hybrid trust card --python)'
    mkdir "$prefix.part/python"
    for deb in "$copy"/python/*.deb; do unpack_deb "$deb" "$prefix.part/python"; done
    python=$prefix.part/python/usr/bin/python3.${tag#cp3}
    libraries=$(find "$prefix.part/python" -type d -name '*-linux-gnu*' -path '*/lib/*-linux-gnu*' -prune | tr '\n' ':')
    libraries=${libraries%:} # an empty entry would be the folder one happens to stand in
    LD_LIBRARY_PATH=$libraries
    export LD_LIBRARY_PATH
    suits "$python" || stop PYTHON "the seed's Python does not run here" "$other"
}

set_up() { # the verifier, beside, and then under its name
    rm -rf "$prefix.part"
    mkdir -p "$prefix.part/bin" "$prefix.part/site-packages"
    find_python
    for wheel in "$copy"/wheels/*.whl; do
        "$python" -I -B -m zipfile -e "$wheel" "$prefix.part/site-packages" || stop WHEEL "$wheel does not unpack" "$again"
    done
    final=$(printf %s "$python" | sed "s|^$prefix.part|$prefix|")
    {
        echo '#!/bin/sh'
        [ -z "$libraries" ] || echo "export LD_LIBRARY_PATH='$(printf %s "$libraries" | sed "s|$prefix.part|$prefix|g")'"
        echo "exec '$final' \"\$@\""
    } > "$prefix.part/bin/python3"
    chmod 755 "$prefix.part/bin/python3"
    cat > "$prefix.part/hybrid.py" << 'END'
"""Starts the verifier that the seed brought, from the wheels beside this file alone."""

import os
import sys

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
here = os.path.dirname(os.path.abspath(__file__))
sys.executable = os.path.join(here, "bin", "python3")
packages = os.path.join(here, "site-packages")
sys.path[:] = [packages] + [path for path in sys.path if not path.endswith(("site-packages", "dist-packages"))]

from hybrid.cli import main

sys.argv[0] = "hybrid"
main()
END
    echo "$card" > "$prefix.part/seed.sha256"
    sync
    rm -rf "$prefix" # of a seed that enrolled nobody
    mv "$prefix.part" "$prefix"
    sync
}

enrolled='' present=''
[ ! -e "$root/identity/enrolment.json" ] || enrolled=yes
[ ! -e "$prefix" ] || present=$(cat "$prefix/seed.sha256" 2> /dev/null || echo unknown)
if [ "$enrolled" ] && [ "$present" = "$card" ]; then
    echo 'this box is set up and enrolled already; nothing was changed'
    exit 0
fi
if [ "$enrolled" ] && [ "$present" ]; then
    stop VERIFIER "$prefix holds the verifier of another seed" 'a box is set up once: hybrid site status'
fi
take
fits
[ "$present" = "$card" ] || set_up
mkdir -p "$(dirname -- "$command")"
printf '#!/bin/sh\nexec %s/bin/python3 -I -B %s/hybrid.py "$@"\n' "$prefix" "$prefix" > "$command.part"
chmod 755 "$command.part"
mv "$command.part" "$command"
if [ "$enrolled" ]; then
    echo "the verifier is set up; this box stays who it is"
else
    # shellcheck disable=SC2086 # nothing, or one word
    "$command" site enrol "$copy" --card "$card" --root "$root" $demo
fi
sync
