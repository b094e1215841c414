// SPDX-License-Identifier: BSD-3-Clause
/*
 * IPv4 and IPv6 addresses as values and as text.
 *
 * Runs on: any thread; pure. Text in: dotted quads without leading zeros (an octal reading would
 * name another host) and RFC 4291 2.2 without zone. Text out: RFC 5952.
 */
#include "dataplane/base/addr.h"

bool
addr_eq(const struct ip_addr *a, const struct ip_addr *b)
{
	if (a->family != b->family)
		return false;
	if (a->family == ADDR_V4)
		return a->v4 == b->v4;
	return a->q[0] == b->q[0] && a->q[1] == b->q[1];
}

bool
addr_port_eq(const struct ip_port *a, const struct ip_port *b)
{
	return a->port == b->port && a->host == b->host && addr_eq(&a->ip, &b->ip);
}

bool
addr_is_loopback(const struct ip_addr *a)
{
	static const struct ip_addr v6 = { .b = { [15] = 1 }, .family = ADDR_V6 };

	return (a->family == ADDR_V4 && a->b[0] == 127) || addr_eq(a, &v6);
}

bool
addr_is_any(const struct ip_addr *a)
{
	return a->family == ADDR_V4 ? a->v4 == 0 : (a->q[0] | a->q[1]) == 0;
}

bool
addr_is_multicast(const struct ip_addr *a)
{
	if (a->family == ADDR_V4)
		return (a->b[0] & 0xf0) == 0xe0 || a->v4 == UINT32_MAX;
	return a->family == ADDR_V6 && a->b[0] == 0xff;
}

bool
addr_is_linklocal(const struct ip_addr *a)
{
	if (a->family == ADDR_V4)
		return a->b[0] == 169 && a->b[1] == 254;
	return a->family == ADDR_V6 && a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

bool
addr_is_mapped(const struct ip_addr *a)
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };

	return a->family == ADDR_V6 && memcmp(a->b, prefix, sizeof(prefix)) == 0;
}

bool
addr_in_net(const struct ip_addr *a, const struct ip_net *n)
{
	uint32_t bytes = n->prefix / 8, bits = n->prefix % 8;
	uint8_t mask = (uint8_t)(0xff00 >> bits);

	if (a->family != n->ip.family || !addr_is_ip(a))
		return false;
	if (memcmp(a->b, n->ip.b, bytes) != 0)
		return false;
	return bits == 0 || ((a->b[bytes] ^ n->ip.b[bytes]) & mask) == 0;
}

int
addr_parse_mac(struct sl_str s, uint8_t mac[6])
{
	bool zero = true;

	if (s.len != 17 || (s.p[2] != ':' && s.p[2] != '-'))
		return -EINVAL;
	for (uint32_t i = 0; i < 6; i++) {
		int hi = sl_hex_value(s.p[3 * i]), lo = sl_hex_value(s.p[3 * i + 1]);

		if (hi < 0 || lo < 0 || (i < 5 && s.p[3 * i + 2] != s.p[2]))
			return -EINVAL;
		mac[i] = (uint8_t)(hi << 4 | lo);
		zero = zero && mac[i] == 0;
	}
	return zero || (mac[0] & 1) != 0 ? -EINVAL : 0; // nobody, or a group
}

/* "0".."255" without a leading zero, to the end of s. */
static int
parse_octet(struct sl_str s)
{
	int n = 0;

	if (s.len < 1 || s.len > 3 || (s.len > 1 && s.p[0] == '0'))
		return -EINVAL;
	for (uint32_t i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return -EINVAL;
		n = n * 10 + (s.p[i] - '0');
	}
	return n <= 255 ? n : -EINVAL;
}

static int
parse_v4(struct sl_str s, uint8_t out[4])
{
	for (int i = 0; i < 4; i++) {
		int n;
		if (s.p == NULL)
			return -EINVAL;
		n = parse_octet(sl_str_cut(&s, '.'));
		if (n < 0)
			return n;
		out[i] = (uint8_t)n;
	}
	return s.p == NULL ? 0 : -EINVAL; // a fifth part, or a dot at the end
}

static int
parse_group(struct sl_str s)
{
	int n = 0;

	if (s.len < 1 || s.len > 4)
		return -EINVAL;
	for (uint32_t i = 0; i < s.len; i++) {
		int d = sl_hex_value(s.p[i]);
		if (d < 0)
			return -EINVAL;
		n = n * 16 + d;
	}
	return n;
}

/*
 * Groups of one side of the "::" (or of the whole address); the last may be a dotted quad where
 * `quad` allows it. Returns the bytes written, at most `max`.
 */
static int
parse_groups(struct sl_str s, uint8_t *out, int max, bool quad)
{
	int at = 0;

	if (s.len == 0)
		return 0;
	while (s.p != NULL) {
		struct sl_str part = sl_str_cut(&s, ':');
		int n;

		if (quad && s.p == NULL && sl_str_chr(part, '.') >= 0) {
			if (at + 4 > max || parse_v4(part, out + at) < 0)
				return -EINVAL;
			return at + 4;
		}
		n = parse_group(part);
		if (n < 0 || at + 2 > max)
			return -EINVAL;
		out[at++] = (uint8_t)(n >> 8);
		out[at++] = (uint8_t)n;
	}
	return at;
}

