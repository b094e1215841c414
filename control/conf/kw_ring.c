// SPDX-License-Identifier: BSD-3-Clause
/*
 * The section "ring": lines of logs in memory, and servers that they are sent to.
 *
 * Runs on: the loader. Follows: HAProxy 2.6 configuration manual 3.9, with its messages. Not here:
 * "backing-file"; options of a server that would change what goes over the wire are refused by name,
 * those that have no meaning for one that takes everything are warned of.
 */
#include "control/conf/conf_addr.h"

#define RING_SIZE 16384u // HAProxy's BUFSIZE: default and least
#define RING_MAX  (1u << 30)

#define RING_SERVERS 16u

struct conf_ring {
	struct conf_ring *next;
	struct ring_conf r;
	struct ring_server server[RING_SERVERS];
};

static bool
is_taken(const struct conf *c, struct sl_str name)
{
	static const struct sl_str own[] = { { "stdout", 6 }, { "stderr", 6 }, { "buf0", 4 } };

	for (uint32_t i = 0; i < SL_ARRAY_SIZE(own); i++) {
		if (sl_str_eq(name, own[i]))
			return true;
	}
	for (const struct conf_ring *r = c->rings; r != NULL; r = r->next) {
		if (sl_str_eq(name, r->r.name))
			return true;
	}
	return false;
}

void
conf_ring_begin(struct conf *c, const struct sl_str *word, uint32_t n)
{
	struct conf_ring *r = arena_zalloc(&c->tmp, sizeof(*r));

	if (r == NULL) {
		(void)conf_nomem(c);
		return;
	}
	if (n < 2)
		conf_error(c, "missing ring name.");
	else if (conf_name(c, "ring", word[1]) == 0 && is_taken(c, word[1]))
		conf_error(c, "sink named '%.*s' already exists.", SL_STR_ARG(word[1]));
	if (n > 2)
		conf_error(
			c, "'ring' cannot handle unexpected argument '%.*s'.", SL_STR_ARG(word[2]));
	r->r = (struct ring_conf){ .pos = c->pos,
		.name = conf_copy(c, n > 1 ? word[1] : SL_STR("")),
		.form = LOG_RAW,
		.maxlen = RING_SIZE,
		.size = RING_SIZE };
	c->ring = r;
	c->section_ident = r->r.name;
	*c->ring_last = r;
	c->ring_last = &r->next;
}

void
conf_ring_end(struct conf *c)
{
	struct ring_conf *r = &c->ring->r;

	if (r->maxlen > r->size) {
		conf_warning_at(c, NULL,
			"ring '%.*s' event max length '%u' exceeds size, forced to size '%u'.",
			SL_STR_ARG(r->name), r->maxlen, r->size);
		r->maxlen = r->size;
	}
	if (r->nservers > 0 && (r->connect_ms == 0 || r->server_ms == 0))
		conf_warning_at(c, NULL,
			"missing timeouts for ring '%.*s'.\n"
			"   | Without them a server that does not answer is waited for as long as "
			"the kernel does.\n"
			"   | Set both to a value above zero: 'connect', 'server'.",
			SL_STR_ARG(r->name));
}

static int
kw_size(struct conf *c, const struct conf_args *a)
{
	struct ring_conf *r = &c->ring->r;
	uint64_t n;

	if (unit_size(a->word[0], &n) < 0 || n == 0 || n > RING_MAX) {
		conf_error(c, "invalid size '%.*s' for new sink buffer.", SL_STR_ARG(a->word[0]));
		return -EINVAL;
	}
	if (n < r->size) {
		conf_error(c, "new size '%llu' is smaller than current size '%u' for ring '%.*s'.",
			(unsigned long long)n, r->size, SL_STR_ARG(r->name));
		return -EINVAL;
	}
	r->size = (uint32_t)n;
	return 0;
}

static int
kw_maxlen(struct conf *c, const struct conf_args *a)
{
	uint64_t n;

	if (sl_str_u64(a->word[0], &n) < 0 || n == 0 || n > RING_MAX) {
		conf_error(c, "invalid size '%.*s' for new sink buffer.", SL_STR_ARG(a->word[0]));
		return -EINVAL;
	}
	c->ring->r.maxlen = (uint32_t)n;
	return 0;
}

