// SPDX-License-Identifier: BSD-3-Clause
/*
 * sluicectl: the runtime API for people.
 *
 *   sluicectl [-s SOCKET] [COMMAND [ARGUMENT…]]
 *
 * SOCKET is what "stats socket" names: a path, @NAME (abstract), or ADDRESS:PORT; default:
 * $SLUICECTL_SOCKET, else /run/sluice/admin.sock. With a command of the daemon its answer is printed;
 * exit code 1 if it was refused, 2 if there was no answer. Without one, an interactive shell. Commands
 * of its own:
 *
 *   top [-d SECONDS] [-n ROUNDS]    live rates of workers, proxies, servers
 *   report [-o FILE|-]              a tar file to send to somebody who helps
 *   capture -w FILE|- [-c COUNT] [-s BYTES] [FILTER]    packets, as pcapng
 */
#include "tools/sluicectl/ctl.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_SOCKET "/run/sluice/admin.sock"

static int
usage(FILE *to)
{
	fputs("usage: sluicectl [-s SOCKET] [COMMAND [ARGUMENT...]]\n"
	      "       sluicectl [-s SOCKET] top [-d SECONDS] [-n ROUNDS]\n"
	      "       sluicectl [-s SOCKET] report [-o FILE]\n"
	      "       sluicectl [-s SOCKET] capture -w FILE [-c COUNT] [-s BYTES] [FILTER]\n"
	      "SOCKET: a path, @NAME or ADDRESS:PORT (default: $SLUICECTL_SOCKET or " DEFAULT_SOCKET
	      ")\n"
	      "Commands are those of the daemon ('sluicectl help').\n",
		to);
	return to == stdout ? 0 : 2;
}

static int
one_shot(struct ctl_conn *c, int n, char **word)
{
	struct ctl_text t;
	char line[16384];
	size_t len = 0;
	int rc;

	for (int i = 0; i < n; i++) {
		int w = snprintf(line + len, sizeof(line) - len, "%s%s", i > 0 ? " " : "", word[i]);

		if (w < 0 || (size_t)w >= sizeof(line) - len) {
			fputs("sluicectl: the command is too long\n", stderr);
			return 2;
		}
		len += (size_t)w;
	}
	rc = ctl_has_no_end(line) ? ctl_follow(c, line, stdout, -1) : ctl_ask(c, line, &t);
	if (rc >= 0 && ctl_has_no_end(line))
		return rc;
	if (rc < 0) {
		fprintf(stderr, "sluicectl: %s: %s\n", c->where, strerror(-rc));
		return 2;
	}
	fputs(t.p, stdout);
	rc = ctl_is_refusal(&t);
	ctl_text_free(&t);
	return rc;
}

static int
run_top(struct ctl_conn *c, int argc, char **argv)
{
	double every = 1;
	unsigned rounds = 0;
	int o;

	optind = 1;
	while ((o = getopt(argc, argv, "d:n:")) != -1) {
		if (o == 'd' && (every = strtod(optarg, NULL)) > 0)
			continue;
		if (o != 'n')
			return usage(stderr);
		rounds = (unsigned)strtoul(optarg, NULL, 10);
	}
	return ctl_top(c, every, rounds);
}

static int
run_report(struct ctl_conn *c, int argc, char **argv)
{
	const char *file = NULL;
	int o;

	optind = 1;
	while ((o = getopt(argc, argv, "o:")) != -1) {
		if (o != 'o')
			return usage(stderr);
		file = optarg;
	}
	return ctl_report(c, file);
}

/* A whole number from 1 to max. */
static bool
number(const char *text, uint64_t max, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 10);
	return errno == 0 && text[0] >= '0' && text[0] <= '9' && *end == '\0' && *out >= 1 && *out <= max;
}

static int
run_capture(struct ctl_conn *c, int argc, char **argv)
{
	struct ctl_capture q = { .snaplen = CTL_SNAPLEN };
	uint64_t n;
	int o;

	optind = 1;
	while ((o = getopt(argc, argv, "+w:c:s:")) != -1) {
		if (o == 'w')
			q.file = optarg;
		else if (o == 'c' && number(optarg, UINT64_MAX, &n))
			q.count = n;
		else if (o == 's' && number(optarg, CTL_SNAPLEN, &n))
			q.snaplen = (unsigned)n;
		else
			return usage(stderr);
	}
	if (q.file == NULL)
		return usage(stderr);
	q.filter = argv + optind;
	return ctl_capture(c, &q);
}

int
main(int argc, char **argv)
{
	const char *where = getenv("SLUICECTL_SOCKET");
	struct ctl_conn c;
	int o, rc;

	if (where == NULL || where[0] == '\0')
		where = DEFAULT_SOCKET;
	while ((o = getopt(argc, argv, "+s:h")) != -1) {
		if (o == 's')
			where = optarg;
		else
			return usage(o == 'h' ? stdout : stderr);
	}
	argc -= optind;
	argv += optind;
	rc = ctl_open(&c, where);
	if (rc < 0) {
		fprintf(stderr, "sluicectl: %s: %s\n", where, strerror(-rc));
		return 2;
	}
	if (argc == 0)
		rc = ctl_shell(&c);
	else if (strcmp(argv[0], "top") == 0)
		rc = run_top(&c, argc, argv);
	else if (strcmp(argv[0], "report") == 0)
		rc = run_report(&c, argc, argv);
	else if (strcmp(argv[0], "capture") == 0)
		rc = run_capture(&c, argc, argv);
	else
		rc = one_shot(&c, argc, argv);
	ctl_close(&c);
	return rc;
}
