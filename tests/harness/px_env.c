// SPDX-License-Identifier: BSD-3-Clause
/* See px_env.h. */
#include "tests/harness/px_env.h"

#include <rte_mempool.h>

#include "dataplane/mux/mux_h1.h"
#include "dataplane/proxy/px.h"
#include "tests/harness/eal.h"

#define POOL_MBUFS 4095

static struct lcore *the_lc;

int
px_env_group_setup(void **state sl_unused)
{
	struct lcore_spec spec = { .nlcores = 1,
		.socket = -1,
		.nscripts = 1,
		.seed = 1,
		.npx = 4,
		.nbind = 4,
		.nsrv = 8 };
	const char *dup;

	if (test_eal_start() < 0)
		return -1;
	spec.pool = test_pool_new("px", POOL_MBUFS);
	spec.pool_size = POOL_MBUFS;
	if (spec.pool == NULL || expr_init(&dup) < 0 || action_init(&dup) < 0)
		return -1;
	the_lc = lcore_new(&spec);
	return the_lc != NULL ? 0 : -1;
}

static struct arena_chunk *
env_get(void *ctx sl_unused, uint32_t need)
{
	struct arena_chunk *c = malloc(sizeof(*c) + need);

	c->size = need;
	return c;
}

static void
env_put(void *ctx sl_unused, struct arena_chunk *c)
{
	free(c);
}

static struct ip_port
addr_of(const char *ip, uint16_t port)
{
	struct ip_port a = { .port = port };

	assert_int_equal(addr_parse(sl_str_c(ip), &a.ip), 0);
	return a;
}

static enum fake_answer
on_connect(struct fake_net *n, const struct ip_port *to)
{
	struct px_env *e = n->ctx;

	for (uint32_t i = 0; i < ENV_SERVERS; i++) {
		if (e->srv[i].addr.port != to->port)
			continue;
		e->connects[i]++;
		return e->connect[i];
	}
	return FAKE_ACCEPT;
}

static void
init_servers(struct px_env *e)
{
	static const char *const names[] = { "s1", "s2", "s3", "s4" };

	for (uint32_t i = 0; i < ENV_SERVERS; i++)
		e->srv[i] = (struct server){
			.name = sl_str_c(names[i]),
			.be = &e->be,
			.id = i + 1,
			.slot = i,
			.addr = addr_of("10.0.1.1", (uint16_t)(8001 + i)),
			.weight = 1,
		};
	e->srv2[0] = (struct server){
		.name = SL_STR("t1"),
		.be = &e->be2,
		.id = 1,
		.slot = ENV_SERVERS,
		.addr = addr_of("10.0.2.1", 9001),
		.weight = 1,
	};
}

static void
init_proxies(struct px_env *e)
{
	struct px_timeouts t = { .client = 20000,
		.server = 30000,
		.connect = 5000,
		.http_request = 10000,
		.http_keep_alive = 4000 };

	e->fe = (struct proxy){ .name = SL_STR("f"),
		.id = 2,
		.slot = 0,
		.be_slot = 3,
		.caps = PX_CAP_FE,
		.mode = PX_HTTP,
		.timeout = t,
		.log_mask = 1,
		.binds = &e->bind,
		.nbinds = 1,
		.default_be = &e->be };
	e->be = (struct proxy){ .name = SL_STR("b"),
		.id = 3,
		.slot = 1,
		.be_slot = 1,
		.caps = PX_CAP_BE,
		.mode = PX_HTTP,
		.timeout = t,
		.retries = 3,
		.servers = e->srv,
		.nservers = 1 };
	e->be2 = e->be;
	e->be2.name = SL_STR("b2");
	e->be2.slot = e->be2.be_slot = 2;
	e->be2.servers = e->srv2;
	e->bind = (struct listen_addr){
		.model = &e->model, .name = SL_STR("bind"), .fe = &e->fe, .addr = addr_of("10.0.0.1", 80)
	};
}

/* lua.anything exists, everywhere, without arguments. */
static int
lookup(void *ctx sl_unused, char kind sl_unused, struct sl_str name sl_unused, uint32_t *points)
{
	*points = EVAL_ANY;
	return 1;
}

static int
nargs(void *ctx sl_unused, int fn sl_unused)
{
	return 0;
}

static const struct expr_extern env_extern = { .lookup = lookup, .nargs = nargs };

