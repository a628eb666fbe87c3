# What envs/create and envs/lock share. To be sourced; needs $root, the repository's root folder.

# The Python that the locks are compiled for.
python_version=3.11
# Brought in with pip where there is no uv on the PATH.
uv_version=0.13.9

# fail STATUS SENTENCE: 2 for what was asked for wrongly, 1 for anything else.
fail() {
    echo "envs/${0##*/}: ${*:2}" >&2
    exit "$1"
}

# uv does not read pip's settings, so a machine on which pip works must pass them on. Sets $find_links.
export_settings_of_pip() {
    find_links=${UV_FIND_LINKS:-${PIP_FIND_LINKS:-}}
    find_links=${find_links// /,}
    [[ -z $find_links ]] || export UV_FIND_LINKS=$find_links
    [[ -z ${PIP_INDEX_URL:-} ]] || export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$PIP_INDEX_URL}
    [[ -z ${PIP_CERT:-} ]] || export SSL_CERT_FILE=${SSL_CERT_FILE:-$PIP_CERT}
    [[ -z ${PIP_DEFAULT_TIMEOUT:-} ]] || export UV_HTTP_TIMEOUT=${UV_HTTP_TIMEOUT:-$PIP_DEFAULT_TIMEOUT}
}

# Set $uv to the uv on the PATH when it is recent enough to know the backends of torch, else to one of our own.
find_uv() {
    uv=$(command -v uv || true)
    if [[ -n $uv && $("$uv" pip sync --help 2>/dev/null) == *--torch-backend* ]]; then return; fi
    local tools=$root/.venvs/.uv
    uv=$tools/bin/uv
    [[ ! -x $uv ]] || return 0
    mkdir -p "$root/.venvs"
    (
        flock 9
        [[ ! -x $uv ]] || exit 0
        # A folder rather than an environment: Debian's Python has no venv module unless asked for, and pip refuses to
        # install beside the system's packages.
        for python in "python$python_version" python3 python; do
            "$python" -m pip --version >/dev/null 2>&1 || continue
            echo "uv: fetching release $uv_version with pip"
            rm -rf "$tools" "$tools.part"
            "$python" -m pip install --quiet --no-input --disable-pip-version-check --root-user-action ignore \
                --target "$tools.part" "uv==$uv_version" || fail 1 "pip could not install uv, see above; then run this again"
            mv "$tools.part" "$tools"
            exit 0
        done
        fail 1 "neither uv nor pip was found: install one of them (on Debian: apt install python3-pip) and run this again"
    ) 9>"$root/.venvs/.uv.flock" || exit $?
}

# Set the array $cpu_index to what uv needs to find torch $1 for CPUs: nothing where a find-links folder has the wheel,
# else PyTorch's own index, since PyPI only has the build with gigabytes of CUDA libraries.
find_cpu_torch() {
    local folder
    cpu_index=(--torch-backend cpu)
    unset UV_TORCH_BACKEND # would win over find-links
    for folder in ${find_links//,/ }; do
        if compgen -G "${folder#file://}/torch-$1+cpu-cp${python_version/./}-*$(uname -m).whl" >/dev/null; then
            cpu_index=()
        fi
    done
}
