# Sourced by the scripts: makes .venv if there is none, and installs the project there at the tested versions.
# A second time, or where more is installed, it installs nothing. PYTHON names the interpreter to begin with; EXTRAS adds
# extras, as in "dev,plot"; gpu? is gpu where nvidia-smi is. Of several at once, one installs, and the others wait.
set -euo pipefail
CDPATH="" cd -- "$(dirname "${BASH_SOURCE[0]}")/.."
if command -v flock > /dev/null && { exec 9> .venv.lock; } 2> /dev/null && ! flock -n 9; then
  echo "Waits for another script that installs into $PWD/.venv" >&2
  flock 9 || true # there are disks without locks
fi

python=$PWD/.venv/bin/python
if [ -e .venv ] && ! "$python" -m pip --version > /dev/null 2>&1; then
  echo "$PWD/.venv has no pip: remove it, or install pip in it, and run this again" >&2
  exit 1
fi
if [ ! -e .venv ]; then
  "${PYTHON:-python3}" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' || {
    echo "hacnn_tf needs Python 3.10 to 3.13; name one, as in PYTHON=python3.12 bash $0" >&2
    exit 1
  }
  trap 'rm -rf .venv' EXIT # half of one would be in the way
  "${PYTHON:-python3}" -m venv .venv
  trap - EXIT
fi

setup_stamp() { # changes when what is to be installed does
  echo "$("$python" --version) $PWD"
  cat pyproject.toml constraints.txt
}

setup_extras=${EXTRAS:-}
setup_gpu=$(command -v nvidia-smi > /dev/null && echo ,gpu || true)
setup_extras=$(tr , '\n' <<< "${setup_extras/,gpu\?/$setup_gpu}" | sed '/^$/d' | sort -u | paste -sd, -)
setup_is_done() { # whether what is wanted is a part of what is installed
  local stamp extra
  for stamp in .venv/installed*; do
    [ -e "$stamp" ] && [ "$(setup_stamp)" = "$(cat "$stamp")" ] || continue
    for extra in ${setup_extras//,/ }; do
      [[ ",${stamp#.venv/installed-}," = *",$extra,"* ]] || continue 2
    done
    return 0
  done
  return 1
}
if ! setup_is_done; then
  for stamp in .venv/installed*; do # of other versions, which pip is about to replace in part
    [ ! -e "$stamp" ] || [ "$(setup_stamp)" = "$(cat "$stamp")" ] || rm "$stamp"
  done
  echo "Installing hacnn_tf${setup_extras:+ with $setup_extras} into .venv, which takes minutes ..."
  "$python" -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".${setup_extras:+[$setup_extras]}"
  setup_stamp > ".venv/installed${setup_extras:+-$setup_extras}"
fi
exec 9>&-