void
px_env_init(struct px_env *e)
{
	memset(e, 0, sizeof(*e));
	e->lc = the_lc;
	e->src = (struct arena_src){ .get = env_get, .put = env_put };
	arena_init(&e->mem, &e->src);
	init_servers(e);
	init_proxies(e);
	e->binds[0] = &e->bind;
	e->proxies[0] = &e->fe;
	e->proxies[1] = &e->be;
	e->proxies[2] = &e->be2;
	e->model = (struct model){ .generation = 1,
		.proxies = e->proxies,
		.nproxies = 3,
		.binds = e->binds,
		.nbinds = 1,
		.nservers = ENV_SERVERS + 1 };
	e->client = addr_of("192.0.2.7", 40000);
	e->call_slots = 2;
	e->ext = &env_extern;
	e->now_us = 1000000;
	e->mbufs = rte_mempool_in_use_count(e->lc->pool);
	fake_net_init(&e->net, e->lc);
	e->net.ctx = e;
	e->net.on_connect = on_connect;
}

/* ---- rules ---- */

static void
on_error(void *ctx, struct sl_str word, const char *text)
{
	struct px_env *e = ctx;

	snprintf(e->error, sizeof(e->error), "%.*s: %s", SL_STR_ARG(word), text);
}

/* Blank-separated words; "…" keeps blanks. */
static uint32_t
split(const char *text, struct sl_str *word, uint32_t max)
{
	uint32_t n = 0;

	while (*text != '\0' && n < max) {
		const char *end;

		while (*text == ' ')
			text++;
		end = *text == '"' ? strchr(++text, '"') : strchrnul(text, ' ');
		word[n++] = sl_str_make(text, (size_t)(end - text));
		text = *end == '"' ? end + 1 : end;
	}
	return n;
}

static int
add_rule(struct px_env *e, struct expr_comp *comp, struct prog_builder *b, const char *text)
{
	struct sl_str word[32], args[33];
	uint32_t n = split(text, word, 32), at = 0;
	struct act_parse ap = { .comp = comp, .prog = b, .word = args };
	const struct act_row *row;
	struct act *act;
	int jump = -1, paren;

	while (at < n && !sl_str_eq(word[at], SL_STR("if")) &&
		!sl_str_eq(word[at], SL_STR("unless")))
		at++;
	if (at < n) {
		if (prog_add_cond(b, word + at + 1, n - at - 1, word[at].p[0] == 'u') < 0)
			return -EINVAL;
		jump = prog_add_op(b, OP_JF, 0, NULL);
	}
	paren = sl_str_chr(word[0], '(');
	if (paren > 0) {
		args[ap.nword++] =
			sl_str_make(word[0].p + paren + 1, word[0].len - (uint32_t)paren - 2);
		word[0].len = (uint32_t)paren;
	}
	for (uint32_t i = 1; i < at; i++)
		args[ap.nword++] = word[i];
	if (sl_str_starts(word[0], SL_STR("lua."), false)) {
		if (act_lua_parse(&ap, word[0]) < 0)
			return -EINVAL;
		if (jump >= 0)
			prog_patch(b, (uint32_t)jump);
		return 0;
	}
	row = registry_find(action_rows(), word[0]);
	if (row == NULL) {
		on_error(e, word[0], "no such action");
		return -EINVAL;
	}
	if (row->parse != NULL && row->parse(&ap, row->priv) < 0)
		return -EINVAL;
	act = arena_zalloc(&e->mem, sizeof(*act));
	*act = (struct act){ .row = row, .data = ap.data };
	prog_add_op(b, OP_ACT, ap.nsamples, act);
	if (jump >= 0)
		prog_patch(b, (uint32_t)jump);
	return 0;
}

const struct prog *
px_env_rules(struct px_env *e, enum eval_point point, const char *const *rules)
{
	struct expr_diag *diag = arena_zalloc(&e->mem, sizeof(*diag));
	struct expr_comp *comp = arena_zalloc(&e->mem, sizeof(*comp));
	struct prog_builder *b;

	*diag = (struct expr_diag){ .error = on_error, .ctx = e };
	*comp = (struct expr_comp){
		.mem = &e->mem, .ext = e->ext, .diag = diag, .point = point
	};
	b = prog_begin(comp);
	e->error[0] = '\0';
	for (uint32_t i = 0; rules[i] != NULL; i++)
		if (add_rule(e, comp, b, rules[i]) < 0)
			return NULL;
	return prog_end(b);
}

