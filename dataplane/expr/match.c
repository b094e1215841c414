// SPDX-License-Identifier: BSD-3-Clause
/*
 * Comparing a sample with a list of patterns.
 *
 * Runs on: workers, per request; allocates nothing.
 * Follows: HAProxy's manual 7.1.1 to 7.1.6, including how IPv4 and IPv6 match each other.
 * Not here: reading patterns (pattern.c).
 */
#include "dataplane/expr/expr_priv.h"
#include "dataplane/expr/regex.h"

#include "dataplane/base/hot.h"

int
pat_str_cmp(struct sl_str a, struct sl_str b, bool fold)
{
	uint32_t n = sl_min(a.len, b.len);

	if (!fold) {
		int d = n != 0 ? memcmp(a.p, b.p, n) : 0;
		return d != 0 ? d : (a.len > b.len) - (a.len < b.len);
	}
	for (uint32_t i = 0; i < n; i++) {
		int d = (unsigned char)sl_lower(a.p[i]) - (unsigned char)sl_lower(b.p[i]);
		if (d != 0)
			return d;
	}
	return (a.len > b.len) - (a.len < b.len);
}

static bool
search(const struct pat_str *p, uint32_t n, struct sl_str s, bool fold)
{
	uint32_t lo = 0;

	while (lo < n) {
		uint32_t mid = lo + (n - lo) / 2;
		int d = pat_str_cmp(s, p[mid].s, fold);
		if (d == 0)
			return true;
		if (d < 0)
			n = mid;
		else
			lo = mid + 1;
	}
	return false;
}

static bool
is_delim(enum pat_method m, char c)
{
	if (c == '/' || c == '?')
		return true;
	return m == PAT_DOM && (c == '.' || c == ':');
}

/* Is the pattern somewhere between two delimiters, or an end of the text? */
static bool
match_word(enum pat_method m, struct sl_str text, struct sl_str pat, bool icase)
{
	while (pat.len != 0 && is_delim(m, pat.p[0])) {
		pat.p++;
		pat.len--;
	}
	while (pat.len != 0 && is_delim(m, pat.p[pat.len - 1]))
		pat.len--;
	if (pat.len == 0)
		return false;
	for (uint32_t i = 0; i + pat.len <= text.len; i++) {
		if (i != 0 && !is_delim(m, text.p[i - 1]))
			continue;
		uint32_t end = i + pat.len;
		if (end != text.len && !is_delim(m, text.p[end]))
			continue;
		if (pat_str_cmp(sl_str_make(text.p + i, pat.len), pat, icase) == 0)
			return true;
	}
	return false;
}

bool
pat_match_one(enum pat_method m, struct sl_str text, const struct pat_str *p)
{
	switch (m) {
	case PAT_BEG:
		return sl_str_starts(text, p->s, p->icase);
	case PAT_END:
		return sl_str_ends(text, p->s, p->icase);
	case PAT_SUB:
		return sl_str_find(text, p->s, p->icase) >= 0;
	case PAT_DIR:
	case PAT_DOM:
		return match_word(m, text, p->s, p->icase);
	default: // PAT_STR, PAT_BIN
		return text.len == p->s.len && pat_str_cmp(text, p->s, p->icase) == 0;
	}
}

static bool
match_text(const struct pat_list *l, struct sl_str text)
{
	if (l->sorted && l->m == PAT_BEG)
		return pat_lookup(l, &(struct sample){ .type = T_STR, .s = text }) >= 0;
	if (l->sorted)
		return search(l->str, l->nexact, text, false) ||
			search(l->str + l->nexact, l->n - l->nexact, text, true);
	for (uint32_t i = 0; i < l->n; i++) {
		if (pat_match_one(l->m, text, &l->str[i]))
			return true;
	}
	return false;
}

static bool
match_number(const struct pat_list *l, int64_t v)
{
	for (uint32_t i = 0; i < l->n; i++) {
		if (v >= l->range[i].lo && v <= l->range[i].hi)
			return true;
	}
	return false;
}

