// SPDX-License-Identifier: BSD-3-Clause
/*
 * Which item of a list a sample finds: what maps need to know beyond "does it match?".
 *
 * Runs on: workers, per request, allocating nothing; control and script threads.
 * Follows: HAProxy's trees: the longest prefix of text ("beg") and of networks, else the first item in
 * the order of the file.
 */
#include "dataplane/expr/expr_priv.h"
#include "dataplane/expr/patset_priv.h"
#include "dataplane/expr/regex.h"

#include "dataplane/base/hot.h"

/* Items of a sorted part that are not above s; the first among equals counts. */
static uint32_t
not_above(const struct pat_str *p, uint32_t n, struct sl_str s)
{
	uint32_t lo = 0;

	while (lo < n) {
		uint32_t mid = lo + (n - lo) / 2;
		if (pat_str_cmp(s, p[mid].s, false) < 0)
			n = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

static const struct pat_str *
first_of(const struct pat_str *start, const struct pat_str *p)
{
	while (p > start && pat_str_cmp(p[-1].s, p->s, false) == 0)
		p--;
	return p;
}

static int64_t
find_sorted(const struct pat_str *p, uint32_t n, struct sl_str s)
{
	uint32_t at = not_above(p, n, s);

	if (at == 0 || pat_str_cmp(p[at - 1].s, s, false) != 0)
		return -1;
	return first_of(p, &p[at - 1])->idx;
}

/*
 * The longest item that s begins with: it is the greatest one not above s, or one not above what that
 * has in common with s.
 */
static int64_t
find_prefix(const struct pat_str *p, uint32_t n, struct sl_str s)
{
	for (;;) {
		uint32_t at = not_above(p, n, s), same = 0;

		if (at == 0)
			return -1;
		struct sl_str near = p[at - 1].s;
		while (same < near.len && same < s.len && near.p[same] == s.p[same])
			same++;
		if (same == near.len)
			return first_of(p, &p[at - 1])->idx;
		s.len = same;
		n = at - 1;
	}
}

static int64_t
find_text(const struct pat_list *l, struct sl_str text)
{
	uint32_t best = 0;
	int64_t found = -1;

	if (l->sorted && l->m == PAT_BEG)
		return find_prefix(l->str, l->n, text);
	if (l->sorted && l->nexact == l->n)
		return find_sorted(l->str, l->n, text);
	for (uint32_t i = 0; i < l->n; i++) {
		const struct pat_str *p = &l->str[i];
		bool longer = l->m == PAT_BEG && !p->icase && p->s.len > best;
		bool first = l->m == PAT_STR && p->idx < found;
		if ((found < 0 || longer || first) && pat_match_one(l->m, text, p)) {
			found = p->idx;
			best = p->s.len;
		}
	}
	return found;
}

static uint32_t
bits_of(const struct pat_net *p)
{
	return (uint32_t)(__builtin_popcountll(p->mask[0]) + __builtin_popcountll(p->mask[1]));
}

/* The first net of a group that holds ip; NULL: none. */
static const struct pat_net *
find_group(const struct pat_net *net, uint32_t n, const struct pat_ip *x)
{
	bool is4 = net->ip.family == ADDR_V4;
	struct ip_addr key = is4 ? x->v4 : x->v6;
	uint32_t lo = 0;

	if (is4 && !x->has4)
		return NULL;
	key.q[0] &= net->mask[0];
	key.q[1] &= net->mask[1];
	for (uint32_t hi = n; lo < hi;) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (memcmp(net[mid].ip.b, key.b, sizeof(key.b)) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < n && memcmp(net[lo].ip.b, key.b, sizeof(key.b)) == 0 ? &net[lo] : NULL;
}

static int64_t
find_ip(const struct pat_list *l, const struct ip_addr *ip)
{
	const struct pat_net *best = NULL;
	struct pat_ip x;

	pat_ip(ip, &x);
	for (uint32_t i = 0; i < l->ngroups; i++) {
		const struct pat_net *p = find_group(l->net + l->group[i].start, l->group[i].n, &x);
		if (p != NULL && (best == NULL || bits_of(p) > bits_of(best)))
			best = p;
	}
	for (uint32_t i = 0; i < l->n && l->ngroups == 0; i++) {
		const struct pat_net *p = &l->net[i];
		if (pat_in_net(p, &x) && (best == NULL || bits_of(p) > bits_of(best)))
			best = p;
	}
	return best != NULL ? (int64_t)best->idx : -1;
}

static int64_t
find_number(const struct pat_list *l, int64_t v)
{
	for (uint32_t i = 0; i < l->n; i++) {
		if (v >= l->range[i].lo && v <= l->range[i].hi)
			return l->range[i].idx;
	}
	return -1;
}

static int64_t
find_regex(const struct pat_list *l, struct sl_str text)
{
	for (uint32_t i = 0; i < l->n; i++) {
		if (regex_exec(l->re[i].re, text, NULL))
			return l->re[i].idx;
	}
	return -1;
}

int64_t
pat_lookup(const struct pat_list *l, const struct sample *s)
{
	switch (l->m) {
	case PAT_FOUND:
	case PAT_BOOL:
		return -1; // they have no patterns to find
	case PAT_INT:
		return find_number(l, s->i);
	case PAT_LEN:
		return find_number(l, s->s.len);
	case PAT_IP:
		return find_ip(l, &s->ip);
	case PAT_REG:
		return find_regex(l, s->s);
	default:
		return find_text(l, s->s);
	}
}

const struct pat_list *
pat_view_list(const struct pat_view *v)
{
	return &atomic_load_explicit(&v->live, memory_order_acquire)->l;
}

/* The value with \1 and the like filled in. */
static bool
expand(const struct pat_list *l, int64_t i, const struct sample *in, struct sample *out,
	struct arena *mem)
{
	const uint32_t size = 16384; // HAProxy's buffer
	struct regex_match m;
	struct sl_buf b;

	if (!regex_exec(l->re[i].re, in->s, &m))
		return false;
	uint32_t need = sl_min(out->s.len + in->s.len * 4 + 64, size);
	char *p = arena_alloc(mem, need);
	if (p == NULL)
		return false;
	sl_buf_init(&b, p, need);
	if (regex_expand(&b, in->s, &m, out->s) < 0 || b.full)
		return false;
	out->s = sl_buf_str(&b);
	return true;
}

bool
pat_view_find(
	const struct pat_view *v, const struct sample *in, struct sample *out, struct arena *mem)
{
	const struct pat_list *l = pat_view_list(v);
	int64_t i = pat_lookup(l, in);

	if (i < 0 || l->value == NULL)
		return false;
	*out = l->value[i];
	if (v->how.expand)
		return expand(l, i, in, out, mem);
	if (out->type != T_STR)
		return true;
	// the list may be replaced while a program waits
	out->s = arena_str(mem, out->s);
	return out->s.p != NULL;
}