const struct prog *
px_env_cond(struct px_env *e, const char *cond)
{
	struct expr_diag diag = { .error = on_error, .ctx = e };
	struct expr_comp comp = {
		.mem = &e->mem, .ext = e->ext, .diag = &diag, .point = EVAL_BE_SWITCH
	};
	struct prog_builder *b = prog_begin(&comp);
	struct sl_str word[32];
	uint32_t n = split(cond, word, 32);

	assert_int_equal(prog_add_cond(b, word, n, false), 0);
	return prog_end(b);
}

/* ---- life ---- */

void
px_env_start(struct px_env *e)
{
	struct px_spec spec = { .max_streams = 256,
		.transport = &fake_transport,
		.log_records = 256,
		.nscripts = 1,
		.call_slots = e->call_slots };
	struct lcore *lc = e->lc;

	lcore_set_clock(lc, e->now_us, 1600000000000000ull + e->now_us);
	wheel_init(&lc->wheel, lc->now);
	lc->model = &e->model;
	lc->stopping = false;
	memset(lc->px_cnt, 0, 4 * sizeof(*lc->px_cnt));
	memset(lc->bind_cnt, 0, 4 * sizeof(*lc->bind_cnt));
	memset(lc->srv_cnt, 0, 8 * sizeof(*lc->srv_cnt));
	e->bal = bal_shared_new(ENV_SERVERS + 1, 4, 4);
	assert_non_null(e->bal);
	bal_shared_init_model(e->bal, &e->model);
	assert_int_equal(mux_attach(lc, 512), 0);
	assert_int_equal(bal_attach(lc, e->bal, 16), 0);
	assert_int_equal(px_attach(lc, &spec), 0);
	assert_int_equal(px_listen(lc, &e->model), 0);
}

void
px_env_end(struct px_env *e)
{
	struct lcore *lc = e->lc;
	uint32_t open;

	for (uint32_t i = 0; i < FAKE_MAX; i++) {
		struct fake *f = &e->net.conn[i];

		if (f->used && f->passive && !f->user_gone && !f->dead)
			fake_rst(f);
	}
	px_env_run(e);
	px_env_wait(e, 60000);
	// the script thread gives back what it still holds
	for (struct call_slot *c; (c = px_env_call(e)) != NULL;)
		px_env_reply(e, c);
	assert_int_equal(px_streams(lc), 0);
	assert_int_equal(px_sessions(lc), 0);
	assert_int_equal(lc->px->small.used, 0);
	assert_int_equal(lc->px->large.used, 0);
	assert_int_equal(atomic_load(&e->bal->conns), 0);
	for (uint32_t i = 0; i <= ENV_SERVERS; i++)
		assert_int_equal(atomic_load(&e->bal->srv[i].cur), 0);
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(counter_get(&lc->px_cnt[i].cur_conn), 0);
		assert_int_equal(lc->px->be_conns[i], 0);
	}
	for (uint32_t i = 0; i < LCORE_GENERATIONS; i++) {
		assert_int_equal(counter_get(&lc->gen[i].conns), 0);
		assert_int_equal(counter_get(&lc->gen[i].streams), 0);
		assert_int_equal(counter_get(&lc->gen[i].slots), 0);
	}
	px_detach(lc);
	bal_detach(lc);
	open = fake_net_fini(&e->net);
	assert_int_equal(open, 0);
	assert_int_equal(lc->mux->muxes.used, 0);
	assert_int_equal(lc->mux->streams.used, 0);
	mux_detach(lc);
	assert_int_equal(wheel_validate(&lc->wheel), 0);
	bal_shared_free(e->bal);
	arena_reset(&e->mem);
	assert_int_equal(rte_mempool_in_use_count(lc->pool), e->mbufs);
}

/* ---- moving ---- */

struct fake *
px_env_client(struct px_env *e)
{
	e->client.port++;
	return fake_client(&e->net, &e->bind.addr, &e->client);
}

/* A request is in when its head is, and as much of a body as content-length says. */
static bool
take_request(struct fake *f, char *path, size_t size)
{
	char *head = f->out + f->seen, *end, *cl;
	uint32_t left = f->out_len - f->seen, need;

	end = memmem(head, left, "\r\n\r\n", 4);
	if (end == NULL)
		return false;
	need = (uint32_t)(end + 4 - head);
	cl = memmem(head, need, "ontent-", 7);
	if (cl != NULL && strncasecmp(cl + 7, "length: ", 8) == 0)
		need += (uint32_t)strtoul(cl + 15, NULL, 10);
	if (memmem(head, (size_t)(end - head), "chunked", 7) != NULL) {
		char *last = memmem(end, left - (size_t)(end - head), "0\r\n\r\n", 5);
		if (last == NULL)
			return false;
		need = (uint32_t)(last + 5 - head);
	}
	if (left < need)
		return false;
	head = memchr(head, ' ', left);
	snprintf(path, size, "%.*s", (int)strcspn(head + 1, " "), head + 1);
	f->seen += need;
	f->served++;
	return true;
}

