// SPDX-License-Identifier: BSD-3-Clause
/*
 * Synthetic clients and servers of the benchmark: see gen.h. Runs in the worker's thread between
 * its iterations (its cycles are not counted). The wire loses nothing, so there are no
 * retransmissions here: whatever is unexpected is counted as wrong and shown.
 */
#include "tests/bench/gen.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/base/rand.h"

#define ETH          14
#define IP           20
#define TCPH         20
#define TSOPT        12
#define F_FIN        1
#define F_SYN        2
#define F_RST        4
#define F_PSH        8
#define F_ACK        16
#define CLIENT_NET   0x0a010000u // 10.1.0.0/16
#define PORT_BASE    10000u
#define PORTS_PER_IP 50000u
#define SERVER_IP    0x0a020001u // 10.2.0.1 ..
#define SERVER_PORT  8000
#define DELACK_US    40000
#define REQ_MAX      1400
#define FRAME_MAX    2044

enum ep_state { EP_CLOSED, EP_SYN_SENT, EP_SYN_RCVD, EP_OPEN, EP_FIN_SENT };

/* One endpoint: a client connection, or the server's side of one from sluice. */
struct ep {
	uint32_t snd_nxt, rcv_nxt, ts_recent;
	uint32_t lip, rip;
	uint16_t lport, rport;
	uint8_t state;
	bool ack_due, busy, peer_fin;
	bool seen;     // had a request
	uint32_t used; // bytes of a request or head so far
	uint32_t body_got;
	uint32_t number;   // of the request
	uint32_t head_len; // 0: head not complete
	char *buf;         // REQ_MAX, servers and clients in a request
};

struct delack {
	struct ep *ep;
	uint64_t at;
};

struct gen {
	struct gen_conf c;
	struct wire *w;
	char end;
	struct gen_stats st;
	struct sl_rand rand;
	struct ep *client;
	struct ep *server[GEN_SERVERS]; // by sluice's port
	uint32_t *ready;                // idle client connections, random draw
	uint32_t nready, opening, number;
	uint32_t allowed; // requests that may still start
	uint32_t nseen;
	uint32_t next_port; // close mode
	struct delack *da;  // FIFO
	uint32_t da_head, da_tail, da_mask;
	uint8_t mac[6], peer_mac[6];
	bool have_mac, stop;
	uint64_t now;
	char pattern[8192 + 26];
	uint8_t frame[FRAME_MAX];
};

static void
wrong(struct gen *g, const char *fmt, ...)
{
	va_list ap;

	g->st.wrong++;
	if (g->st.first_wrong[0] != 0)
		return;
	va_start(ap, fmt);
	vsnprintf(g->st.first_wrong, sizeof(g->st.first_wrong), fmt, ap);
	va_end(ap);
}

static uint32_t
get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint16_t
get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void
put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static void
put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint64_t
sum(const uint8_t *p, uint32_t n, uint64_t s)
{
	for (; n >= 4; n -= 4, p += 4) {
		uint32_t v;
		memcpy(&v, p, 4);
		s += v;
	}
	if (n >= 2) {
		uint16_t v;
		memcpy(&v, p, 2);
		s += v;
		p += 2;
		n -= 2;
	}
	if (n > 0)
		s += *p; // little endian: the odd byte is the low one
	return s;
}

