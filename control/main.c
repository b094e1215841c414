// SPDX-License-Identifier: BSD-3-Clause
/*
 * Entry: the command line, the configuration, the processes; then start, run, stop.
 *
 * Runs on: main. Order: options -> model (-c and -dN end here) -> -D -> parent -> daemon_start(). Exit
 * codes as HAProxy 2.6: 0, 1 for an error, 2 without a listener; after signal n the process dies of it,
 * with -W and under the parent it exits with 128 + n.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/conf/conf.h"
#include "control/daemon.h"
#include "control/notify.h"
#include "control/priv.h"

#define EAL_RUN_ROOT "/var/run/dpdk"

/* --file-prefix of the user's own EAL arguments, else "sluice". */
static bool
wanted_prefix(struct sl_str extra, char *out, size_t size)
{
	static const struct sl_str opt = { "--file-prefix", 13 };
	bool found = false, next = false;

	snprintf(out, size, "sluice");
	while (extra.len > 0) {
		struct sl_str w = sl_str_trim(sl_str_cut(&extra, ' '));

		if (w.len == 0)
			continue;
		if (next || (sl_str_starts(w, opt, false) && w.len > 14 && w.p[13] == '=')) {
			if (!next) {
				w.p += 14;
				w.len -= 14;
			}
			snprintf(out, size, "%.*s", SL_STR_ARG(w));
			found = true;
		}
		next = sl_str_eq(w, opt);
	}
	return found;
}

/* Where EAL will put its files: it asks the same variable. */
static int
run_root(struct parent_spec *s, char *out, size_t size)
{
	const char *xdg = getenv("XDG_RUNTIME_DIR"), *tmp = getenv("TMPDIR");

	if (geteuid() == 0) // as EAL chooses it
		return snprintf(out, size, EAL_RUN_ROOT) > 0 ? 0 : -EINVAL;
	if (xdg == NULL || access(xdg, W_OK | X_OK) != 0) {
		// an ordinary user without a session: a folder for this instance alone
		if ((size_t)snprintf(s->own_dir, sizeof(s->own_dir), "%s/sluice-XXXXXX",
			    tmp != NULL ? tmp : "/tmp") >= sizeof(s->own_dir))
			return -ENAMETOOLONG;
		if (mkdtemp(s->own_dir) == NULL) {
			s->own_dir[0] = '\0';
			return -errno;
		}
		setenv("XDG_RUNTIME_DIR", s->own_dir, 1);
		xdg = s->own_dir;
	}
	if (snprintf(out, size, "%s/dpdk", xdg) >= (int)size)
		return -ENAMETOOLONG;
	return 0;
}

static int
prepare_clean(struct daemon *d)
{
	struct parent_spec *s = &d->clean;
	struct sl_str extra = d->model->global.dpdk_eal, vdev;
	char want[PARENT_PREFIX], root[240] = "";
	bool fixed = wanted_prefix(d->model->global.dpdk_eal, want, sizeof(want));
	int rc = parent_share_sockets(s);

	if (rc < 0) {
		daemon_say(d, SL_ALERT, "no memory for names of sockets: %s", strerror(-rc));
		return rc;
	}
	rc = run_root(s, root, sizeof(root));
	for (uint32_t i = 0; i < d->model->nports; i++)
		parent_add_device(s, d->model->ports[i].device);
	while ((vdev = port_vdev(&extra)).p != NULL) // slaves of bonds
		parent_add_device(s, vdev);
	listen_note(d, d->model);
	snprintf(s->health, sizeof(s->health), "%.*s", SL_STR_ARG(d->model->global.health_file));
	if (rc == 0)
		rc = parent_take_prefix(s, root, want);
	if (rc < 0) {
		daemon_say(d, SL_ALERT, "run-time folder %s/%s: %s", root, want, strerror(-rc));
		return rc;
	}
	if (fixed && strcmp(s->prefix, want) != 0) {
		daemon_say(d, SL_ALERT,
			"'dpdk-eal': another process uses --file-prefix=%s; choose another one",
			want);
		parent_leave_prefix(s);
		return -EBUSY;
	}
	return 0;
}