static int
parse_v6(struct sl_str s, uint8_t out[16])
{
	int gap = sl_str_find(s, SL_STR("::"), false);
	uint8_t tail[16];
	struct sl_str right;
	int n, m;

	if (gap < 0)
		return parse_groups(s, out, 16, true) == 16 ? 0 : -EINVAL;
	n = parse_groups(sl_str_make(s.p, (size_t)gap), out, 14, false);
	right = sl_str_make(s.p + gap + 2, s.len - (uint32_t)gap - 2);
	m = parse_groups(right, tail, 14, true);
	// "::" stands for at least one group
	if (n < 0 || m < 0 || n + m > 14)
		return -EINVAL;
	memset(out + n, 0, (size_t)(16 - n - m));
	memcpy(out + 16 - m, tail, (size_t)m);
	return 0;
}

int
addr_parse(struct sl_str s, struct ip_addr *out)
{
	struct ip_addr a = { .family = ADDR_V4 };
	int rc;

	if (sl_str_chr(s, ':') >= 0) {
		a.family = ADDR_V6;
		rc = parse_v6(s, a.b);
	} else {
		rc = parse_v4(s, a.b);
	}
	if (rc < 0)
		return -EINVAL;
	*out = a;
	return 0;
}

int
addr_parse_net(struct sl_str s, struct ip_net *out)
{
	struct sl_str text = sl_str_cut(&s, '/');
	struct ip_net n;
	uint64_t prefix;

	if (addr_parse(text, &n.ip) < 0)
		return -EINVAL;
	n.prefix = n.ip.family == ADDR_V4 ? 32 : 128;
	if (s.p != NULL) {
		if (sl_str_u64(s, &prefix) < 0 || prefix > n.prefix)
			return -EINVAL;
		n.prefix = (uint8_t)prefix;
	}
	*out = n;
	return 0;
}

/* The text of a byte with a dot behind it, in the order of memory. */
#define ASCII(d) (uint32_t)('0' + (d))
#define OCTET(n)                                                                         \
	((n) < 10      ? ASCII(n) | '.' << 8                                             \
		: (n) < 100 ? ASCII((n) / 10) | ASCII((n) % 10) << 8 | '.' << 16         \
			    : ASCII((n) / 100) | ASCII((n) / 10 % 10) << 8 |             \
					ASCII((n) % 10) << 16 | (uint32_t)'.' << 24)
#define OCTETS4(n)  OCTET(n), OCTET((n) + 1), OCTET((n) + 2), OCTET((n) + 3)
#define OCTETS16(n) OCTETS4(n), OCTETS4((n) + 4), OCTETS4((n) + 8), OCTETS4((n) + 12)
#define OCTETS64(n) OCTETS16(n), OCTETS16((n) + 16), OCTETS16((n) + 32), OCTETS16((n) + 48)

static const uint32_t octets[256] = { OCTETS64(0), OCTETS64(64), OCTETS64(128), OCTETS64(192) };

static void
format_v4(struct sl_buf *b, const uint8_t *p)
{
	char text[16], *to = text; // built per request (forwarded-for)

	for (int i = 0; i < 4; i++) {
		memcpy(to, &octets[p[i]], sizeof(octets[0]));
		to += 2 + (p[i] > 9) + (p[i] > 99);
	}
	sl_buf_add(b, sl_str_make(text, (uint32_t)(to - 1 - text)));
}

static void
format_group(struct sl_buf *b, unsigned int n)
{
	int shift = 12;

	while (shift > 0 && (n >> shift) == 0)
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		sl_buf_char(b, "0123456789abcdef"[(n >> shift) & 15]);
}

/* RFC 5952 4.2: the longest run of two or more zero groups, the first of equals. */
static int
longest_zeros(const unsigned int g[8], int *len)
{
	int best = -1, best_len = 1;

	for (int i = 0; i < 8; i++) {
		int j = i;
		while (j < 8 && g[j] == 0)
			j++;
		if (j - i > best_len) {
			best = i;
			best_len = j - i;
		}
		if (j > i)
			i = j;
	}
	*len = best_len;
	return best;
}

static void
format_v6(struct sl_buf *b, const uint8_t *p)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	unsigned int g[8];
	int len, gap;

	if (memcmp(p, mapped, sizeof(mapped)) == 0) { // RFC 5952 5
		sl_buf_addc(b, "::ffff:");
		format_v4(b, p + 12);
		return;
	}
	for (int i = 0; i < 8; i++)
		g[i] = (unsigned int)p[2 * i] << 8 | p[2 * i + 1];
	gap = longest_zeros(g, &len);
	for (int i = 0; i < 8; i++) {
		if (i == gap) {
			sl_buf_addc(b, "::");
			i += len - 1;
			continue;
		}
		if (i > 0 && (gap < 0 || i != gap + len))
			sl_buf_char(b, ':');
		format_group(b, g[i]);
	}
}

void
addr_format(struct sl_buf *b, const struct ip_addr *a)
{
	if (a->family == ADDR_V4)
		format_v4(b, a->b);
	else if (a->family == ADDR_V6)
		format_v6(b, a->b);
	else if (a->family == ADDR_UNIX)
		sl_buf_addc(b, addr_host_sock(a)->text);
	else
		sl_buf_char(b, '-');
}

void
addr_format_port(struct sl_buf *b, const struct ip_port *ap)
{
	if (ap->ip.family == ADDR_UNIX) {
		addr_format(b, &ap->ip);
		return;
	}
	if (ap->ip.family == ADDR_V6)
		sl_buf_char(b, '[');
	addr_format(b, &ap->ip);
	if (ap->ip.family == ADDR_V6)
		sl_buf_char(b, ']');
	sl_buf_char(b, ':');
	sl_buf_u64(b, ap->port);
}