static uint16_t
fold(uint64_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

static uint16_t
tcp_sum(const uint8_t *ip, const uint8_t *tcp, uint32_t len)
{
	uint64_t s = sum(ip + 12, 8, 0);

	s += htons(6) + htons((uint16_t)len);
	return fold(sum(tcp, len, s));
}

static void
send_frame(struct gen *g, uint32_t len)
{
	if (wire_send(g->w, g->end, 0, g->frame, len) == 0)
		g->st.tx++;
	else
		wrong(g, "the wire is full");
}

/* Payload (n bytes) already stands at frame + ETH + IP + TCPH + TSOPT when n > 0. */
static void
send_seg(struct gen *g, struct ep *e, uint8_t flags, uint32_t n)
{
	uint8_t *f = g->frame, *ip = f + ETH, *t = ip + IP, *o = t + TCPH;
	uint32_t optlen = TSOPT, seq = e->snd_nxt;

	memcpy(f, g->peer_mac, 6);
	memcpy(f + 6, g->mac, 6);
	put16(f + 12, 0x0800);
	if (flags & F_SYN) { // MSS, SACK permitted, timestamps, window scale 7
		optlen = 20;
		memcpy(o, "\x02\x04\x05\xb4\x04\x02", 6);
		memcpy(o + 6, "\x08\x0a", 2);
		put32(o + 8, (uint32_t)(g->now / 1000) | 1);
		put32(o + 12, e->ts_recent);
		memcpy(o + 16, "\x01\x03\x03\x07", 4);
	} else {
		memcpy(o, "\x01\x01\x08\x0a", 4);
		put32(o + 4, (uint32_t)(g->now / 1000) | 1);
		put32(o + 8, e->ts_recent);
	}
	memset(ip, 0, IP);
	ip[0] = 0x45;
	put16(ip + 2, (uint16_t)(IP + TCPH + optlen + n));
	put16(ip + 6, 0x4000);
	ip[8] = 64;
	ip[9] = 6;
	put32(ip + 12, e->lip);
	put32(ip + 16, e->rip);
	uint16_t s = fold(sum(ip, IP, 0));
	memcpy(ip + 10, &s, 2);
	put16(t, e->lport);
	put16(t + 2, e->rport);
	put32(t + 4, seq);
	put32(t + 8, flags & F_ACK ? e->rcv_nxt : 0);
	t[12] = (uint8_t)((TCPH + optlen) / 4 << 4);
	t[13] = flags;
	put16(t + 14, flags & F_SYN ? 64240 : 501);
	put32(t + 16, 0);
	s = tcp_sum(ip, t, TCPH + optlen + n);
	memcpy(t + 16, &s, 2);
	e->snd_nxt += n + ((flags & (F_SYN | F_FIN)) != 0);
	e->ack_due = false;
	send_frame(g, ETH + IP + TCPH + optlen + n);
}

static void
delay_ack(struct gen *g, struct ep *e)
{
	if (e->ack_due)
		return;
	e->ack_due = true;
	g->da[g->da_tail++ & g->da_mask] = (struct delack){ .ep = e, .at = g->now + DELACK_US };
	if (g->da_tail - g->da_head > g->da_mask) {
		struct ep *old = g->da[g->da_head++ & g->da_mask].ep;
		if (old->ack_due && old->state == EP_OPEN)
			send_seg(g, old, F_ACK, 0);
	}
}

static void
arp(struct gen *g, const uint8_t *f, uint32_t len)
{
	uint8_t *o = g->frame;

	if (len < 42)
		return;
	memcpy(g->peer_mac, f + 22, 6);
	g->have_mac = true;
	if (get16(f + 20) != 1 || get32(f + 38) == g->c.vip)
		return;
	memcpy(o, f + 22, 6);
	memcpy(o + 6, g->mac, 6);
	memcpy(o + 12, f + 12, 8);
	put16(o + 20, 2);
	memcpy(o + 22, g->mac, 6);
	memcpy(o + 28, f + 38, 4);
	memcpy(o + 32, f + 22, 10);
	send_frame(g, 42);
}

static void
ask_arp(struct gen *g)
{
	uint8_t *o = g->frame;

	memset(o, 0xff, 6);
	memcpy(o + 6, g->mac, 6);
	memcpy(o + 12, "\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01", 10);
	memcpy(o + 22, g->mac, 6);
	put32(o + 28, CLIENT_NET + 1);
	memset(o + 32, 0, 6);
	put32(o + 38, g->c.vip);
	send_frame(g, 42);
}

static void
client_open(struct gen *g, uint32_t i)
{
	struct ep *e = &g->client[i];
	uint32_t n = g->c.close ? g->next_port++ % (4 * PORTS_PER_IP) : i;

	e->lip = CLIENT_NET + 1 + n / PORTS_PER_IP;
	e->lport = (uint16_t)(PORT_BASE + n % PORTS_PER_IP);
	e->rip = g->c.vip;
	e->rport = 80;
	e->snd_nxt = (uint32_t)rand_u64(&g->rand);
	e->rcv_nxt = e->ts_recent = 0;
	e->state = EP_SYN_SENT;
	e->peer_fin = false;
	g->opening++;
	g->st.opened++;
	send_seg(g, e, F_SYN, 0);
}

static void
client_request(struct gen *g, struct ep *e)
{
	char *p = (char *)g->frame + ETH + IP + TCPH + TSOPT;
	int n;

	e->number = ++g->number;
	n = snprintf(p, REQ_MAX,
		"GET /bench/%010u/some/longer/path?query=%u&more=parameters HTTP/1.1\r\n"
		"Host: www.example.com\r\n"
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101\r\n"
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
		"Accept-Language: en-US,en;q=0.5\r\n"
		"Accept-Encoding: gzip, deflate, br\r\n"
		"Cookie: session=0123456789abcdef0123456789abcdef; theme=light\r\n"
		"Referer: http://www.example.com/\r\n"
		"Cache-Control: max-age=0\r\n%s\r\n",
		e->number, e->number % 1000, g->c.close ? "Connection: close\r\n" : "");
	e->used = e->body_got = e->head_len = 0;
	e->busy = true;
	g->st.in_flight++;
	send_seg(g, e, F_ACK | F_PSH, (uint32_t)n);
}

static void
client_done(struct gen *g, struct ep *e)
{
	e->busy = false;
	g->st.in_flight--;
	g->st.done++;
	if (!g->c.close)
		g->ready[g->nready++] = (uint32_t)(e - g->client);
}

/* Body byte j of answer n: ten digits, then the alphabet from n on. */
static void
check_body(struct gen *g, struct ep *e, const char *p, uint32_t n)
{
	char digits[16];
	uint32_t off = e->body_got, k = 0;

	snprintf(digits, sizeof(digits), "%010u", e->number);
	for (; k < n && off + k < 10; k++)
		if (p[k] != digits[off + k])
			wrong(g, "body of answer %u differs at %u", e->number, off + k);
	if (n > k && memcmp(p + k, g->pattern + e->number % 26 + off + k, n - k) != 0)
		wrong(g, "body of answer %u differs after %u", e->number, off + k);
	e->body_got += n;
	if (e->body_got > g->c.body)
		wrong(g, "body of answer %u is too long", e->number);
}

static void
client_data(struct gen *g, struct ep *e, const char *p, uint32_t n)
{
	const char *h;

	if (!e->busy) {
		wrong(g, "%u bytes nobody asked for", n);
		return;
	}
	if (e->head_len == 0) { // heads fit one segment, and the writer puts them first
		h = memmem(p, n, "\r\n\r\n", 4);
		if (h == NULL || memcmp(p, "HTTP/1.1 200 OK\r\n", 17) != 0) {
			wrong(g, "answer %u starts with '%.40s'", e->number, p);
			return;
		}
		if (g->c.reply != NULL &&
			memmem(p, (size_t)(h + 4 - p), g->c.reply, strlen(g->c.reply)) == NULL)
			wrong(g, "answer %u: %.*s", e->number, (int)(h - p), p);
		e->head_len = (uint32_t)(h + 4 - p);
		p += e->head_len;
		n -= e->head_len;
	}
	check_body(g, e, p, n);
	if (e->body_got == g->c.body)
		client_done(g, e);
}

static void
server_answer(struct gen *g, struct ep *e)
{
	char *p = (char *)g->frame + ETH + IP + TCPH + TSOPT;
	const char *num = memmem(e->buf, e->used, "/bench/", 7);
	bool close = g->c.close;
	int n;

	if (num == NULL || memcmp(e->buf, "GET ", 4) != 0 ||
		memmem(e->buf, e->used, "\r\nx-bench: ", 11) == NULL ||
		memmem(e->buf, e->used, "\r\nx-forwarded-for: 10.1.", 24) == NULL ||
		memmem(e->buf, e->used, "\r\nCookie: session=0123456789abcdef", 34) == NULL) {
		wrong(g, "request %s", e->buf);
		return;
	}
	e->number = (uint32_t)strtoul(num + 7, NULL, 10);
	n = snprintf(p, 400,
		"HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
		"Content-Type: text/plain\r\nCache-Control: no-store\r\nVary: Accept-Encoding\r\n"
		"X-Frame-Options: DENY\r\nContent-Length: %u\r\n%s\r\n%010u",
		g->c.body, close ? "Connection: close\r\n" : "", e->number);
	memcpy(p + n, g->pattern + e->number % 26 + 10, g->c.body - 10);
	e->used = 0;
	send_seg(g, e, close ? F_ACK | F_PSH | F_FIN : F_ACK | F_PSH, (uint32_t)n + g->c.body - 10);
	if (close)
		e->state = EP_FIN_SENT;
}

static void
server_data(struct gen *g, struct ep *e, const char *p, uint32_t n)
{
	if (e->used + n >= REQ_MAX) {
		wrong(g, "request over %u bytes", REQ_MAX);
		return;
	}
	memcpy(e->buf + e->used, p, n);
	e->used += n;
	e->buf[e->used] = 0;
	if (e->used >= 4 && memcmp(e->buf + e->used - 4, "\r\n\r\n", 4) == 0)
		server_answer(g, e);
}

static struct ep *
find(struct gen *g, uint32_t dip, uint16_t dport, uint16_t sport, bool *server)
{
	uint32_t n;

	*server = dip >= SERVER_IP && dip < SERVER_IP + GEN_SERVERS && dport == SERVER_PORT;
	if (*server)
		return &g->server[dip - SERVER_IP][sport];
	n = (dip - CLIENT_NET - 1) * PORTS_PER_IP + dport - PORT_BASE;
	if (!g->c.close)
		return n < g->c.conns ? &g->client[n] : NULL;
	for (uint32_t i = 0; i < g->c.conns; i++) // few, in close mode
		if (g->client[i].lip == dip && g->client[i].lport == dport)
			return &g->client[i];
	return NULL;
}

static uint32_t
ts_of(const uint8_t *o, uint32_t n)
{
	for (uint32_t i = 0; i < n;) {
		if (o[i] == 0)
			break;
		if (o[i] == 1) {
			i++;
			continue;
		}
		if (o[i] == 8 && i + 10 <= n)
			return get32(o + i + 2);
		i += o[i + 1] < 2 ? n : o[i + 1];
	}
	return 0;
}

static void
tcp_in(struct gen *g, const uint8_t *ip, uint32_t len)
{
	const uint8_t *t = ip + IP;
	uint32_t iplen = get16(ip + 2), off, n, seq;
	uint8_t flags = t[13];
	struct ep *e;
	bool server;

	if (iplen > len || iplen < IP + TCPH || tcp_sum(ip, t, iplen - IP) != 0) {
		wrong(g, "bad length or checksum from sluice");
		return;
	}
	off = (uint32_t)(t[12] >> 4) * 4;
	n = iplen - IP - off;
	seq = get32(t + 4);
	e = find(g, get32(ip + 16), get16(t + 2), get16(t), &server);
	if (e == NULL)
		return; // late segment of a closed connection
	if (flags & F_RST) {
		if (e->state != EP_CLOSED)
			g->st.resets++;
		if (e->busy)
			wrong(g, "reset of a connection with a request");
		e->state = EP_CLOSED;
		return;
	}
	if (n == 0 && !(flags & (F_SYN | F_FIN)))
		g->st.pure_acks_rx++;
	if (server && (flags & F_SYN)) {
		if (e->buf == NULL)
			e->buf = malloc(REQ_MAX);
		e->lip = get32(ip + 16);
		e->lport = SERVER_PORT;
		e->rip = get32(ip + 12);
		e->rport = get16(t);
		e->snd_nxt = (uint32_t)rand_u64(&g->rand);
		e->rcv_nxt = seq + 1;
		e->ts_recent = ts_of(t + TCPH, off - TCPH);
		e->used = 0;
		e->peer_fin = e->ack_due = false;
		e->state = EP_SYN_RCVD;
		send_seg(g, e, F_SYN | F_ACK, 0);
		e->state = EP_OPEN;
		return;
	}
	if (!server && (flags & F_SYN)) {
		if (e->state != EP_SYN_SENT)
			return;
		e->rcv_nxt = seq + 1;
		e->ts_recent = ts_of(t + TCPH, off - TCPH);
		e->state = EP_OPEN;
		g->opening--;
		if (g->c.close) {
			client_request(g, e);
		} else {
			send_seg(g, e, F_ACK, 0);
			g->ready[g->nready++] = (uint32_t)(e - g->client);
		}
		return;
	}
	if (e->state == EP_CLOSED)
		return;
	if (seq != e->rcv_nxt) {
		if (n > 0 || (flags & F_FIN)) {
			if (n > 0 && (int32_t)(seq - e->rcv_nxt) > 0)
				wrong(g, "a hole in the stream");
			send_seg(g, e, F_ACK, 0); // a retransmission
		}
		return;
	}
	e->ts_recent = ts_of(t + TCPH, off - TCPH);
	if (n > 0) {
		e->rcv_nxt += n;
		delay_ack(g, e);
		if (server)
			server_data(g, e, (const char *)t + off, n);
		else
			client_data(g, e, (const char *)t + off, n);
	}
	if (flags & F_FIN) {
		e->rcv_nxt++;
		e->peer_fin = true;
		if (e->busy)
			wrong(g, "closed inside answer %u", e->number);
		if (e->state == EP_OPEN)
			send_seg(g, e, F_ACK | F_FIN, 0);
		else
			send_seg(g, e, F_ACK, 0);
		e->state = EP_CLOSED;
		if (!server && g->c.close)
			g->ready[g->nready++] = (uint32_t)(e - g->client);
		else if (!server)
			wrong(g, "sluice closed a keep-alive connection");
	}
}

static void
start_requests(struct gen *g)
{
	while (!g->stop && g->allowed > 0 && g->nready > 0 &&
		g->st.in_flight + (g->c.close ? g->opening : 0) < g->c.window) {
		uint32_t k = rand_below(&g->rand, g->nready), i;

		// each connection once before any a second time: first requests cost more
		for (uint32_t n = 0; g->nseen < g->c.conns && n < g->nready; n++) {
			if (!g->client[g->ready[k]].seen)
				break;
			k = k + 1 < g->nready ? k + 1 : 0;
		}
		i = g->ready[k];
		g->allowed -= g->allowed != UINT32_MAX;
		g->nseen += !g->client[i].seen;
		g->client[i].seen = true;
		g->ready[k] = g->ready[--g->nready];
		if (g->c.close)
			client_open(g, i);
		else
			client_request(g, &g->client[i]);
	}
}

void
gen_poll(struct gen *g, uint64_t now_us)
{
	uint8_t f[FRAME_MAX];
	int n;

	g->now = now_us;
	if (!g->have_mac && g->st.tx % 64 == 0)
		ask_arp(g);
	for (uint16_t q = 0; q < g->c.queues; q++) {
		while ((n = wire_recv(g->w, g->end, q, f, sizeof(f))) > 0) {
			g->st.rx++;
			if (n >= ETH + IP + TCPH && get16(f + 12) == 0x0800 && f[ETH + 9] == 6)
				tcp_in(g, f + ETH, (uint32_t)n - ETH);
			else if (get16(f + 12) == 0x0806)
				arp(g, f, (uint32_t)n);
		}
	}
	while (g->da_head != g->da_tail && g->da[g->da_head & g->da_mask].at <= now_us) {
		struct ep *e = g->da[g->da_head++ & g->da_mask].ep;
		if (e->ack_due && e->state != EP_CLOSED)
			send_seg(g, e, F_ACK, 0);
	}
	if (!g->have_mac)
		return;
	if (!g->c.close && g->st.opened < g->c.conns) {
		for (uint32_t i = 0; i < 32 && g->st.opened < g->c.conns && g->opening < 256; i++)
			client_open(g, (uint32_t)g->st.opened);
		return;
	}
	if (g->c.close || g->opening == 0)
		start_requests(g);
}

bool
gen_connected(const struct gen *g)
{
	return g->c.close ? g->have_mac : g->st.opened == g->c.conns && g->opening == 0;
}

void
gen_number(struct gen *g, uint32_t n)
{
	g->number = n;
}

void
gen_allow(struct gen *g, uint32_t n)
{
	g->allowed = n;
}

void
gen_stop(struct gen *g)
{
	g->stop = true;
}

const struct gen_stats *
gen_stats(const struct gen *g)
{
	return &g->st;
}

struct gen *
gen_new(struct wire *w, char end, const struct gen_conf *c)
{
	struct gen *g = calloc(1, sizeof(*g));
	uint32_t da = sl_pow2_up(2 * c->conns + 65536);

	if (g == NULL || c->body < 10 || c->body > 1000 + 128)
		return NULL;
	g->c = *c;
	g->allowed = UINT32_MAX;
	g->w = w;
	g->end = end;
	rand_seed(&g->rand, c->seed);
	memcpy(g->mac, "\x02\x00\x00\x00\x00\x77", 6);
	for (uint32_t i = 0; i < sizeof(g->pattern); i++)
		g->pattern[i] = (char)('a' + i % 26);
	g->client = calloc(c->conns, sizeof(*g->client));
	g->ready = calloc(c->conns, sizeof(*g->ready));
	g->da = calloc(da, sizeof(*g->da));
	g->da_mask = da - 1;
	for (uint32_t i = 0; i < GEN_SERVERS; i++)
		g->server[i] = calloc(65536, sizeof(struct ep));
	if (c->close)
		for (uint32_t i = 0; i < c->conns; i++)
			g->ready[g->nready++] = i;
	return g;
}

void
gen_free(struct gen *g)
{
	for (uint32_t s = 0; s < GEN_SERVERS; s++) {
		for (uint32_t i = 0; i < 65536; i++)
			free(g->server[s][i].buf);
		free(g->server[s]);
	}
	free(g->client);
	free(g->ready);
	free(g->da);
	free(g);
}