/*
 * -D: the foreground process waits until the daemon is ready, or is gone (then its messages have
 * been seen, and the exit code is 1). Returns in the background only.
 */
static int
daemonise(struct daemon *d)
{
	int p[2];
	pid_t pid;
	char c;

	if (pipe2(p, O_CLOEXEC) != 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid > 0) {
		close(p[1]);
		_exit(read(p[0], &c, 1) == 1 ? 0 : 1);
	}
	close(p[0]);
	setsid();
	d->ready_fd = p[1];
	return 0;
}

static int
processes(struct daemon *d)
{
	const struct global_conf *g = &d->model->global;
	bool background = (d->opt->daemon || g->daemon) && !d->opt->foreground;
	int rc = 0;

	if (background)
		rc = daemonise(d);
	if (rc == 0)
		rc = prepare_clean(d);
	if (rc < 0)
		return rc;
	d->clean.pidfile = d->opt->pidfile;
	if (geteuid() != 0)
		return 0;
	d->parented = true;
	return parent_fork(&d->clean);
}

static char *
model_pidfile(const struct model *m)
{
	return m->global.pidfile.len > 0 ? strndup(m->global.pidfile.p, m->global.pidfile.len)
					 : NULL;
}

static int
serve(struct daemon *d)
{
	int rc = processes(d);

	if (rc < 0)
		return 1;
	signal(SIGPIPE, SIG_IGN);
	priv_early();
	rc = notify_open(d->opt->notify, &d->notify_fd);
	if (rc < 0)
		daemon_say(d, SL_WARNING, "NOTIFY_SOCKET=%s: %s", getenv("NOTIFY_SOCKET"),
			strerror(-rc));
	rc = daemon_start(d);
	if (rc >= 0) {
		rc = daemon_run(d);
		daemon_stop(d);
	} else {
		rc = 1;
	}
	if (!d->parented)
		parent_clean(&d->clean, getpid());
	return rc;
}

/* -dN: what sluice-setup reserves, and nothing is started. */
static int
say_nodes(struct daemon *d)
{
	int rc = threads_place(d);

	if (rc < 0) {
		daemon_say(d, SL_ALERT, "%s", d->err.text);
		return 1;
	}
	for (uint16_t i = 0; i < d->plan.nnodes; i++)
		printf("%u %u\n", i, d->plan.node_mb[i]);
	return 0;
}

/* Ended by a signal: whoever waits for us sees the signal, as of HAProxy; a shell sees 128 + n. */
static void
die_by(int sig)
{
	fflush(NULL);
	signal(sig, SIG_DFL);
	raise(sig);
}

int
main(int argc, char **argv)
{
	static struct daemon d = { .ready_fd = -1, .notify_fd = -1, .clean = { .run_lock = -1 } };
	struct options opt = { 0 };
	char *pidfile = NULL;
	int rc = options_parse(argc, argv, &opt);

	if (rc == 0)
		rc = options_apply(&opt) < 0 ? -1 : 0;
	if (rc < 0)
		opt.status = 1;
	d.opt = &opt;
	if (rc == 0)
		rc = options_load(&opt, &d.model);
	if (rc == 0 && opt.nodes) {
		opt.status = say_nodes(&d);
	} else if (rc == 0) {
		if (opt.pidfile == NULL)
			opt.pidfile = pidfile = model_pidfile(d.model);
		opt.status = serve(&d);
	}
	if (d.model != NULL)
		conf_free(d.model);
	rc = opt.status;
	free(pidfile);
	options_free(&opt);
	alarm(0); // all that might hang is behind us
	if (rc > 128 && !d.parented && !opt.master)
		die_by(rc - 128);
	return rc;
}
