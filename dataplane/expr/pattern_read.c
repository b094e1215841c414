// SPDX-License-Identifier: BSD-3-Clause
/*
 * One pattern of each kind: strings, hex, numbers and ranges, networks.
 *
 * Runs on: the thread that loads a configuration.
 * Follows: HAProxy's manual 7.1.2 to 7.1.6, with abbreviated IPv4 addresses and masks with holes.
 */
#include "dataplane/expr/expr_priv.h"
#include "dataplane/expr/regex.h"

size_t
pat_item_size(enum pat_method m)
{
	if (m == PAT_INT || m == PAT_LEN)
		return sizeof(struct pat_range);
	if (m == PAT_REG)
		return sizeof(struct pat_re);
	return m == PAT_IP ? sizeof(struct pat_net) : sizeof(struct pat_str);
}

static void *
add_item(struct pat_reader *r)
{
	if (r->n == r->cap) {
		uint32_t cap = r->cap == 0 ? 4 : r->cap * 2;
		void *mem = arena_alloc(r->e->mem, cap * r->size);
		if (mem == NULL) {
			expr_nomem(r->e);
			return NULL;
		}
		if (r->n != 0)
			memcpy(mem, r->items, r->n * r->size);
		r->items = mem;
		r->cap = cap;
	}
	return (char *)r->items + r->n++ * r->size;
}

/* What was read last is the idx-th of its list. */
static void
number_item(struct pat_reader *r, uint32_t idx)
{
	void *last = (char *)r->items + idx * r->size;

	if (r->m == PAT_INT || r->m == PAT_LEN)
		((struct pat_range *)last)->idx = idx;
	else if (r->m == PAT_REG)
		((struct pat_re *)last)->idx = idx;
	else if (r->m == PAT_IP)
		((struct pat_net *)last)->idx = idx;
	else
		((struct pat_str *)last)->idx = idx;
}

static int
read_string(struct pat_reader *r, struct sl_str w)
{
	struct pat_str *p = add_item(r);

	if (p == NULL)
		return -EINVAL;
	p->icase = r->icase;
	r->any_icase |= r->icase;
	p->s = arena_str(r->e->mem, w);
	if (p->s.p == NULL)
		return expr_nomem(r->e);
	if (r->icase) {
		char *to = (char *)(uintptr_t)p->s.p; // the copy just made
		for (uint32_t i = 0; i < w.len; i++)
			to[i] = sl_lower(to[i]);
	}
	return 0;
}

static int
read_regex(struct pat_reader *r, struct sl_str w)
{
	struct pat_re *p = add_item(r);
	struct sl_buf why;
	char text[256];

	if (p == NULL)
		return -EINVAL;
	sl_buf_init(&why, text, sizeof(text));
	p->icase = r->icase;
	p->s = arena_str(r->e->mem, w);
	int rc = regex_new_in(r->e->mem, w, r->icase, &p->re, &why);
	if (rc == -ENOMEM || p->s.p == NULL)
		return expr_nomem(r->e);
	return rc < 0 ? expr_error(r->e, w, "%s", text) : 0;
}

static int
read_bin(struct pat_reader *r, struct sl_str w)
{
	struct pat_str *p = add_item(r);
	char *to = arena_alloc(r->e->mem, w.len / 2 + 1);

	if (p == NULL || to == NULL)
		return expr_nomem(r->e);
	if (w.len % 2 != 0)
		return expr_error(r->e, w, "an even number of hex digits is expected, not '%.*s'",
			SL_STR_ARG(w));
	for (uint32_t i = 0; i < w.len / 2; i++) {
		int hi = sl_hex_value(w.p[2 * i]), lo = sl_hex_value(w.p[2 * i + 1]);
		if (hi < 0 || lo < 0)
			return expr_error(
				r->e, w, "'%.*s' is not a series of hex digits", SL_STR_ARG(w));
		to[i] = (char)(hi << 4 | lo);
	}
	*p = (struct pat_str){ .s = sl_str_make(to, w.len / 2) };
	return 0;
}

static int
bad_number(struct pat_reader *r, struct sl_str w, bool range)
{
	return expr_error(
		r->e, w, "'%.*s' is not a valid number%s", SL_STR_ARG(w), range ? " range" : "");
}

static int
read_range(struct pat_reader *r, struct sl_str w, int colon)
{
	struct sl_str lo = sl_str_make(w.p, (size_t)colon);
	struct sl_str hi = sl_str_make(w.p + colon + 1, w.len - (size_t)colon - 1);
	struct pat_range v = { .lo = INT64_MIN, .hi = INT64_MAX };

	if (r->cmp != CMP_EQ)
		return expr_error(
			r->e, w, "a range such as '%.*s' goes with 'eq' only", SL_STR_ARG(w));
	if ((lo.len == 0 && hi.len == 0) || (lo.len != 0 && sl_str_i64(lo, &v.lo) < 0) ||
		(hi.len != 0 && sl_str_i64(hi, &v.hi) < 0) || v.lo > v.hi)
		return bad_number(r, w, true);
	struct pat_range *p = add_item(r);
	if (p == NULL)
		return -EINVAL;
	*p = v;
	return 0;
}