/* The IPv4 address inside 2002:V4::, ::V4 or ::ffff:V4. */
static bool
inner_v4(const struct ip_addr *ip, uint32_t *v4)
{
	static const uint8_t zero[10];

	if (ip->b[0] == 0x20 && ip->b[1] == 0x02) {
		memcpy(v4, ip->b + 2, 4);
		return true;
	}
	if (memcmp(ip->b, zero, 10) != 0)
		return false;
	if (ip->b[10] != ip->b[11] || (ip->b[10] != 0 && ip->b[10] != 0xff))
		return false;
	memcpy(v4, ip->b + 12, 4);
	return true;
}

static int
cmp_ip(const struct ip_addr *a, const struct ip_addr *b)
{
	return memcmp(a->b, b->b, sizeof(a->b));
}

static bool
search_group(const struct pat_net *net, uint32_t n, const struct ip_addr *ip)
{
	struct ip_addr key = *ip;
	uint32_t lo = 0;

	key.q[0] &= net->mask[0];
	key.q[1] &= net->mask[1];
	while (lo < n) {
		uint32_t mid = lo + (n - lo) / 2;
		int d = cmp_ip(&key, &net[mid].ip);
		if (d == 0)
			return true;
		if (d < 0)
			n = mid;
		else
			lo = mid + 1;
	}
	return false;
}

bool
pat_in_net(const struct pat_net *p, const struct pat_ip *x)
{
	bool is4 = p->ip.family == ADDR_V4;
	const struct ip_addr *ip = is4 ? &x->v4 : &x->v6;

	if (is4 && !x->has4)
		return false;
	return (ip->q[0] & p->mask[0]) == p->ip.q[0] && (ip->q[1] & p->mask[1]) == p->ip.q[1];
}

void
pat_ip(const struct ip_addr *ip, struct pat_ip *out)
{
	*out = (struct pat_ip){ .v6 = *ip, .v4 = { .family = ADDR_V4 }, .has4 = true };
	if (ip->family == ADDR_V4) {
		out->v4 = *ip;
		memset(out->v6.b, 0, 10);
		out->v6.b[10] = out->v6.b[11] = 0xff;
		memcpy(out->v6.b + 12, ip->b, 4);
	} else {
		out->has4 = inner_v4(ip, &out->v4.v4);
	}
}

static bool
match_ip(const struct pat_list *l, const struct ip_addr *ip)
{
	struct pat_ip x;

	pat_ip(ip, &x);
	for (uint32_t i = 0; i < l->ngroups; i++) {
		const struct pat_net *net = l->net + l->group[i].start;
		bool is4 = net->ip.family == ADDR_V4;
		if ((!is4 || x.has4) && search_group(net, l->group[i].n, is4 ? &x.v4 : &x.v6))
			return true;
	}
	if (l->ngroups != 0)
		return false;
	for (uint32_t i = 0; i < l->n; i++) {
		if (pat_in_net(&l->net[i], &x))
			return true;
	}
	return false;
}

static bool
match_regex(const struct pat_list *l, struct sl_str text)
{
	for (uint32_t i = 0; i < l->n; i++) {
		if (regex_exec(l->re[i].re, text, NULL))
			return true;
	}
	return false;
}

static bool
match_list(const struct pat_list *l, const struct sample *s)
{
	switch (l->m) {
	case PAT_FOUND:
		return true;
	case PAT_BOOL:
		return s->i != 0;
	case PAT_INT:
		return match_number(l, s->i);
	case PAT_LEN:
		return match_number(l, s->s.len);
	case PAT_IP:
		return match_ip(l, &s->ip);
	case PAT_REG:
		return match_regex(l, s->s);
	default:
		return match_text(l, s->s);
	}
}

bool
pat_match(const struct pat_list *l, const struct sample *s)
{
	if (match_list(l, s))
		return true;
	for (uint32_t i = 0; i < l->nview; i++) {
		if (match_list(pat_view_list(l->view[i]), s))
			return true;
	}
	return false;
}
