// SPDX-License-Identifier: BSD-3-Clause
/*
 * The command line of haproxy 2.6.
 *
 * Runs on: main, before anything else. Follows: HAProxy's management guide 3. Options for pollers,
 * splicing and sockets that sluice has not are accepted, because nothing depends on them; those of
 * process management that are not there yet are refused by name.
 * Built into control/conf's library, so that tests and sluice-check have it without the daemon.
 */
#include "control/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "dataplane/base/buf.h"

void
options_format(struct sl_buf *b, enum sl_level level, const char *who, const char *text)
{
	const char *label = level <= SL_ERR ? "ALERT]   "
		: level == SL_WARNING       ? "WARNING] "
					    : "NOTICE]  ";

	if (who == NULL)
		who = "";
	sl_buf_printf(b, "[%s (%d) : %s%s", label, (int)getpid(), who,
		who[0] == '\0' ? "" : " : ");
	sl_buf_addc(b, text);
	sl_buf_char(b, '\n');
}

void
options_print(enum sl_level level, const char *who, const char *text)
{
	char line[4096];
	struct sl_buf b;

	sl_buf_init(&b, line, sizeof(line));
	options_format(&b, level, who, text);
	fwrite(line, 1, b.len, stderr);
}

static void
print_version(FILE *out)
{
	fprintf(out,
		"sluice version " SL_VERSION
		" - configuration language and Lua API of HAProxy 2.6\n");
}

static void
print_build(void)
{
	printf("Build options :\n"
	       "  CC      = %s\n"
#ifdef SL_DEBUG
	       "  DEBUG   = yes\n"
#endif
	       "Feature list : +LUA +THREAD +EPOLL +PCRE2 +PCRE2_JIT -OPENSSL -QUIC -PCRE -PROMEX\n"
	       "Lua : 5.3, DPDK : 22.11 or later\n",
		__VERSION__);
}

static int
usage(struct options *o)
{
	print_version(stderr);
	fprintf(stderr,
		"Usage : sluice [-f <file|directory>]* [options] [-- <file>*]\n"
		"        -v      version ; -vv : and how it was built\n"
		"        -c      check the configuration and exit ; -V : say that it is valid\n"
		"        -cc <c> evaluate a condition and exit\n"
		"        -d      debug mode, in the foreground ; -db : only in the foreground\n"
		"        -D      go to the background ; -p <file> : write the process id\n"
		"        -W      as under haproxy's master: its exit codes ; -Ws : and tell systemd\n"
		"        -S <b>  with -W: a socket that answers as haproxy's master does\n"
		"        -sf <pid>* / -st <pid>* : end older processes when ready, softly / at once\n"
		"        -q      no messages\n"
		"        -dW     a warning refuses the start\n"
		"        -dK     list the keywords\n"
		"        -dN     list the MiB of hugepages that each NUMA node shall give\n"
		"        -dM[..] -dI -dD : accepted\n"
		"        -C <d>  change to a directory first\n"
		"        -L <n>  name of this peer\n"
		"        -n <n>  connections at a time ; -N <n> : of a proxy\n"
		"        -m <n>  memory in megabytes\n"
		"        -h      this text\n");
	o->status = 1;
	return 1;
}

static int
refuse(struct options *o, const char *opt)
{
	char text[200];
	struct sl_buf b;

	sl_buf_init(&b, text, sizeof(text));
	sl_buf_printf(&b, "not supported yet by sluice: option '%s'.", opt);
	options_print(SL_ALERT, "", text);
	o->status = 1;
	return 1;
}

/* Options that need nothing, or are about what sluice has not. */
static bool
is_accepted(const char *opt)
{
	static const char *const names[] = { "-dI", "-dD", "-de", "-dp", "-dk", "-dS", "-dG", "-dR",
		"-dr", "-dV", "-dC" };

	for (uint32_t i = 0; i < SL_ARRAY_SIZE(names); i++) {
		if (strcmp(opt, names[i]) == 0)
			return true;
	}
	return false;
}

static bool
is_pool_feature(struct sl_str word)
{
	static const char *const names[] = { "fail", "no-fail", "no-merge", "merge", "cold-first",
		"hot-first", "integrity", "no-integrity", "no-global", "global", "no-cache",
		"cache", "caller", "no-caller", "tag", "no-tag", "poison", "no-poison", "help" };

	for (uint32_t i = 0; i < SL_ARRAY_SIZE(names); i++) {
		if (sl_str_eq(word, sl_str_c(names[i])))
			return true;
	}
	return false;
}