static int
kw_format(struct conf *c, const struct conf_args *a)
{
	int form = conf_log_form(a->word[0]);

	if (form < 0) {
		conf_error(c, "unknown format '%.*s'.", SL_STR_ARG(a->word[0]));
		return -EINVAL;
	}
	c->ring->r.form = (enum log_form)form;
	return 0;
}

static int
kw_description(struct conf *c, const struct conf_args *a)
{
	c->ring->r.description = conf_copy(c, a->word[0]);
	return c->ring->r.description.p != NULL ? 0 : -ENOMEM;
}

static int
kw_timeout(struct conf *c, const struct conf_args *a)
{
	uint32_t *out = (uint32_t *)(void *)((uint8_t *)&c->ring->r + a->priv);

	return conf_time(c, a->kw, a->word[0], out);
}

/* An option that says nothing here: the words behind it, or -ENOENT. */
static int
useless(struct sl_str w)
{
	static const struct {
		const char *name;
		uint8_t nargs;
	} names[] = { { "check", 0 }, { "no-check", 0 }, { "inter", 1 }, { "fastinter", 1 },
		{ "downinter", 1 }, { "rise", 1 }, { "fall", 1 }, { "weight", 1 }, { "maxconn", 1 },
		{ "id", 1 } };

	for (uint32_t i = 0; i < SL_ARRAY_SIZE(names); i++) {
		if (sl_str_eq(w, sl_str_c(names[i].name)))
			return names[i].nargs;
	}
	return -ENOENT;
}

static int
parse_proto(struct conf *c, struct sl_str value, struct ring_server *s)
{
	if (!sl_str_eq(value, SL_STR("legacy")) && !sl_str_eq(value, SL_STR("octet-count"))) {
		conf_error(c,
			"'server %.*s/%.*s' : 'log-proto' expects one of 'legacy' or 'octet-count' "
			"but got '%.*s'",
			SL_STR_ARG(c->section_ident), SL_STR_ARG(s->name), SL_STR_ARG(value));
		return -EINVAL;
	}
	s->octet_count = sl_str_eq(value, SL_STR("octet-count"));
	return 0;
}

static int
parse_options(struct conf *c, const struct sl_str *word, uint32_t n, struct ring_server *s)
{
	int rc = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct sl_str value = i + 1 < n ? word[i + 1] : SL_STR("");
		int skip = useless(word[i]);

		if (sl_str_eq(word[i], SL_STR("log-proto"))) {
			rc = parse_proto(c, value, s) < 0 ? -EINVAL : rc;
			i++;
		} else if (skip >= 0) {
			conf_warning(c,
				"'server %.*s/%.*s' : '%.*s' means nothing in a 'ring' section.",
				SL_STR_ARG(c->section_ident), SL_STR_ARG(s->name),
				SL_STR_ARG(word[i]));
			i += (uint32_t)skip;
		} else {
			conf_error(c,
				"not supported yet by sluice: '%.*s' of a server in a 'ring' "
				"section.",
				SL_STR_ARG(word[i]));
			return -EINVAL;
		}
	}
	return rc;
}

static int
parse_where(struct conf *c, struct sl_str word, struct ring_server *s)
{
	struct conf_addr addr;

	if (conf_addr_parse(c, "server", word, &addr) < 0)
		return -EINVAL;
	if (addr.ip.family == ADDR_NONE || addr_is_any(&addr.ip)) {
		conf_error(c, "'server' : '%.*s' is no address of a server", SL_STR_ARG(word));
		return -EINVAL;
	}
	if (addr.ip.family != ADDR_UNIX && addr.port <= 0) {
		conf_error(c, "'server %.*s/%.*s' : missing port in '%.*s'.",
			SL_STR_ARG(c->section_ident), SL_STR_ARG(s->name), SL_STR_ARG(word));
		return -EINVAL;
	}
	s->addr = (struct ip_port){
		.ip = addr.ip, .port = (uint16_t)(addr.port < 0 ? 0 : addr.port), .host = true
	};
	return 0;
}

