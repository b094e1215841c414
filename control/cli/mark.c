// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a captured frame belongs to: the leg of a proxied connection, the client that is at its end,
 * the stream.
 *
 * Runs on: main. A frame to or from an address of a bind is a client's, so that its handshake has its
 * mark too. What is a server's leg, and for whom, the workers tell (CAPTURE_LINK), in order with the
 * frames; it stays until the connection is told of again, also while that is idle or closes. The table
 * has a bound: with more connections the one that was used longest ago loses its mark.
 */
#include "control/cli/cli_priv.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <rte_ether.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/base/hash.h"
#include "dataplane/lcore/capture.h"

#define BUCKETS 4096u
#define WAYS    4u

/* Both ends, without what a struct has between its members. */
struct key {
	uint64_t word[6];
};
struct mark {
	struct key key;
	uint64_t used; // 0: a free place
	bool server;
	struct ip_port client;
	uint64_t stream; // 0: none was told of
};
struct marks {
	uint64_t clock;
	struct mark mark[BUCKETS][WAYS];
};

struct marks *
marks_new(void)
{
	return calloc(1, sizeof(struct marks));
}

void
marks_free(struct marks *t)
{
	free(t);
}

static struct key
key_of(uint16_t worker, const struct capture_end *e)
{
	struct key k = { 0 };

	if (e->host != 0) { // its addresses may not be known yet
		k.word[0] = e->host;
		k.word[5] = (uint64_t)worker << 8;
		return k;
	}
	memcpy(k.word, e->local.ip.b, 16);
	memcpy(k.word + 2, e->remote.ip.b, 16);
	k.word[4] = (uint64_t)e->local.port << 16 | e->remote.port;
	k.word[5] = e->local.ip.family;
	return k;
}

/* Its place; a new one takes that of the one that was used longest ago. */
static struct mark *
place_of(struct marks *t, const struct key *k, bool create)
{
	uint64_t h = 0;
	struct mark *row, *old;

	for (uint32_t i = 0; i < SL_ARRAY_SIZE(k->word); i++)
		h = hash_mix(h ^ k->word[i]);
	row = old = t->mark[h % BUCKETS];
	for (uint32_t i = 0; i < WAYS; i++) {
		if (row[i].used != 0 && memcmp(&row[i].key, k, sizeof(*k)) == 0) {
			row[i].used = ++t->clock;
			return &row[i];
		}
		if (row[i].used < old->used)
			old = &row[i];
	}
	if (!create)
		return NULL;
	*old = (struct mark){ .key = *k, .used = ++t->clock };
	return old;
}

void
marks_link(struct marks *t, uint16_t worker, const struct capture_link *l)
{
	const struct capture_end *ends[2] = { &l->client, &l->server };

	for (int i = 0; i < 2; i++) {
		struct key k = key_of(worker, ends[i]);
		struct mark *m = place_of(t, &k, true);

		m->server = i == 1;
		m->client = l->client.remote;
		m->stream = cli_stream_id(worker, l->stream);
	}
}

/* ---- from a frame to its connection ---- */

static uint16_t
be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void
set_ip(struct ip_addr *a, const uint8_t *p, uint8_t family)
{
	memcpy(a->b, p, family == ADDR_V4 ? 4 : 16);
	a->family = family;
}

/* Of a TCP segment whose head was kept; its extension headers would have been dropped. */
static bool
end_of(const struct capture_rec *rec, struct capture_end *e)
{
	const uint8_t *d = capture_data(rec);
	struct ip_port src = { 0 }, dst = { 0 };
	uint32_t at = 14;
	uint16_t type;

	memset(e, 0, sizeof(*e));
	if (rec->len < 18)
		return false;
	type = be16(d + 12);
	if (type == RTE_ETHER_TYPE_VLAN) {
		type = be16(d + 16);
		at = 18;
	}
	if (type == RTE_ETHER_TYPE_IPV4 && rec->len >= at + 24 && d[at + 9] == IPPROTO_TCP) {
		set_ip(&src.ip, d + at + 12, ADDR_V4);
		set_ip(&dst.ip, d + at + 16, ADDR_V4);
		at += (d[at] & 15u) * 4;
	} else if (type == RTE_ETHER_TYPE_IPV6 && rec->len >= at + 44 && d[at + 6] == IPPROTO_TCP) {
		set_ip(&src.ip, d + at + 8, ADDR_V6);
		set_ip(&dst.ip, d + at + 24, ADDR_V6);
		at += 40;
	} else {
		return false;
	}
	if (rec->len < at + 4)
		return false;
	src.port = be16(d + at);
	dst.port = be16(d + at + 2);
	e->local = rec->out ? src : dst;
	e->remote = rec->out ? dst : src;
	e->host = rec->host;
	return true;
}

static bool
is_bind(const struct model *m, const struct capture_rec *rec, const struct ip_port *local)
{
	if (rec->kind == CAPTURE_HOST)
		return rec->passive;
	for (uint32_t i = 0; i < m->nbinds; i++) {
		const struct ip_port *a = &m->binds[i]->addr;

		if (!a->host && a->port == local->port && a->ip.family == local->ip.family &&
			(addr_is_any(&a->ip) || addr_eq(&a->ip, &local->ip)))
			return true;
	}
	return false;
}

void
marks_text(struct marks *t, const struct model *model, uint16_t worker,
	const struct capture_rec *rec, char *to, size_t size)
{
	struct capture_end e;
	const struct mark *m = NULL;
	struct ip_port client;
	bool server = false;
	char text[64];
	struct sl_buf b;
	int n = snprintf(to, size, "worker=%u", worker);

	if (!end_of(rec, &e))
		return;
	if (rec->kind != CAPTURE_HOST || !rec->passive) {
		struct key k = key_of(worker, &e);

		m = place_of(t, &k, false);
	}
	if (m == NULL && !is_bind(model, rec, &e.local))
		return; // a health check's, or a script's
	if (m == NULL || !m->server) {
		client = e.remote;
	} else {
		client = m->client;
		server = true;
	}
	sl_buf_init(&b, text, sizeof(text));
	addr_format_port(&b, &client);
	n += snprintf(to + n, size - (size_t)n, " leg=%s client=%s", server ? "server" : "client", text);
	if (m != NULL)
		snprintf(to + n, size - (size_t)n, " stream=0x%" PRIx64, m->stream);
}