/* "-dM5,no-merge,tag": of HAProxy's pools, which sluice has not; what HAProxy refuses is refused. */
static int
pool_option(struct options *o, const char *opt)
{
	struct sl_str rest = sl_str_c(opt + 3), word = sl_str_cut(&rest, ',');
	char text[200], *end;
	struct sl_buf b;

	(void)strtoul(word.p, &end, 0); // the byte to poison memory with
	if (end == word.p + word.len)
		word = sl_str_cut(&rest, ',');
	for (; word.p != NULL; word = sl_str_cut(&rest, ',')) {
		if (word.len == 0 || is_pool_feature(word))
			continue;
		sl_buf_init(&b, text, sizeof(text));
		sl_buf_printf(&b, "-dM: unknown pool debugging feature <%.*s>",
			(int)sl_min(word.len, 100u), word.p);
		options_print(SL_ALERT, "", text);
		o->status = 1;
		return 1;
	}
	return 0;
}

static bool
is_refused(const char *opt)
{
	static const char *const names[] = { "-x", "-dL" };

	for (uint32_t i = 0; i < SL_ARRAY_SIZE(names); i++) {
		if (strcmp(opt, names[i]) == 0)
			return true;
	}
	return false;
}

static int
number(struct options *o, const char *opt, const char *text, uint32_t *out)
{
	uint64_t n;
	char msg[200];
	struct sl_buf b;

	if (sl_str_u64(sl_str_c(text), &n) == 0 && n <= INT32_MAX) {
		*out = (uint32_t)n;
		return 0;
	}
	sl_buf_init(&b, msg, sizeof(msg));
	sl_buf_printf(&b, "option '%s' expects a number, got '%.100s'.", opt, text);
	options_print(SL_ALERT, "", msg);
	o->status = 1;
	return 1;
}

/* -cc: 0 true, 1 false, 2 unparsable. */
static int
condition(struct options *o, const char *text)
{
	char why[256];
	struct sl_buf b;
	int rc;

	sl_buf_init(&b, why, sizeof(why));
	rc = conf_condition(sl_str_c(text), &b);
	o->status = rc < 0 ? 2 : rc == 0;
	if (rc < 0) {
		char line[320];

		sl_buf_init(&b, line, sizeof(line));
		sl_buf_printf(&b, "Failed to evaluate condition: %s", why);
		options_print(SL_ALERT, "config", line);
	}
	return 1;
}

/* An option with a value. Returns as options_parse(). */
static int
valued(struct options *o, const char *opt, const char *value)
{
	switch (opt[1]) {
	case 'f':
		o->files[o->nfiles++] = value;
		return 0;
	case 'p':
		o->pidfile = value;
		return 0;
	case 'C':
		o->dir = value;
		return 0;
	case 'L':
		o->localpeer = value;
		return 0;
	case 'S':
		o->master_socket = value;
		return 0;
	case 'n':
		return number(o, opt, value, &o->maxconn);
	case 'N':
		return number(o, opt, value, &o->proxy_maxconn);
	case 'm':
		return number(o, opt, value, &o->memory_mb);
	default: // "-cc"
		return condition(o, value);
	}
}

static int
flag(struct options *o, const char *opt)
{
	static const struct {
		const char *name;
		size_t off;
	} flags[] = { { "-c", offsetof(struct options, check) },
		{ "-V", offsetof(struct options, verbose) },
		{ "-q", offsetof(struct options, quiet) },
		{ "-d", offsetof(struct options, debug) },
		{ "-db", offsetof(struct options, foreground) },
		{ "-D", offsetof(struct options, daemon) },
		{ "-W", offsetof(struct options, master) },
		{ "-Ws", offsetof(struct options, notify) },
		{ "-dN", offsetof(struct options, nodes) },
		{ "-dW", offsetof(struct options, warn_fatal) } };

	for (uint32_t i = 0; i < SL_ARRAY_SIZE(flags); i++) {
		if (strcmp(opt, flags[i].name) == 0) {
			*(bool *)((uint8_t *)o + flags[i].off) = true;
			o->foreground |= o->debug;
			o->master |= o->notify;
			return 0;
		}
	}
	if (strncmp(opt, "-dK", 3) == 0)
		o->dump = true;
	else if (opt[1] == 'v') { // whatever follows
		print_version(stdout);
		if (opt[2] == 'v')
			print_build();
		o->status = 0;
		return 1;
	} else if (strncmp(opt, "-dM", 3) == 0) {
		return pool_option(o, opt);
	} else if (is_refused(opt)) {
		return refuse(o, opt);
	} else if (!is_accepted(opt)) {
		return usage(o); // -h too
	}
	return 0;
}

