// SPDX-License-Identifier: BSD-3-Clause
/*
 * "capture": the frames of all ports, and what crosses sockets of the host, as a pcapng file that the
 * client reads as its answer ("sluicectl capture" writes it).
 *
 * Runs on: main. Workers copy into rings (dataplane/lcore/capture.h); a timer takes what is there, in
 * the order of its dates, and hands it to the client as far as that reads. One that does not read lets
 * the rings run full, which is counted, and is closed as any other. It ends by the count, by anything
 * that the client says or by its end of file: then what was copied is still delivered, and behind it
 * the statistics. One capture at a time.
 */
#include "dataplane/lcore/capture.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/utsname.h>

#include <pcap/bpf.h>
#include <rte_ethdev.h>

#include "control/cli/cli_priv.h"
#include "dataplane/lcore/lcore.h"

#define EVERY_S   0.005
#define PIECE     131072u // bytes that are made at once
#define PIECES    8u      // in a row, then others have their turn
#define INSNS_MAX 900u    // of a filter: what a line takes
#define INSN_TEXT 16u     // hexadecimal digits of one

struct capturing {
	struct cli *cli;
	struct cli_client *c; // NULL: gone
	struct capture *cap;
	struct marks *marks;
	ev_timer timer;
	uint64_t max, n; // packets: as many as are wanted (0: no end), delivered
	uint64_t delivered[CAPTURE_IFS];
	uint64_t begin_us;
	bool stopping; // no worker copies any more, once `since` has passed
	bool passed;
	uint64_t since[LCORE_MAX];
};

static uint64_t
now_us(void)
{
	struct timeval tv;

	gettimeofday(&tv, NULL);
	return (uint64_t)tv.tv_sec * 1000000 + (uint64_t)tv.tv_usec;
}

static void
publish(const struct cli *cli, struct capture *cap)
{
	for (uint16_t w = 0; w < cli->s.nlc; w++) {
		atomic_store(&cli->s.lc[w]->capture, cap);
		waker_wake(&cli->s.lc[w]->waker);
	}
}

/* No worker has it any more. */
static void
release(struct capturing *k)
{
	struct cli *cli = k->cli;

	ev_timer_stop(cli->s.ev, &k->timer);
	cli->capture = NULL;
	capture_free(k->cap);
	marks_free(k->marks);
	free(k);
}

static void
stop(struct capturing *k)
{
	if (k->stopping)
		return;
	k->stopping = true;
	publish(k->cli, NULL);
	epoch_snapshot((struct lcore **)(uintptr_t)k->cli->s.lc, k->cli->s.nlc, k->since);
}

/* ---- what is written ---- */

static uint32_t
nports(const struct capturing *k)
{
	return k->cli->s.ports != NULL ? k->cli->s.ports->n : 0;
}

/* The ports have their index, the host comes behind them. */
static uint32_t
interface_of(const struct capturing *k, uint8_t port)
{
	return port < nports(k) ? port : nports(k);
}

static void
write_head(struct capturing *k)
{
	struct cli_out *o = &k->c->out;
	struct pcapng_if i = { .snaplen = k->cap->snaplen };
	struct utsname u;
	char text[256];

	uname(&u);
	snprintf(text, sizeof(text), "%s %s", u.sysname, u.release);
	pcapng_section(o, text, "sluice " SL_VERSION);
	for (uint32_t p = 0; p < nports(k); p++) {
		const struct port *port = &k->cli->s.ports->port[p];

		snprintf(text, sizeof(text), "%s, %s", port->device, port->driver);
		i.name = port->name;
		i.description = text;
		pcapng_interface(o, &i);
	}
	i.name = "host";
	i.description = "sockets of the host: what they carry, in segments that are made up";
	pcapng_interface(o, &i);
}

static void
write_statistics(struct capturing *k)
{
	for (uint32_t p = 0; p < CAPTURE_IFS; p++) {
		struct pcapng_stats s = { .interface = interface_of(k, (uint8_t)p),
			.begin_us = k->begin_us,
			.end_us = now_us(),
			.delivered = k->delivered[p] };

		if (p >= nports(k) && p != CAPTURE_IFS - 1)
			continue;
		for (uint16_t w = 0; w < k->cap->nrings; w++) {
			const struct capture_count *n = &k->cap->ring[w]->count[p];

			s.seen += counter_get(&n->seen);
			s.matched += counter_get(&n->matched);
			s.lost += counter_get(&n->lost);
		}
		pcapng_statistics(&k->c->out, &s);
	}
}