static int
kw_server(struct conf *c, const struct conf_args *a)
{
	struct conf_ring *r = c->ring;
	struct ring_server s = { .pos = c->pos, .name = conf_copy(c, a->word[0]) };

	if (conf_name(c, "server", s.name) < 0)
		return -EINVAL;
	for (uint32_t i = 0; i < r->r.nservers; i++) {
		if (!sl_str_eq(r->server[i].name, s.name))
			continue;
		conf_error(c,
			"ring '%.*s', another server named '%.*s' was already defined at line %u, "
			"please use distinct names.",
			SL_STR_ARG(r->r.name), SL_STR_ARG(s.name), r->server[i].pos.line);
		return -EINVAL;
	}
	if (parse_where(c, a->word[1], &s) < 0 || parse_options(c, a->word + 2, a->n - 2, &s) < 0)
		return -EINVAL;
	if (r->r.nservers == RING_SERVERS) {
		conf_error(c, "not supported yet by sluice: more than %u servers of a ring.",
			RING_SERVERS);
		return -EINVAL;
	}
	r->server[r->r.nservers++] = s;
	return 0;
}

static bool
is_ring(const struct conf *c, struct sl_str name)
{
	return is_taken(c, name) && !sl_str_eq(name, SL_STR("stdout")) &&
		!sl_str_eq(name, SL_STR("stderr"));
}

void
conf_ring_build(struct conf *c)
{
	struct global_conf *g = &c->m->global;
	struct ring_conf *out;
	uint32_t n = 0;

	for (uint32_t i = 0; i < g->nlog_targets; i++) {
		const struct log_target *t = &g->log_target[i];

		if (t->kind == LOG_TO_RING && !is_ring(c, t->ring))
			conf_error_at(c, &c->log_pos[i], "'log' uses %s ring named '%.*s'.",
				is_taken(c, t->ring) ? "incompatible" : "unknown",
				SL_STR_ARG(t->ring));
	}
	for (const struct conf_ring *r = c->rings; r != NULL; r = r->next)
		n++;
	out = arena_zalloc(&c->mem, sizeof(*out) * (n + 1));
	if (out == NULL) {
		(void)conf_nomem(c);
		return;
	}
	g->ring = out;
	g->nrings = n;
	for (const struct conf_ring *r = c->rings; r != NULL; r = r->next, out++) {
		size_t bytes = sizeof(r->server[0]) * r->r.nservers;
		struct ring_server *s = arena_alloc(&c->mem, bytes + 1);

		if (s == NULL) {
			(void)conf_nomem(c);
			return;
		}
		memcpy(s, r->server, bytes);
		*out = r->r;
		out->server = s;
	}
}

#define AT(field) offsetof(struct ring_conf, field)

// clang-format off
SL_CFG_RING(
	{ "description", CONF_RING, 1, 1, kw_description, "<text>",
		"what \"show events\" says of it; its name without" },
	{ "format", CONF_RING, 1, 1, kw_format, "<format>",
		"what stands before each line, whatever 'log' lines say; raw without" },
	{ "maxlen", CONF_RING, 1, 1, kw_maxlen, "<bytes>",
		"longest line, with what stands before it; at most 2048" },
	{ "size", CONF_RING, 1, 1, kw_size, "<bytes>",
		"of the memory that holds the newest lines; 16384 at least" },
	{ "timeout connect", CONF_RING, 1, 1, kw_timeout, "<time>",
		"how long connecting to a server may take", AT(connect_ms) },
	{ "timeout server", CONF_RING, 1, 1, kw_timeout, "<time>",
		"how long a server may take nothing", AT(server_ms) },
	{ "server", CONF_RING, 2, CONF_MANY, kw_server,
		"<name> <address>:<port> [log-proto legacy|octet-count]",
		"gets each line over TCP; what waits for it holds the ring" },
);
// clang-format on
