// SPDX-License-Identifier: BSD-3-Clause
/*
 * Blocks of a pcapng file (draft-ietf-opsawg-pcapng). DPDK 22.11's rte_pcapng writes them from buffers
 * of its own, to a file, and knows no comments of packets; here they go to a client, with comments.
 *
 * Runs on: main. A block is its type, its length, a body in words of four bytes, options, and its
 * length again, so that a file can be read backwards.
 */
#include "control/cli/cli_priv.h"

enum { SECTION = 0x0a0d0d0a, INTERFACE = 1, STATISTICS = 5, PACKET = 6 };
enum { OPT_END, OPT_COMMENT, OPT_2, OPT_3, OPT_4, OPT_5, OPT_6, OPT_7, OPT_8 };
#define MAGIC        0x1a2b3c4du
#define ETHERNET     1u
#define FLAG_IN      1u
#define FLAG_OUT     2u

static void
put(struct cli_out *o, const void *p, size_t n)
{
	static const char zero[4];

	cli_add(o, p, n);
	cli_add(o, zero, -n & 3);
}

static void
put_u32(struct cli_out *o, uint32_t n)
{
	cli_add(o, (const char *)&n, sizeof(n));
}

/* Where the block begins. */
static uint32_t
begin(struct cli_out *o, uint32_t type)
{
	uint32_t at = o->len;

	put_u32(o, type);
	put_u32(o, 0);
	return at;
}

static void
end(struct cli_out *o, uint32_t at)
{
	uint32_t n = o->len + 4 - at;

	put_u32(o, n);
	if (!o->cut)
		memcpy(o->p + at + 4, &n, sizeof(n));
}

static void
option(struct cli_out *o, uint16_t code, const void *p, size_t n)
{
	uint16_t head[2] = { code, (uint16_t)n };

	put(o, head, sizeof(head));
	put(o, p, n);
}

static void
option_u64(struct cli_out *o, uint16_t code, uint64_t n)
{
	option(o, code, &n, sizeof(n));
}

/* A date is in two halves, the higher one first whatever the byte order. */
static void
date(uint32_t to[2], uint64_t us)
{
	to[0] = (uint32_t)(us >> 32);
	to[1] = (uint32_t)us;
}

void
pcapng_section(struct cli_out *o, const char *os, const char *app)
{
	uint32_t at = begin(o, SECTION), body[4] = { MAGIC, 1, UINT32_MAX, UINT32_MAX }; // 1.0, no length

	put(o, body, sizeof(body));
	option(o, OPT_3, os, strlen(os));
	option(o, OPT_4, app, strlen(app));
	option(o, OPT_END, NULL, 0);
	end(o, at);
}

void
pcapng_interface(struct cli_out *o, const struct pcapng_if *i)
{
	uint32_t at = begin(o, INTERFACE), body[2] = { ETHERNET, i->snaplen };

	put(o, body, sizeof(body));
	option(o, OPT_2, i->name, strlen(i->name));
	option(o, OPT_3, i->description, strlen(i->description));
	option(o, OPT_END, NULL, 0);
	end(o, at);
}

void
pcapng_packet(struct cli_out *o, const struct pcapng_packet *p)
{
	uint32_t at = begin(o, PACKET), flags = p->out ? FLAG_OUT : FLAG_IN;
	uint32_t body[5] = { p->interface, 0, 0, p->len, p->wire };

	date(body + 1, p->wall_us);
	put(o, body, sizeof(body));
	put(o, p->data, p->len);
	option(o, OPT_COMMENT, p->comment, strlen(p->comment));
	option(o, OPT_2, &flags, sizeof(flags));
	option(o, OPT_END, NULL, 0);
	end(o, at);
}

void
pcapng_statistics(struct cli_out *o, const struct pcapng_stats *s)
{
	uint32_t at = begin(o, STATISTICS), body[3] = { s->interface }, when[2];

	date(body + 1, s->end_us);
	put(o, body, sizeof(body));
	date(when, s->begin_us);
	option(o, OPT_2, when, sizeof(when));
	date(when, s->end_us);
	option(o, OPT_3, when, sizeof(when));
	option_u64(o, OPT_4, s->seen);
	option_u64(o, OPT_6, s->matched);
	option_u64(o, OPT_7, s->lost);
	option_u64(o, OPT_8, s->delivered);
	option(o, OPT_END, NULL, 0);
	end(o, at);
}