static void
serve(struct px_env *e, struct fake *f)
{
	char path[256];

	while (!f->user_gone && take_request(f, path, sizeof(path))) {
		const struct env_answer *a = e->answers;

		while (a != NULL && a->path != NULL && strcmp(a->path, path) != 0)
			a++;
		if (a == NULL || a->path == NULL) {
			static const char ok[] = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
			fake_give(f, ok, sizeof(ok) - 1);
			continue;
		}
		if (a->bytes != NULL)
			fake_give(f, a->bytes, (uint32_t)strlen(a->bytes));
		if (a->then == ENV_FIN)
			fake_fin(f);
		else if (a->then == ENV_RST)
			fake_rst(f);
	}
	// a server closes after its client did
	if (f->shut && !f->user_gone && !f->rx_eof)
		fake_fin(f);
}

static bool
run_peers(struct px_env *e)
{
	bool any = false;

	for (uint32_t i = 0; i < FAKE_MAX; i++) {
		struct fake *f = &e->net.conn[i];

		if (!f->used)
			continue;
		if (f->unacked > 0 && !f->stalled) {
			fake_read(f);
			any = true;
		}
		if (f->passive || f->connecting)
			continue;
		if (e->on_server != NULL)
			e->on_server(e, f);
		else
			serve(e, f);
	}
	return any;
}

void
px_env_run(struct px_env *e)
{
	bool any;

	for (int i = 0; i < 200000; i++) {
		any = fake_run(&e->net);
		any |= wheel_advance(&e->lc->wheel, e->lc->now, 64, e->lc) > 0;
		any |= run_peers(e);
		if (!any && wheel_next_ms(&e->lc->wheel) != 0)
			return;
	}
	fail_msg("never comes to rest");
}

void
px_env_wait(struct px_env *e, uint32_t ms)
{
	uint64_t end = e->now_us + (uint64_t)ms * 1000;

	while (e->now_us < end) {
		uint32_t next = wheel_next_ms(&e->lc->wheel);
		uint64_t left = (end - e->now_us + 999) / 1000;
		uint64_t step = next < left ? next : left;

		step = step > 0 ? step : 1;

		e->now_us += step * 1000;
		lcore_set_clock(e->lc, e->now_us, 1600000000000000ull + e->now_us);
		px_env_run(e);
	}
}

const char *
px_env_got(struct fake *f)
{
	if (f->out == NULL)
		return "";
	f->out = realloc(f->out, f->out_len + 1);
	f->out_cap = f->out_len + 1;
	f->out[f->out_len] = '\0';
	return f->out;
}

const struct logrec *
px_env_log(struct px_env *e)
{
	static struct logrec r;
	const struct logrec *p = logring_peek(e->lc->logring);

	if (p == NULL)
		return NULL;
	r = *p;
	logring_done(e->lc->logring);
	return &r;
}

struct call_slot *
px_env_call(struct px_env *e)
{
	struct xmsg m;

	while (xring_pop(&e->lc->script[0].from, &m))
		if ((m.w[0] & 0xffff) == XMSG_CALL)
			return (struct call_slot *)(uintptr_t)m.w[1];
		else
			e->cancels++;
	return NULL;
}

void
px_env_reply(struct px_env *e, struct call_slot *c)
{
	px_script_message(e->lc, 0, &(struct xmsg){ .w = { XMSG_CALL_DONE, (uintptr_t)c } });
	px_env_run(e);
}

struct fake *
px_env_backend(struct px_env *e, uint32_t i)
{
	for (uint32_t k = 0; k < FAKE_MAX; k++) {
		struct fake *f = &e->net.conn[k];

		if (f->used && !f->passive && !f->user_gone && i-- == 0)
			return f;
	}
	return NULL;
}

void
px_env_ask(struct px_env *e, struct fake *c, const char *text)
{
	fake_give(c, text, (uint32_t)strlen(text));
	px_env_run(e);
}

uint32_t
px_env_count(const char *hay, const char *needle)
{
	uint32_t n = 0;

	while ((hay = strstr(hay, needle)) != NULL) {
		n++;
		hay += strlen(needle);
	}
	return n;
}

void
px_env_hang(struct px_env *e sl_unused, struct fake *f sl_unused)
{
}
