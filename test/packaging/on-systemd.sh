#!/bin/bash
# Runs inside a freshly booted Debian (systemd.test.ts): installs, uses and removes the package
# under a real systemd. Prints `ok NAME` or `FAILED NAME` for each step; after a failure the log.
unit=pmxcfs-ipc.service
# Triggers of other packages are skipped: rebuilding the index of all manual pages, for example,
# took a quarter of a minute each time.
dpkg() { command dpkg --no-triggers "$@"; }

try() { # try NAME COMMAND...
	local name=$1 output
	shift
	# The steps start the unit more often than systemd's start limit allows.
	systemctl reset-failed
	if output=$("$@" 2>&1); then
		echo "ok $name"
	else
		echo "FAILED $name"
		printf '%s\n' "$output" "$(journalctl -u "$unit" -u pve-cluster -n 8 --no-pager -o cat)"
	fi
}

# within SECONDS COMMAND...: polls until the command succeeds.
within() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.1
	done
}

main_pid() { systemctl show -p MainPID --value "${1:-$unit}"; }
answers() { pmxcfs-ipc call get-fs-version >/dev/null 2>&1; }
as() { setpriv --reuid "$1" --regid "$1" --clear-groups pmxcfs-ipc call get-fs-version; }
active() { systemctl is-active --quiet "${1:-$unit}"; }
no_rings() { [ -z "$(ls /dev/shm)" ]; }

installs() {
	dpkg --install /root/package.deb && systemctl is-enabled "$unit" && active && answers
}

tells_status() { systemctl status "$unit" | grep -q 'Status: "serving pve2'; }
www_data() { as www-data; }
nobody_refused() { ! as nobody; }
logs_with_priority() { journalctl -u "$unit" -p info -o cat | grep -q 'serving pve2'; }
few_rights() { grep -q 'CapEff:.*0003$' "/proc/$(main_pid)/status"; }

comes_back() {
	local old
	old=$(main_pid)
	kill -KILL "$old"
	within 30 bash -c "[ \$(systemctl show -p MainPID --value $unit) != 0 ]" || return 1
	within 30 answers && [ "$(main_pid)" != "$old" ] && ! ls -d /dev/shm/qb-"$old"-* 2>/dev/null
}

watchdog() {
	local old
	mkdir -p /run/systemd/system/$unit.d
	printf '[Service]\nWatchdogSec=3\nTimeoutAbortSec=1\n' >/run/systemd/system/$unit.d/fast.conf
	systemctl daemon-reload && systemctl restart "$unit" || return 1
	old=$(main_pid)
	# The keep-alives arrive: the server survives two watchdog periods.
	sleep 7
	[ "$(main_pid)" = "$old" ] || return 1
	kill -STOP "$old"
	within 30 bash -c "[ \$(systemctl show -p MainPID --value $unit) != $old ]" || return 1
	within 30 answers || return 1
	rm -r /run/systemd/system/$unit.d && systemctl daemon-reload
}

serves_directory() {
	mkdir -p /srv/pve && echo 'dir: local' >/srv/pve/storage.cfg
	echo 'PMXCFS_IPC_OPTIONS="--dir /srv/pve"' >/etc/default/pmxcfs-ipc
	systemctl restart "$unit" && [ "$(pmxcfs-ipc call get-config storage.cfg)" = 'dir: local' ] &&
		echo 'dir: other' >/srv/pve/storage.cfg &&
		within 30 bash -c '[ "$(pmxcfs-ipc call get-config storage.cfg)" = "dir: other" ]'
}

# The metrics paths that docs/running.md names.
shows_metrics() {
	local file=/var/lib/prometheus/node-exporter/pmxcfs-ipc-serve.prom
	mkdir -p "${file%/*}"
	echo "PMXCFS_IPC_OPTIONS=\"--dir /srv/pve --metrics unix:/run/pmxcfs-ipc-metrics.sock \
		--metrics-textfile $file\"" | tr -d '\\\n\t' >/etc/default/pmxcfs-ipc
	systemctl restart "$unit" && within 30 grep -q '^pmxcfs_ipc_connections_limit ' "$file" &&
		[ "$(stat -c %a:%F /run/pmxcfs-ipc-metrics.sock)" = 660:socket ]
}

shows_requests() {
	local line="-u $unit -p debug -o cat -g get-fs-version.*bytes -q"
	answers && [ -z "$(journalctl $line)" ] || return 1
	systemctl kill -s USR1 "$unit"
	within 30 eval 'answers && [ -n "$(journalctl '"$line"')" ]' && systemctl kill -s USR1 "$unit"
}

stops() {
	# Not success if it had to be killed after TimeoutStopSec.
	systemctl stop "$unit" && [ "$(systemctl show -p Result --value "$unit")" = success ] && no_rings
}

leaves_a_held_name_alone() {
	local holder verdict
	pmxcfs-ipc echo --socket pve2 2>/dev/null &
	holder=$!
	within 30 grep -q '@pve2@' /proc/net/unix
	systemctl start "$unit"
	! active && ! systemctl is-failed --quiet "$unit" && kill -0 "$holder"
	verdict=$?
	kill "$holder"
	wait "$holder" 2>/dev/null
	return $verdict
}

upgrade_keeps_stopped() { dpkg --install /root/package.deb && ! active; }

upgrade_restarts_running() {
	local old
	systemctl start "$unit" || return 1
	old=$(main_pid)
	dpkg --install /root/package.deb && active && [ "$(main_pid)" != "$old" ] && answers
}