static bool
takes_value(const char *opt)
{
	return strcmp(opt, "-cc") == 0 ||
		(strchr("fpCLSnNm", opt[1]) != NULL && opt[1] != '\0' && opt[2] == '\0');
}

/* The numbers behind -sf and -st; *i: the place of the last one. Returns as options_parse(). */
static int
old_pids(struct options *o, int argc, char **argv, int *i)
{
	const char *opt = argv[*i];
	uint64_t pid;

	o->old_finish = opt[2] == 'f';
	while (*i + 1 < argc && argv[*i + 1][0] != '-') {
		const char *text = argv[++*i];

		if (sl_str_u64(sl_str_c(text), &pid) < 0 || pid == 0 || pid > INT32_MAX) {
			char msg[200];
			struct sl_buf b;

			sl_buf_init(&b, msg, sizeof(msg));
			sl_buf_printf(
				&b, "option '%s' expects process ids, got '%.100s'.", opt, text);
			options_print(SL_ALERT, "", msg);
			o->status = 1;
			return 1;
		}
		o->old_pid[o->nold++] = text;
	}
	return 0;
}

int
options_parse(int argc, char **argv, struct options *o)
{
	int rc = 0;

	*o = (struct options){ .status = 0 };
	o->files = calloc((size_t)argc + 1, sizeof(*o->files));
	o->old_pid = calloc((size_t)argc + 1, sizeof(*o->old_pid));
	if (o->files == NULL || o->old_pid == NULL)
		return -ENOMEM;
	for (int i = 1; i < argc && rc == 0; i++) {
		if (strcmp(argv[i], "--") == 0) {
			while (++i < argc)
				o->files[o->nfiles++] = argv[i];
		} else if (argv[i][0] != '-' || argv[i][1] == '\0') {
			rc = usage(o);
		} else if (strcmp(argv[i], "-sf") == 0 || strcmp(argv[i], "-st") == 0) {
			rc = old_pids(o, argc, argv, &i);
		} else if (takes_value(argv[i])) {
			rc = i + 1 < argc ? valued(o, argv[i], argv[i + 1]) : usage(o);
			i++;
		} else {
			rc = flag(o, argv[i]);
		}
	}
	if (rc == 0 && o->nfiles == 0 && !o->dump)
		rc = usage(o);
	return rc;
}

void
options_free(struct options *o)
{
	free((void *)o->files);
	free((void *)o->old_pid);
	o->files = NULL;
	o->old_pid = NULL;
	o->nfiles = o->nold = 0;
}

int
options_apply(const struct options *o)
{
	char name[256];

	if (o->dir != NULL && chdir(o->dir) < 0) {
		int err = errno;
		struct sl_buf b;

		sl_buf_init(&b, name, sizeof(name));
		sl_buf_printf(
			&b, "Could not change to directory %.150s : %s", o->dir, strerror(err));
		options_print(SL_ALERT, "", name);
		return -err;
	}
	if (o->memory_mb != 0) {
		struct rlimit lim = { .rlim_cur = (rlim_t)o->memory_mb << 20,
			.rlim_max = (rlim_t)o->memory_mb << 20 };

		if (setrlimit(RLIMIT_DATA, &lim) < 0) {
			options_print(SL_ALERT, "", "The limit of -m cannot be set.");
			return -errno;
		}
	}
	if (o->localpeer == NULL && gethostname(name, sizeof(name)) < 0)
		name[0] = '\0';
	name[sizeof(name) - 1] = '\0';
	if (setenv("HAPROXY_LOCALPEER", o->localpeer != NULL ? o->localpeer : name, 1) < 0)
		return -ENOMEM;
	return 0;
}

/* -q silences alerts too, as in HAProxy: the exit status tells. */
static bool
is_quiet(const struct options *o)
{
	return o->quiet && !o->verbose;
}

static void
print(void *ctx, enum sl_level level, const char *who, const char *text)
{
	const struct options *o = ctx;

	if (!is_quiet(o))
		options_print(level, who, text);
}

