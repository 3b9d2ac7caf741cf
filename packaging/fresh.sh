#!/usr/bin/env bash
# Does what the README tells newcomers to do on a machine that has nothing: a Debian
# that debootstrap makes in a folder, with make and git, and this machine's Go and Node.
#
#   packaging/fresh.sh [chat] [install] [docs] [test]   # all of them without arguments
#
# What is committed is what is tried. It needs root and debootstrap. FRESH_DIR is where the
# folder goes (/var/tmp), FRESH_MIRROR where Debian comes from, and KEEP=1 leaves it there.
# Mounts are made in a namespace of their own, which ends with the last process in it: there
# is nothing to unmount, and nothing of this machine below the folder that is removed.
set -euo pipefail

say() { printf '\n=== %s\n' "$*"; }

# answers PORT PATH: whether a server there says 200.
answers() {
	local status=
	{ exec 3<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null || return 1
	printf 'GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' "$2" >&3
	read -r -t 10 status <&3 || true
	exec 3>&-
	[[ $status == *' 200 '* ]]
}

# free prints a port where nobody listens.
free() {
	local port
	while port=$((20000 + RANDOM % 10000)); do
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
	done
}

# until_it_answers SECONDS PORT PATH COMMAND…: run a server until it says 200. A command that
# ends well before counts as well.
until_it_answers() {
	local limit=$((SECONDS + $1)) port=$2 path=$3 status=
	shift 3
	setsid "$@" & local pid=$!
	while true; do
		if answers "$port" "$path"; then
			echo "http://127.0.0.1:$port$path answers"
			break
		fi
		if ! kill -0 "$pid" 2>/dev/null; then
			wait "$pid" && return 0 || status=$?
			echo "ended with $status: $*"
			return 1
		fi
		[ "$SECONDS" -lt "$limit" ] || { echo "no answer in time: $*"; status=1; break; }
		sleep 1
	done
	kill -- -"$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || true
	return "${status:-0}"
}

step_chat() {
	cd /carillon
	local port
	port=$(free)
	ADDR=127.0.0.1:$port until_it_answers 1800 "$port" / make chat
}

# The server, from a proxy that has what a release of this tree would publish.
step_install() {
	git clone -q /carillon /release
	cd /release
	go run ./internal/release release v0.99.0-fresh.1 /proxy
	cd /
	GOPROXY="file:///proxy,$(go env GOPROXY)" GONOSUMDB=github.com/carillon-rt go install github.com/carillon-rt/carillon/cmd/carillon@latest
	carillon version | grep -F v0.99.0-fresh.1
	local port
	port=$(free)
	export ADDR=127.0.0.1:$port PUSHER_HOST=127.0.0.1 PUSHER_PORT=$port PUSHER_APP_ID=1 PUSHER_APP_KEY=fresh-key PUSHER_APP_SECRET=fresh-secret
	setsid carillon & local server=$!
	local tries=0
	until carillon health; do
		[ $((tries += 1)) -le 60 ] || return 1
		sleep 1
	done
	carillon tail room -json >/tail & local tail=$!
	tries=0
	until grep -q '"subscribed"' /tail; do
		[ $((tries += 1)) -le 60 ] || return 1
		sleep 1
	done
	carillon publish room -event hello -data '{"from":"a bare machine"}'
	until grep -q 'a bare machine' /tail; do
		[ $((tries += 1)) -le 120 ] || return 1
		sleep 1
	done
	kill "$tail" "$server"
	wait "$tail" "$server"
}

# The code of every page, and the first command of each that starts something.
step_docs() {
	cd /carillon
	go test -count=1 -run 'TestSnippets|TestAddresses|TestTutorial|TestAdapter' ./internal/docs
	go build -o /root/go/bin/carillon ./cmd/carillon
	local page command port path
	for page in docs/*.md; do
		command=$(sed -nE 's/^    ((go (run|test)|make|carillon) .*)$/\1/p' "$page" | head -n 1 | sed 's/ *#.*//')
		[ -n "$command" ] || { echo "$page: no command that this could run"; continue; }
		echo "$page: $command"
		port=$(free)
		path=/
		[[ $command != carillon* ]] || path=/up
		ADDR=127.0.0.1:$port until_it_answers 300 "$port" "$path" bash -c "$command"
	done
}

step_test() {
	cd /carillon
	make test
}

# Within the folder.
if [ "${1:-}" = --inside ]; then
	shift
	failed=()
	for step in "$@"; do
		say "$step"
		began=$SECONDS
		# Not as a condition: that would switch off set -e within.
		set +e
		(set -e; "step_$step")
		status=$?
		set -e
		[ "$status" -eq 0 ] || failed+=("$step")
		say "$step: $([ "$status" -eq 0 ] && echo good || echo "FAILED ($status)") after $((SECONDS - began)) s"
	done
	[ "${#failed[@]}" -eq 0 ] || { echo "failed: ${failed[*]}"; exit 1; }
	exit 0
fi

steps=("$@")
[ "${#steps[@]}" -gt 0 ] || steps=(chat install docs test)
for step in "${steps[@]}"; do
	case $step in chat | install | docs | test) ;; *)
		echo "$step is none of chat, install, docs and test" >&2
		exit 2
		;;
	esac
