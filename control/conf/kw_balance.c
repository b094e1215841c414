// SPDX-License-Identifier: BSD-3-Clause
/*
 * "balance", "hash-type": which server a request goes to; the tables of hashing.
 *
 * Runs on: the loader. Follows: HAProxy 2.6 configuration manual 4.2 "balance". Algorithms that are
 * not there yet are refused by name (unsupported.def).
 */
#include <stdlib.h>

#include "control/conf/conf_priv.h"

#include "dataplane/balance/balance.h"
#include "dataplane/base/hash.h"

static int
too_many(struct conf *c, const struct conf_args *a, uint32_t max)
{
	if (a->n <= max)
		return 0;
	conf_error(c, "'balance %.*s' cannot handle unexpected argument '%.*s'.",
		SL_STR_ARG(a->word[0]), SL_STR_ARG(a->word[max]));
	return -EINVAL;
}

static int
kw_balance(struct conf *c, const struct conf_args *a)
{
	const struct unsup *u;

	if (sl_str_eq(a->word[0], SL_STR("roundrobin"))) {
		c->px->p->lb = LB_ROUNDROBIN;
		return too_many(c, a, 1);
	}
	if (sl_str_eq(a->word[0], SL_STR("hash"))) {
		if (a->n < 2) {
			conf_error(c, "'balance hash' requires a sample expression.");
			return -EINVAL;
		}
		c->px->p->lb = LB_HASH;
		c->px->hash_expr = a->word[1];
		c->px->hash_pos = c->pos;
		return too_many(c, a, 2);
	}
	u = unsup_find(UNSUP_BALANCE, a->word, a->n);
	if (u != NULL)
		unsup_tell(c, u, "balance");
	else
		conf_error(c,
			"unknown balance algorithm '%.*s'; sluice has 'roundrobin' and 'hash'.",
			SL_STR_ARG(a->word[0]));
	return -EINVAL;
}

/* hash-type <method> [<function>] [avalanche] */
static int
kw_hash_type(struct conf *c, const struct conf_args *a)
{
	static const char *const fn[] = {
		[LB_SDBM] = "sdbm", [LB_DJB2] = "djb2", [LB_WT6] = "wt6", [LB_CRC32] = "crc32"
	};
	struct lb_hash *h = &c->px->p->hash;
	uint32_t i = 1;

	if (sl_str_eq(a->word[0], SL_STR("consistent"))) {
		h->consistent = true;
	} else if (sl_str_eq(a->word[0], SL_STR("map-based"))) {
		h->consistent = false;
	} else {
		conf_error(c, "'hash-type' only supports 'consistent' and 'map-based', got '%.*s'.",
			SL_STR_ARG(a->word[0]));
		return -EINVAL;
	}
	h->fn = LB_SDBM;
	h->avalanche = h->consistent; // HAProxy's default for it
	if (i < a->n) {
		while (h->fn < SL_ARRAY_SIZE(fn) && !sl_str_eq(a->word[i], sl_str_c(fn[h->fn])))
			h->fn++;
		if (h->fn == SL_ARRAY_SIZE(fn)) {
			h->fn = LB_SDBM;
			conf_error(c,
				"'hash-type' only supports 'sdbm', 'djb2', 'wt6', 'crc32' hash "
				"functions, got '%.*s'.",
				SL_STR_ARG(a->word[i]));
			return -EINVAL;
		}
		h->avalanche = false;
		i++;
	}
	if (i < a->n && !sl_str_eq(a->word[i], SL_STR("avalanche"))) {
		conf_error(c, "'hash-type' only supports 'avalanche' as modifier, got '%.*s'.",
			SL_STR_ARG(a->word[i]));
		return -EINVAL;
	}
	h->avalanche |= i < a->n;
	return 0;
}

/* ---- tables ---- */

static uint32_t
gcd(uint32_t a, uint32_t b)
{
	while (b != 0) {
		uint32_t r = a % b;
		a = b;
		b = r;
	}
	return a;
}