static void
write_packet(struct capturing *k, uint16_t w, const struct capture_rec *rec)
{
	char comment[192];
	struct pcapng_packet p = { .interface = interface_of(k, rec->port),
		.wall_us = rec->wall_us,
		.len = rec->len,
		.wire = rec->wire,
		.data = capture_data(rec),
		.out = rec->out,
		.comment = comment };

	marks_text(k->marks, k->cli->s.model, w, rec, comment, sizeof(comment));
	pcapng_packet(&k->c->out, &p);
	k->delivered[rec->port]++;
	k->n++;
}

/* The oldest record of all rings; of two of one date first what the other is marked by. */
static const struct capture_rec *
oldest(struct capturing *k, uint16_t *w)
{
	const struct capture_rec *found = NULL;

	for (uint16_t i = 0; i < k->cap->nrings; i++) {
		const struct capture_rec *rec = capture_peek(k->cap->ring[i]);

		if (rec == NULL ||
			(found != NULL && rec->wall_us >= found->wall_us &&
				(rec->wall_us > found->wall_us || rec->kind != CAPTURE_LINK)))
			continue;
		found = rec;
		*w = i;
	}
	return found;
}

/* A piece of what is there; false: nothing. */
static bool
take(struct capturing *k)
{
	uint32_t begin = k->c->out.len;
	const struct capture_rec *rec;
	uint16_t w = 0;

	while (k->c->out.len < PIECE && (k->max == 0 || k->n < k->max) &&
		(rec = oldest(k, &w)) != NULL) {
		struct capture_link l;

		if (rec->kind == CAPTURE_LINK) {
			memcpy(&l, capture_data(rec), sizeof(l));
			marks_link(k->marks, w, &l);
		} else {
			write_packet(k, w, rec);
		}
		capture_pop(k->cap->ring[w], rec);
	}
	if (k->max != 0 && k->n >= k->max)
		stop(k);
	return k->c->out.len > begin;
}

/* Everything is out: the statistics, and the end of the connection. */
static void
finish(struct capturing *k)
{
	struct cli_client *c = k->c;

	write_statistics(k);
	c->capture = NULL;
	c->closing = true;
	release(k);
	(void)cli_client_drained(c);
}

/* The client, and with it k, may be gone afterwards. */
static void
serve(struct capturing *k)
{
	struct cli_client *c = k->c;

	if (k->stopping && !k->passed)
		k->passed = epoch_passed(
			(struct lcore **)(uintptr_t)k->cli->s.lc, k->cli->s.nlc, k->since);
	if (c == NULL) {
		if (k->passed)
			release(k);
		return;
	}
	if (c->out.len > 0)
		return; // it has not read what it has
	for (uint32_t i = 0; i < PIECES; i++) {
		bool all = k->passed; // before the look into the rings

		if (!take(k)) {
			if (all)
				finish(k);
			return;
		}
		if (c->out.cut) { // no memory: half a block is none
			cli_client_free(c);
			return;
		}
		if (!cli_client_drained(c))
			return;
	}
}

static void
on_timer(struct ev_loop *ev sl_unused, struct ev_timer *t, int events sl_unused)
{
	serve(t->data);
}

void
cli_capture_drained(struct capturing *k)
{
	serve(k);
}

void
cli_capture_stop(struct capturing *k)
{
	stop(k);
}

void
cli_capture_leave(struct capturing *k)
{
	k->c = NULL;
	stop(k);
}

void
cli_capture_free(struct cli *c)
{
	struct capturing *k = c->capture;

	if (k == NULL)
		return;
	publish(c, NULL);
	release(k);
}

/* ---- the command ---- */