done
[ "$(id -u)" -eq 0 ] || { echo "making a Debian needs root" >&2; exit 1; }
for tool in debootstrap unshare chroot git go node npm; do
	command -v "$tool" >/dev/null || { echo "$tool is missing (debootstrap is a package of Debian's)" >&2; exit 1; }
done

export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*' # sudo is not who owns the tree
repo=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
dir=$(mktemp -d "${FRESH_DIR:-/var/tmp}/carillon-fresh.XXXXXX")
clean() {
	if grep -qF " $dir" /proc/self/mountinfo; then
		echo "something is mounted below $dir: it stays" >&2
	elif [ -n "${KEEP:-}" ]; then
		echo "$dir stays"
	else
		rm -rf --one-file-system -- "$dir"
	fi
}
trap clean EXIT
trap 'exit 130' INT TERM
root=$dir/debian

say "a Debian in $root"
suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}")
debootstrap --variant=minbase --include=ca-certificates,git,make "$suite" "$root" "${FRESH_MIRROR:-http://deb.debian.org/debian}" >"$dir/debootstrap.log" 2>&1 ||
	{ tail -n 20 "$dir/debootstrap.log" >&2; exit 1; }
cp -a "$(go env GOROOT)" "$root/usr/local/go"
cp -L "$(command -v node)" "$root/usr/local/bin/node"
mkdir -p "$root/usr/local/lib/node_modules"
cp -a "$(dirname "$(dirname "$(readlink -f "$(command -v npm)")")")" "$root/usr/local/lib/node_modules/npm"
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
ln -s ../lib/node_modules/npm/bin/npx-cli.js "$root/usr/local/bin/npx"
# How this machine gets out to the registries.
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
if compgen -G '/usr/local/share/ca-certificates/*.crt' >/dev/null; then
	cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/"
	chroot "$root" update-ca-certificates >/dev/null 2>&1
fi
git clone -q --no-hardlinks "$repo" "$root/carillon"
git -C "$root/carillon" checkout -q --detach "$(git -C "$repo" rev-parse HEAD)"
cp "$0" "$root/fresh.sh"
passed=(HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive PATH=/root/go/bin:/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
for name in GOPROXY GOSUMDB http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY NODE_EXTRA_CA_CERTS npm_config_registry CI; do
	[ -z "${!name:-}" ] || passed+=("$name=${!name}")
done

# shellcheck disable=SC2016 # the inner shell's
unshare --mount --pid --fork --kill-child --propagation private bash -euc '
	root=$1; shift
	mount -t proc proc "$root/proc"
	mount -t sysfs -o ro sys "$root/sys"
	mount -t tmpfs -o mode=755 dev "$root/dev"
	for node in "null 1 3" "zero 1 5" "full 1 7" "random 1 8" "urandom 1 9" "tty 5 0"; do
		set -- $node "$@"
		mknod -m 666 "$root/dev/$1" c "$2" "$3"
		shift 3
	done
	mkdir "$root/dev/pts" "$root/dev/shm"
	mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
	mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
	ln -s pts/ptmx "$root/dev/ptmx"
	ln -s /proc/self/fd "$root/dev/fd"
	ln -s /proc/self/fd/0 "$root/dev/stdin"
	ln -s /proc/self/fd/1 "$root/dev/stdout"
	ln -s /proc/self/fd/2 "$root/dev/stderr"
	exec chroot "$root" "$@"
' fresh "$root" /usr/bin/env -i "${passed[@]}" /bin/bash /fresh.sh --inside "${steps[@]}"
