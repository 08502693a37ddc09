# For the scripts here: installs packages on Debian where it may; needs `say` and WORK.
APT_READY=""
apt_install() {
    [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null || return 1
    if [ -z "$APT_READY" ]; then timeout 300 apt-get update -qq > "$WORK/apt.log" 2>&1; APT_READY=1; fi
    say "apt-get install $*"
    DEBIAN_FRONTEND=noninteractive timeout 600 apt-get install -y -qq --no-install-recommends "$@" >> "$WORK/apt.log" 2>&1
}
