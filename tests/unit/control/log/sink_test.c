// SPDX-License-Identifier: BSD-3-Clause
/*
 * A reader that does not read: lines are dropped whole and counted, nothing blocks, the shared
 * descriptor stays blocking, also where it cannot be opened again; and messages of other threads come
 * out in order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "control/log/log_priv.h"

struct fix {
	struct ev_loop *ev;
	struct log *l;
	int pipe[2];
};

static const struct log_target raw = { .form = LOG_RAW, .level = SL_DEBUG, .len = 1024 };

static int
setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	struct log_spec s = { .conf = { .target = &raw, .ntargets = 1 }, .err = -1, .quiet = true };

	signal(SIGPIPE, SIG_IGN);
	f->ev = ev_loop_new(0);
	assert_int_equal(pipe2(f->pipe, O_CLOEXEC), 0);
	s.ev = f->ev;
	s.out = f->pipe[1];
	f->l = log_new(&s);
	assert_non_null(f->l);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *f = *state;

	log_free(f->l);
	ev_loop_destroy(f->ev);
	close(f->pipe[0]);
	if (f->pipe[1] >= 0)
		close(f->pipe[1]);
	free(f);
	return 0;
}

static uint64_t
read_all(int fd)
{
	char buf[4096];
	uint64_t sum = 0;
	ssize_t n;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		sum += (uint64_t)n;
	return sum;
}

static void
test_full_pipe(void **state)
{
	struct fix *f = *state;
	char text[200];
	struct log_stats st;
	uint64_t got = 0;

	memset(text, 'x', sizeof(text));
	for (int i = 0; i < 2000; i++) { // 400 kB against 64 + 64
		log_post(f->l, LOG_CORE, SL_INFO, sl_str_make(text, sizeof(text)));
		log_drain(f->l);
	}
	log_get_stats(f->l, &st);
	assert_int_equal(st.lines + st.lost_sink, 2000);
	assert_true(st.lost_sink > 0);
	assert_int_equal(fcntl(f->pipe[1], F_GETFL) & O_NONBLOCK, 0);
	for (int i = 0; i < 4; i++) {
		got += read_all(f->pipe[0]);
		log_drain(f->l);
	}
	assert_int_equal(got, st.lines * (sizeof(text) + 1)); // whole lines only
}

/* A pipe or a terminal of another user, after su or setpriv: here for want of a descriptor. */
static void
test_not_opened_again(void **state)
{
	static struct sink s; // large
	struct fix *f = *state;
	struct rlimit old, none;
	char text[200];
	uint64_t got = 0, lines;
	int next = dup(f->pipe[0]);

	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = (struct rlimit){ .rlim_cur = (rlim_t)next, .rlim_max = old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(sink_open(&s, f->ev, f->pipe[1]), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	memset(text, 'x', sizeof(text));
	for (int i = 0; i < 2000; i++) {
		sink_line(&s, text, sizeof(text));
		sink_flush(&s);
	}
	lines = atomic_load(&s.lines);
	assert_int_equal(lines + atomic_load(&s.lost), 2000);
	assert_in_range(lines, 600, 1999);
	assert_int_equal(fcntl(f->pipe[1], F_GETFL) & O_NONBLOCK, 0);
	for (int i = 0; i < 4; i++) {
		got += read_all(f->pipe[0]);
		sink_flush(&s);
	}
	assert_int_equal(got, lines * sizeof(text));
	close(f->pipe[0]);
	sink_line(&s, text, sizeof(text));
	sink_flush(&s);
	assert_true(s.dead);
	sink_close(&s);
	assert_int_equal(fcntl(f->pipe[1], F_GETFD), FD_CLOEXEC); // not ours to close
	f->pipe[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void
test_bounded_posts(void **state)
{
	struct fix *f = *state;
	struct log_stats st;

	for (int i = 0; i < 300; i++)
		log_post(f->l, LOG_SCRIPT, SL_INFO, SL_STR("m"));
	log_get_stats(f->l, &st);
	assert_int_equal(st.lost_post, 300 - 256);
	log_drain(f->l);
	assert_int_equal(read_all(f->pipe[0]), 256 * 2);
}

static void *
poster(void *arg)
{
	struct log *l = arg;

	for (int i = 0; i < 50; i++)
		log_post(l, LOG_SCRIPT, SL_INFO, SL_STR("a\nb"));
	return NULL;
}

/* From other threads, through the event loop; a newline inside does not make two lines. */
static void
test_threads(void **state)
{
	struct fix *f = *state;
	pthread_t t[2];
	char buf[1024];
	uint32_t lines = 0;
	ssize_t n;

	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&t[i], NULL, poster, f->l), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	ev_run(f->ev, EVRUN_NOWAIT);
	fcntl(f->pipe[0], F_SETFL, O_NONBLOCK);
	while ((n = read(f->pipe[0], buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			lines += buf[i] == '\n';
	}
	assert_int_equal(lines, 100);
}

static void
test_reader_gone(void **state)
{
	struct fix *f = *state;
	struct log_stats st;

	close(f->pipe[0]);
	f->pipe[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	for (int i = 0; i < 3; i++) {
		log_post(f->l, LOG_CORE, SL_INFO, SL_STR("m"));
		log_drain(f->l);
	}
	log_get_stats(f->l, &st);
	assert_int_equal(st.lines, 0); // the first one had waited
	assert_int_equal(st.lost_sink, 3);
	log_flush(f->l, 1000); // returns at once
}

/* A syslog that reads nothing: what it does not take at once is lost, and counted, to the line. */
static void
test_datagrams(void **state)
{
	static struct host_sock hs = { .fd = -1, .name = "\0sluice-sink-test", .len = 17 };
	struct log_target t[2] = { raw, raw };
	struct log_spec s = {
		.conf = { .target = t, .ntargets = 2 }, .err = -1, .out = -1, .quiet = true
	};
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0), got = 0;
	struct fix *f = *state;
	struct log_stats st;
	struct log *l;
	char line[64];

	memcpy(un.sun_path, hs.name, hs.len);
	assert_int_equal(bind(fd, (struct sockaddr *)&un,
				 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + hs.len)),
		0);
	t[0].kind = t[1].kind = LOG_TO_DGRAM;
	t[0].addr = (struct ip_port){ .ip.family = ADDR_UNIX, .host = true };
	t[0].addr.ip.q[0] = (uintptr_t)&hs;
	t[1].addr = (struct ip_port){ .host = true }; // no address: cannot be opened
	s.ev = f->ev;
	l = log_new(&s);
	assert_non_null(l);
	for (int i = 0; i < 2000; i++) {
		log_post(l, LOG_CORE, SL_NOTICE, SL_STR("hello"));
		log_drain(l);
	}
	log_get_stats(l, &st);
	while (recv(fd, line, sizeof(line), 0) == 6) {
		assert_memory_equal(line, "hello\n", 6);
		got++;
	}
	assert_true(got > 0 && got < 2000);
	assert_int_equal(st.lines, got);
	assert_int_equal(st.lines + st.lost_sink, 4000);
	log_free(l);
	close(fd);
}

/* Who does not read is not asked for each line, and is found again soon after. */
static void
test_rest(void **state)
{
	static struct host_sock hs = { .fd = -1, .name = "\0sluice-sink-rest", .len = 17 };
	struct ip_port to = { .ip.family = ADDR_UNIX, .host = true };
	const struct timespec rest = { .tv_nsec = 40000000 };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	struct sink *s = calloc(2, sizeof(*s));
	struct fix *f = *state;
	char line[1024] = "";
	uint64_t lost;

	memcpy(un.sun_path, hs.name, hs.len);
	assert_int_equal(bind(fd, (struct sockaddr *)&un,
				 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + hs.len)),
		0);
	to.ip.q[0] = (uintptr_t)&hs;
	assert_int_equal(sink_open_dgram(&s[0], &to), 0);
	assert_false(sink_is_stuck(&s[0]));
	for (int i = 0; i < 10000 && !sink_is_stuck(&s[0]); i++)
		sink_line(&s[0], line, 10);
	assert_true(sink_is_stuck(&s[0]));
	lost = s[0].lost;
	assert_true(lost >= 100);
	while (recv(fd, line, sizeof(line), 0) >= 0)
		;
	sink_line(&s[0], line, 10); // not even tried
	assert_int_equal(s[0].lost, lost + 1);
	nanosleep(&rest, NULL);
	assert_false(sink_is_stuck(&s[0]));
	sink_line(&s[0], line, 10);
	assert_int_equal(s[0].lost, lost + 1);
	assert_int_equal(recv(fd, line, sizeof(line), 0), 10);
	assert_false(sink_is_stuck(&s[0]));
	sink_close(&s[0]);
	close(fd);
	// bytes: until some have left
	assert_int_equal(sink_open(&s[1], f->ev, f->pipe[1]), 0);
	for (int i = 0; i < 10000 && !sink_is_stuck(&s[1]); i++) {
		sink_line(&s[1], line, sizeof(line));
		sink_flush(&s[1]);
	}
	assert_int_equal(s[1].lost, 1);
	assert_true(sink_is_stuck(&s[1]));
	assert_true(read_all(f->pipe[0]) > 0);
	sink_flush(&s[1]);
	assert_false(sink_is_stuck(&s[1]));
	sink_close(&s[1]);
	free(s);
}

/* "log stdout" and stderr in one terminal or journal: a message is there once. In two places it is in both. */
static void
test_said_once(void **state)
{
	static const struct {
		enum log_origin origin;
		enum sl_level level; // what the target takes
		bool one;            // stdout and stderr are one pipe
		uint32_t lines, other;
	} rows[] = {
		{ LOG_CORE, SL_DEBUG, true, 1, 0 },
		{ LOG_CORE, SL_ERR, true, 1, 0 }, // below the target's level: stderr has it
		{ LOG_CORE, SL_DEBUG, false, 1, 1 },
		{ LOG_SCRIPT, SL_DEBUG, true, 2, 0 }, // in its own form, too
	};
	struct fix *f = *state;

	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		struct log_target t = raw;
		struct log_spec s = { .conf = { .target = &t, .ntargets = 1 }, .ev = f->ev };
		int out[2], err[2];
		char buf[512];
		struct log *l;
		ssize_t n;

		t.level = rows[i].level;
		assert_int_equal(pipe2(out, O_CLOEXEC), 0);
		assert_int_equal(pipe2(err, O_CLOEXEC), 0);
		s.out = out[1];
		s.err = rows[i].one ? out[1] : err[1];
		l = log_new(&s);
		assert_non_null(l);
		log_post(l, rows[i].origin, SL_NOTICE, SL_STR("hello"));
		log_drain(l);
		log_free(l);
		for (int k = 0; k < 2; k++) {
			uint32_t lines = 0;

			fcntl(k ? err[0] : out[0], F_SETFL, O_NONBLOCK);
			n = read(k ? err[0] : out[0], buf, sizeof(buf));
			for (ssize_t b = 0; b < n; b++)
				lines += buf[b] == '\n';
			if (lines != (k ? rows[i].other : rows[i].lines))
				fail_msg("row %zu: %u lines in %s", i, lines, k ? "stderr" : "stdout");
			close(k ? err[0] : out[0]);
			close(k ? err[1] : out[1]);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_datagrams, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rest, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_pipe, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_opened_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bounded_posts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reader_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_said_once, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