static int
read_number(struct pat_reader *r, struct sl_str w)
{
	int colon = w.len != 0 ? sl_str_chr(w, ':') : -ENOENT;
	struct pat_range v = { .lo = INT64_MIN, .hi = INT64_MAX };
	int64_t n;

	if (colon >= 0)
		return read_range(r, w, colon);
	if (sl_str_i64(w, &n) < 0)
		return expr_error(r->e, w, "'%.*s' is not a number", SL_STR_ARG(w));
	switch (r->cmp) {
	case CMP_EQ:
		v.lo = v.hi = n;
		break;
	case CMP_GE:
		v.lo = n;
		break;
	case CMP_LE:
		v.hi = n;
		break;
	case CMP_GT: // nothing is above the largest number: an empty range
		v = n == INT64_MAX ? (struct pat_range){ 1, 0 } : (struct pat_range){ n + 1, v.hi };
		break;
	default:
		v = n == INT64_MIN ? (struct pat_range){ 1, 0 } : (struct pat_range){ v.lo, n - 1 };
		break;
	}
	struct pat_range *p = add_item(r);
	if (p == NULL)
		return -EINVAL;
	*p = v;
	return 0;
}

/* "192.168.1" is 192.168.0.1: the last number fills what is left. */
static int
parse_short_v4(struct sl_str w, struct ip_addr *out)
{
	struct ip_addr ip = { .family = ADDR_V4 };
	uint32_t at = 0;

	while (w.p != NULL) {
		struct sl_str part = sl_str_cut(&w, '.');
		uint64_t n;
		if (at > 3 || sl_str_u64(part, &n) < 0)
			return -EINVAL;
		if (w.p != NULL) {
			if (n > 255)
				return -EINVAL;
			ip.b[at++] = (uint8_t)n;
			continue;
		}
		if (n >> (8 * (4 - at)) != 0)
			return -EINVAL;
		for (int i = 3; i >= (int)at; i--, n >>= 8)
			ip.b[i] = (uint8_t)n;
	}
	*out = ip;
	return 0;
}

static int
parse_net(struct sl_str w, struct pat_net *out)
{
	struct sl_str rest = w, addr = sl_str_cut(&rest, '/');
	struct ip_addr mask = { 0 };
	uint64_t bits;

	memset(out, 0, sizeof(*out));
	if (addr.len == 0)
		return -EINVAL;
	if (addr_parse(addr, &out->ip) < 0 && parse_short_v4(addr, &out->ip) < 0)
		return -EINVAL;
	uint32_t max = out->ip.family == ADDR_V4 ? 32 : 128;
	if (rest.p == NULL) {
		bits = max;
	} else if (sl_str_u64(rest, &bits) < 0) {
		if (max != 32 || addr_parse(rest, &mask) < 0 || mask.family != ADDR_V4)
			return -EINVAL;
		bits = 0;
	}
	if (bits > max)
		return -EINVAL;
	for (uint32_t i = 0; i < bits; i++)
		mask.b[i / 8] |= (uint8_t)(0x80 >> i % 8);
	for (int i = 0; i < 2; i++) {
		out->mask[i] = mask.q[i];
		out->ip.q[i] &= mask.q[i];
	}
	return 0;
}

int
expr_net_parse(struct sl_str w, struct ip_addr *ip, uint64_t mask[2])
{
	struct pat_net v;
	int rc = parse_net(w, &v);

	if (rc < 0)
		return rc;
	*ip = v.ip;
	memcpy(mask, v.mask, sizeof(v.mask));
	return 0;
}

static int
read_net(struct pat_reader *r, struct sl_str w)
{
	struct pat_net v;

	if (parse_net(w, &v) < 0)
		return expr_error(
			r->e, w, "'%.*s' is not a valid IPv4 or IPv6 address", SL_STR_ARG(w));
	struct pat_net *p = add_item(r);
	if (p == NULL)
		return -EINVAL;
	*p = v;
	return 0;
}

static int
read_one(struct pat_reader *r, struct sl_str w)
{
	switch (r->m) {
	case PAT_FOUND:
	case PAT_BOOL:
		return 0; // HAProxy ignores what follows
	case PAT_INT:
	case PAT_LEN:
		return read_number(r, w);
	case PAT_IP:
		return read_net(r, w);
	case PAT_BIN:
		return read_bin(r, w);
	case PAT_REG:
		return read_regex(r, w);
	default:
		return read_string(r, w);
	}
}

int
pat_read(struct pat_reader *r, struct sl_str w)
{
	uint32_t n = r->n;
	int rc = read_one(r, w);

	if (rc == 0 && r->n > n)
		number_item(r, n);
	return rc;
}