# A stand-in for pve-cluster: forks, writes its pid, does nothing.
stand_in() {
	cat >/usr/bin/pmxcfs <<-'END'
		#!/bin/sh
		setsid sleep infinity >/dev/null 2>&1 &
		echo $! >/run/pve-cluster.pid
	END
	chmod 755 /usr/bin/pmxcfs
	cat >/etc/systemd/system/pve-cluster.service <<-'END'
		[Unit]
		ConditionFileIsExecutable=/usr/bin/pmxcfs
		[Service]
		Type=forking
		ExecStart=/usr/bin/pmxcfs
		PIDFile=/run/pve-cluster.pid
		Restart=on-failure
		KillMode=mixed
	END
	systemctl stop "$unit"
	systemctl daemon-reload && systemctl start pve-cluster && active pve-cluster
}

# The steps of docs/deploy.md.
switches_over() {
	# Files of the machine below the overlay are not this node's.
	rm -rf /var/lib/pve-cluster /etc/pve
	mkdir -p /var/lib/pve-cluster /tmp/tree/nodes/"$(hostname -s)"/qemu-server
	echo 'name: web' >/tmp/tree/nodes/"$(hostname -s)"/qemu-server/100.conf
	pmxcfs-ipc config import --db /var/lib/pve-cluster/config.db /tmp/tree || return 1
	echo "192.0.2.11 $(hostname -s)" >>/etc/hosts
	systemctl stop pve-cluster
	install -D -m 644 /usr/share/doc/pmxcfs-ipc/examples/pve-cluster.conf \
		/etc/systemd/system/pve-cluster.service.d/pmxcfs-ipc.conf
	systemctl daemon-reload && systemctl start pve-cluster &&
		[ "$(readlink /proc/"$(main_pid pve-cluster)"/exe)" = /usr/bin/pmxcfs-ipc ] &&
		pmxcfs-ipc call get-guest-list | grep -q 100 &&
		nsenter -t 1 -m findmnt -n -t fuse /etc/pve
}

# An open file and a shell in the mount keep working across a restart.
restart_unnoticed() {
	local old shell
	old=$(main_pid pve-cluster)
	exec 3</etc/pve/local/qemu-server/100.conf
	(cd /etc/pve/nodes && exec sleep infinity) &
	shell=$!
	within 30 bash -c "[ \$(readlink /proc/$shell/cwd) = /etc/pve/nodes ]"
	systemctl restart pve-cluster && [ "$(main_pid pve-cluster)" != "$old" ] &&
		[ "$(cat <&3)" = 'name: web' ] && ls /proc/$shell/cwd/ &&
		journalctl -u pve-cluster -o cat | grep 'took over the mount'
	old=$?
	exec 3<&-
	kill $shell
	return $old
}

# The same after a crash: the next server answers the pending requests, and those sent in between.
crash_unnoticed() {
	local old shell verdict
	old=$(main_pid pve-cluster)
	exec 3</etc/pve/local/qemu-server/100.conf
	(
		i=0
		until [ -e /run/enough ]; do
			i=$((i + 1))
			mkdir "/etc/pve/d$i" && rmdir "/etc/pve/d$i" || exit 1
		done
	) &
	shell=$!
	kill -KILL "$old"
	within 30 bash -c "[ \$(systemctl show -p MainPID --value pve-cluster) != $old ]" &&
		within 30 active pve-cluster && touch /run/enough && wait $shell &&
		[ "$(cat <&3)" = 'name: web' ] &&
		journalctl -u pve-cluster -o cat | grep -c 'took over the mount' | grep -qx 2
	verdict=$?
	exec 3<&-
	touch /run/enough
	return $verdict
}

refuses_removal() { ! dpkg --remove pmxcfs-ipc && [ -x /usr/bin/pmxcfs-ipc ]; }

# Between fork and exec the process is still the shell.
stand_in_runs() {
	[ "$(readlink /proc/"$(cat /run/pve-cluster.pid)"/exe)" = "$(readlink -f /bin/sleep)" ]
}

switches_back() {
	echo 'cores: 4' >>/etc/pve/local/qemu-server/100.conf
	systemctl stop pve-cluster
	! grep ' /etc/pve ' /proc/mounts || return 1
	rm /etc/systemd/system/pve-cluster.service.d/pmxcfs-ipc.conf
	systemctl daemon-reload
	pmxcfs-ipc config verify --db /var/lib/pve-cluster/config.db &&
		pmxcfs-ipc config cat nodes/"$(hostname -s)"/qemu-server/100.conf | grep -q 'cores: 4' &&
		systemctl start pve-cluster && within 30 stand_in_runs
}

goes() {
	systemctl enable --now pmxcfs-ipc-backup.timer && active pmxcfs-ipc-backup.timer &&
		dpkg --purge pmxcfs-ipc && [ ! -e /var/lib/pmxcfs-ipc ] && [ ! -e /etc/default/pmxcfs-ipc ] &&
		! systemctl cat "$unit" && ! active pmxcfs-ipc-backup.timer &&
		[ ! -L /etc/systemd/system/timers.target.wants/pmxcfs-ipc-backup.timer ] && no_rings
}

for each in installs tells_status www_data nobody_refused logs_with_priority few_rights comes_back \
	watchdog serves_directory shows_metrics shows_requests stops leaves_a_held_name_alone \
	upgrade_keeps_stopped upgrade_restarts_running stand_in switches_over restart_unnoticed crash_unnoticed refuses_removal switches_back goes; do
	try "$each" "$each"
done