static void
on_message(void *ctx, enum sl_level level, const char *text)
{
	const struct options_sink *sink = ctx;

	sink->say(sink->ctx, level, "config", text);
}

static void
on_keyword(void *ctx sl_unused, const char *text)
{
	puts(text);
}

/* What the command line says goes before the file. */
static void
override(const struct options *o, struct model *m)
{
	struct global_conf *g = &m->global;

	if (o->maxconn != 0)
		g->maxconn = o->maxconn;
	if (o->pidfile != NULL)
		g->pidfile = sl_str_c(o->pidfile);
	g->daemon = (g->daemon || o->daemon) && !o->foreground;
	g->quiet = (g->quiet || o->quiet) && !o->verbose;
	for (uint32_t i = 0; i < m->nproxies && o->proxy_maxconn != 0; i++) {
		// not published yet, so still writable
		struct proxy *px = (struct proxy *)(uintptr_t)m->proxies[i];

		if (px->maxconn == 0)
			px->maxconn = o->proxy_maxconn;
	}
}

static void
complain(const struct options_sink *sink, const char *who, const char *text)
{
	sink->say(sink->ctx, SL_ALERT, who, text);
}

/* What stands against running it, whatever it is loaded for. */
static bool
is_bad(const struct options *o, const struct options_sink *sink, int rc,
	const struct conf_count *n)
{
	if (rc < 0 && n->unread < n->errors) // what cannot be opened has been told
		complain(sink, "config", "Fatal errors found in configuration.");
	if (rc < 0)
		return true;
	if (!o->warn_fatal || n->warnings == 0)
		return false;
	complain(sink, "config", "Some warnings were found and 'zero-warning' is set. Aborting.");
	return true;
}

static bool
has_no_listener(const struct options_sink *sink, const struct conf_count *n)
{
	if (n->listeners == 0)
		complain(sink, "",
			"[sluice.main()] No enabled listener found (check for 'bind' directives) ! "
			"Exiting.");
	return n->listeners == 0;
}

/* Errors are told; what is left is the verdict. Returns as options_load(). */
static int
judge(struct options *o, const struct options_sink *sink, int rc, const struct conf_count *n)
{
	FILE *out = is_quiet(o) ? NULL : stdout;

	o->status = 1;
	if (rc == 0 && n->files == 0) // empty directories
		return usage(o);
	if (is_bad(o, sink, rc, n))
		return 1;
	if (o->check) {
		o->status = n->listeners == 0 ? 2 : 0;
		if (out != NULL && n->warnings > 0)
			fputs("Warnings were found.\n", out);
		if (out != NULL)
			fputs(n->listeners == 0
					? "Configuration file has no error but will not start (no "
					  "listener) => exit(2).\n"
					: "Configuration file is valid\n",
				out);
		return 1;
	}
	if (has_no_listener(sink, n))
		return 1;
	o->status = 0;
	return 0;
}

int
options_load(struct options *o, struct model **out)
{
	struct options_sink sink = { .say = print, .ctx = o };
	struct conf_spec spec = { .files = o->files,
		.nfiles = o->nfiles,
		.message = on_message,
		.ctx = &sink,
		.master = o->master ? o->master_socket : NULL,
		.generation = 1 };
	struct conf_count count;
	int rc;

	*out = NULL;
	if (o->dump)
		conf_dump_keywords(on_keyword, NULL);
	if (o->nfiles == 0) {
		o->status = 0;
		return 1;
	}
	rc = conf_load(&spec, out, &count);
	rc = judge(o, &sink, rc, &count);
	if (rc != 0) {
		conf_free(*out);
		*out = NULL;
		return rc;
	}
	override(o, *out);
	return 0;
}

int
options_reload(const struct options *o, const struct options_sink *sink, uint32_t generation,
	const _Atomic(bool) *cancel, struct model **out)
{
	struct conf_spec spec = { .files = o->files,
		.nfiles = o->nfiles,
		.message = on_message,
		.ctx = (void *)(uintptr_t)sink,
		.generation = generation,
		.master = o->master ? o->master_socket : NULL,
		.running = true,
		.cancel = cancel };
	struct conf_count count;
	int rc = conf_load(&spec, out, &count);

	if (is_bad(o, sink, rc, &count) || has_no_listener(sink, &count)) {
		conf_free(*out);
		*out = NULL;
		return -EINVAL;
	}
	override(o, *out);
	return 0;
}
