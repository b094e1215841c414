// SPDX-License-Identifier: BSD-3-Clause
/*
 * Everything that can end in the middle does: each side leaves at every byte, orderly and by reset;
 * every allocation fails once. Afterwards all buffers, streams, tokens and counters are back.
 */
#include "tests/harness/px_env.h"
#include "tests/harness/scarce.h"

static const char *const requests[] = {
	"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n1234567",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nt: u\r\n\r\n",
	"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nping",
};

static const char *const responses[] = {
	"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\n\r\nuntil close",
	"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
	"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\npong",
};

static struct px_env e;
static const char *answer; // of the server
static uint32_t answer_len;
static int then; // ENV_*

static void
serve(struct px_env *env sl_unused, struct fake *f)
{
	if (f->user_gone || f->dead || f->rx_eof)
		return;
	if (f->served == 0 && f->out_len > 0 && memmem(f->out, f->out_len, "\r\n\r\n", 4) != NULL) {
		f->served = 1;
		fake_give(f, answer, answer_len);
		if (then == ENV_FIN)
			fake_fin(f);
		else if (then == ENV_RST)
			fake_rst(f);
	}
	if (f->shut)
		fake_fin(f);
}

static void
start(const char *text, uint32_t n, int what)
{
	px_env_init(&e);
	e.on_server = serve;
	answer = text;
	answer_len = n;
	then = what;
	e.be.timeout.connect = 100;
	px_env_start(&e);
}

static void
client_leaves(const char *request, const char *response, bool reset)
{
	uint32_t n = (uint32_t)strlen(request);

	for (uint32_t cut = 0; cut <= n; cut++) {
		struct fake *c;

		start(response, (uint32_t)strlen(response), ENV_HANG);
		c = px_env_client(&e);
		fake_give(c, request, cut);
		px_env_run(&e);
		if (reset)
			fake_rst(c);
		else
			fake_fin(c);
		px_env_run(&e);
		px_env_end(&e);
	}
}

static void
test_client(void **state sl_unused)
{
	for (size_t i = 0; i < SL_ARRAY_SIZE(requests); i++) {
		for (size_t j = 0; j < SL_ARRAY_SIZE(responses); j++) {
			client_leaves(requests[i], responses[j], false);
			client_leaves(requests[i], responses[j], true);
		}
	}
}

static void
server_leaves(const char *request, const char *response, int what)
{
	uint32_t n = (uint32_t)strlen(response);

	for (uint32_t cut = 0; cut <= n; cut++) {
		struct fake *c;

		start(response, cut, what);
		c = px_env_client(&e);
		fake_give(c, request, (uint32_t)strlen(request));
		px_env_run(&e);
		assert_true(c->out_len > 0); // an answer of its own, or the server's
		px_env_end(&e);
	}
}

static void
test_server(void **state sl_unused)
{
	for (size_t j = 0; j < SL_ARRAY_SIZE(responses); j++) {
		for (size_t i = 0; i < SL_ARRAY_SIZE(requests); i++) {
			server_leaves(requests[i], responses[j], ENV_FIN);
			server_leaves(requests[i], responses[j], ENV_RST);
		}
	}
}

/* Client writes at its own pace while the server answers byte by byte, and leaves anywhere. */
static void
test_answer_cut_by_client(void **state sl_unused)
{
	for (size_t j = 0; j < SL_ARRAY_SIZE(responses); j++) {
		const char *r = responses[j];

		for (uint32_t cut = 1; cut <= strlen(r); cut++) {
			struct fake *c, *b;

			start(r, 0, ENV_HANG);
			c = px_env_client(&e);
			fake_give(c, requests[0], (uint32_t)strlen(requests[0]));
			px_env_run(&e);
			b = px_env_backend(&e, 0);
			for (uint32_t k = 0; k < cut; k++) {
				fake_give(b, r + k, 1);
				px_env_run(&e);
			}
			fake_rst(c);
			px_env_run(&e);
			px_env_end(&e);
		}
	}
}

static void
test_scarce(void **state sl_unused)
{
	for (int what = 0; what < SCARCE_NR_PX; what++) {
		for (size_t i = 0; i < SL_ARRAY_SIZE(requests); i++) {
			for (uint32_t n = 1; n < 12; n++) {
				const char *r = responses[i];
				struct fake *c;

				start(r, (uint32_t)strlen(r), ENV_HANG);
				c = NULL;
				scarce_refuse(e.lc, (enum scarce)what, n);
				c = px_env_client(&e);
				if (c != NULL) {
					fake_give(c, requests[i], (uint32_t)strlen(requests[i]));
					px_env_run(&e);
				}
				scarce_refuse(e.lc, (enum scarce)what, 0);
				px_env_end(&e);
			}
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_client),
		cmocka_unit_test(test_server),
		cmocka_unit_test(test_answer_cut_by_client),
		cmocka_unit_test(test_scarce),
	};

	return cmocka_run_group_tests(tests, px_env_group_setup, NULL);
}