static int
build_map(struct conf *c, struct proxy *p)
{
	uint32_t *weight = arena_zalloc(&c->tmp, p->nservers * sizeof(*weight) + 1);
	int64_t *score = arena_zalloc(&c->tmp, p->nservers * sizeof(*score) + 1);
	uint32_t div = 0, total = 0;
	uint16_t *map;

	if (weight == NULL || score == NULL)
		return conf_nomem(c);
	for (uint32_t i = 0; i < p->nservers; i++) {
		weight[i] = p->servers[i].backup ? 0 : p->servers[i].weight;
		div = gcd(weight[i], div);
	}
	for (uint32_t i = 0; i < p->nservers && div != 0; i++) {
		weight[i] /= div;
		total += weight[i];
	}
	map = arena_zalloc(&c->mem, total * sizeof(*map) + 1);
	if (map == NULL)
		return conf_nomem(c);
	lb_map_order(weight, score, p->nservers, map, total);
	p->hash.map = map;
	p->hash.nmap = total;
	return 0;
}

static int
cmp_node(const void *a, const void *b)
{
	const struct lb_node *x = a, *y = b;

	return x->key < y->key ? -1 : x->key > y->key;
}

#define PLACES_MAX 4096u // HAProxy's range of one server's places

static int
build_ring(struct conf *c, struct proxy *p)
{
	struct lb_node *ring;
	uint32_t n = 0, k = 0;

	for (uint32_t i = 0; i < p->nservers; i++)
		n += p->servers[i].backup ? 0 : p->servers[i].weight * LB_PLACES;
	ring = arena_zalloc(&c->mem, n * sizeof(*ring) + 1);
	if (ring == NULL)
		return conf_nomem(c);
	for (uint32_t i = 0; i < p->nservers; i++) {
		const struct server *s = &p->servers[i];
		for (uint32_t j = 0; !s->backup && j < s->weight * LB_PLACES; j++)
			ring[k++] = (struct lb_node){
				hash_avalanche(s->id * PLACES_MAX + j), (uint16_t)i, (uint16_t)j
			};
	}
	qsort(ring, n, sizeof(*ring), cmp_node);
	p->hash.ring = ring;
	p->hash.nring = n;
	return 0;
}

/* The expression's errors were told where it stands, unless it came from "defaults". */
void
conf_balance_build(struct conf *c, struct conf_px *px)
{
	struct proxy *p = px->p;
	enum eval_point point = p->mode == PX_HTTP ? EVAL_BE_SWITCH : EVAL_TCP_CONTENT;
	struct expr_comp comp;
	struct prog_builder *b;

	if (p->lb != LB_HASH || c->count->errors > 0)
		return;
	c->pos = px->hash_pos;
	c->what = "error detected while parsing 'balance hash'";
	comp = conf_comp(c, px, &c->mem, point);
	b = prog_begin(&comp);
	if (b == NULL) {
		(void)conf_nomem(c);
		return;
	}
	if (prog_add_expr(b, px->hash_expr, T_BIN) == 0)
		p->hash.key = prog_end(b);
	c->what = "";
	if (p->hash.key == NULL && c->count->errors == 0)
		(void)conf_nomem(c);
	if (c->count->errors == 0 && build_map(c, p) == 0)
		(void)build_ring(c, p);
}

// clang-format off
SL_CFG_PROXY(
	{ "balance", CONF_ANY_PX, 1, CONF_MANY, kw_balance, "roundrobin|hash <expression>",
		 "which server a request goes to", .flags = CONF_KW_BE },
	{ "hash-type", CONF_ANY_PX, 1, 3, kw_hash_type,
		"map-based|consistent [sdbm|djb2|wt6|crc32] [avalanche]",
		"how 'balance hash' finds a server", .flags = CONF_KW_BE },
);
// clang-format on