static int
hex(struct sl_str s, uint32_t *out)
{
	*out = 0;
	for (uint32_t i = 0; i < s.len; i++) {
		char c = sl_lower(s.p[i]);

		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
			return -EINVAL;
		*out = *out << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	return 0;
}

/* Instructions one behind the other: code, jt, jf, k of 4, 2, 2 and 8 digits. Their number or -EINVAL. */
static int
filter_of(struct sl_str s, struct bpf_insn *to)
{
	static const uint32_t digits[] = { 4, 2, 2, 8 };
	uint32_t n = s.len / INSN_TEXT;

	if (s.len == 0 || s.len % INSN_TEXT != 0 || n > INSNS_MAX)
		return -EINVAL;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t v[4], at = i * INSN_TEXT;

		for (uint32_t f = 0; f < 4; at += digits[f++])
			if (hex(sl_str_make(s.p + at, digits[f]), &v[f]) < 0)
				return -EINVAL;
		to[i] = (struct bpf_insn){
			.code = (u_short)v[0], .jt = (u_char)v[1], .jf = (u_char)v[2], .k = v[3]
		};
	}
	return (int)n;
}

struct wanted {
	uint64_t count, snaplen;
	struct bpf_insn insn[INSNS_MAX];
	uint32_t ninsns;
};

/* False: the answer says why. */
static bool
read_words(struct cli_ctx *x, struct wanted *q)
{
	q->snaplen = CAPTURE_SNAPLEN;
	for (uint32_t i = 0; i < x->n; i += 2) {
		struct sl_str word = x->arg[i], value = i + 1 < x->n ? x->arg[i + 1] : SL_STR_NULL;
		int n;

		if (sl_str_eq(word, SL_STR("count"))) {
			if (sl_str_u64(value, &q->count) == 0 && q->count > 0)
				continue;
			cli_err(x, "Invalid count: a number of packets from 1 on.");
		} else if (sl_str_eq(word, SL_STR("snaplen"))) {
			if (sl_str_u64(value, &q->snaplen) == 0 && q->snaplen > 0 &&
				q->snaplen <= CAPTURE_SNAPLEN)
				continue;
			cli_errf(x, "Invalid snaplen: 1 to %u bytes.", CAPTURE_SNAPLEN);
		} else if (sl_str_eq(word, SL_STR("filter"))) {
			n = filter_of(value, q->insn);
			q->ninsns = n > 0 ? (uint32_t)n : 0;
			if (n > 0)
				continue;
			cli_errf(x,
				"Invalid filter: 1 to %u instructions of classic BPF, "
				"16 hexadecimal digits each ('sluicectl capture' makes them).",
				INSNS_MAX);
		} else {
			cli_errf(x,
				"Invalid word '%.*s': 'count', 'snaplen' and 'filter' are there.",
				SL_STR_ARG(word));
		}
		return false;
	}
	return true;
}

static void
do_capture(struct cli_ctx *x)
{
	struct wanted *q;
	struct capture_spec s = { .nworkers = x->cli->s.nlc };
	struct capturing *k;
	int rc;

	q = calloc(1, sizeof(*q));
	k = calloc(1, sizeof(*k));
	if (k != NULL)
		k->marks = marks_new();
	if (q == NULL || k == NULL || k->marks == NULL) {
		cli_err(x, "Out of memory.");
		goto free_all;
	}
	if (!read_words(x, q))
		goto free_all;
	if (x->cli->capture != NULL) {
		cli_err(x, "Can't capture: a capture is running already, and there is one at a time.");
		goto free_all;
	}
	s.snaplen = (uint32_t)q->snaplen;
	s.insns = q->insn;
	s.ninsns = q->ninsns;
	rc = capture_new(&s, &k->cap);
	if (rc < 0) {
		cli_err(x, rc == -ENOMEM ? "Out of memory." : "Invalid filter: it does not pass the check.");
		goto free_all;
	}
	k->cli = x->cli;
	k->c = x->client;
	k->max = q->count;
	k->begin_us = now_us();
	free(q);
	x->cli->capture = x->client->capture = k;
	cli_msg(x, "Capturing.");
	write_head(k);
	publish(x->cli, k->cap);
	ev_timer_init(&k->timer, on_timer, EVERY_S, EVERY_S);
	k->timer.data = k;
	ev_timer_start(x->cli->s.ev, &k->timer);
	return;
free_all:
	if (k != NULL)
		marks_free(k->marks);
	free(k);
	free(q);
}

// clang-format off
SL_CLI_COMMANDS(
	{ "capture", CLI_ADMIN, 0, 6, do_capture, "[count <n>] [snaplen <bytes>] [filter <bpf>]",
		"a line, then packets as pcapng, for 'sluicectl capture'" },
);
// clang-format on
