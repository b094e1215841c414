// SPDX-License-Identifier: BSD-3-Clause
/* Call slots from the worker's side: how many, how long, what goes to the script and what comes back. */
#include "call_env.h"

static void
test_brim(void **state sl_unused)
{
	struct stream *s[NSLOTS + 3];
	struct call_slot *slot[NSLOTS];

	for (uint32_t i = 0; i < SL_ARRAY_SIZE(s); i++) {
		s[i] = new_stream(0);
		assert_int_equal(start(s[i], &plain), ACT_SUSPEND);
		assert_int_equal(s[i]->call_exp, w.lc->now + CALL_DEADLINE_MS);
	}
	assert_int_equal(stat(STAT_LUA_CALLS), NSLOTS);
	assert_int_equal(stat(STAT_LUA_NO_SLOT), 3);
	assert_int_equal(w.lc->calls_out, NSLOTS);
	assert_true(w.lc->script[0].dirty);
	for (uint32_t i = 0; i < NSLOTS; i++)
		slot[i] = take();
	/* the second waiter leaves; the first and third get the next free slots, in order */
	call_cancel(w.lc, s[NSLOTS + 1]);
	for (uint32_t i = 0; i < 2; i++) {
		slot[i]->act = 0;
		done(slot[i], CALL_OK);
		assert_ptr_equal(w.told, s[i]);
		assert_int_equal(w.result.verdict, CALLV_CONT);
		struct call_slot *next = take();
		assert_ptr_equal(stream_lookup(w.lc, next->stream), s[NSLOTS + 2 * i]);
		slot[i] = next;
	}
	for (uint32_t i = 0; i < NSLOTS; i++)
		done(slot[i], CALL_OK);
	assert_int_equal(w.ntold, NSLOTS + 2);
	assert_int_equal(w.lc->calls_out, 0);
	assert_int_equal(stat(STAT_LUA_REPLIES), NSLOTS + 2);
	assert_null(px_call_slot(w.lc, 0, NSLOTS));
	for (uint32_t i = 0; i < NSLOTS; i++)
		assert_false(px_call_slot(w.lc, 0, i)->busy);
}

static void
test_overload(void **state sl_unused)
{
	static const struct {
		int line;
		struct call_rule rule;
		uint8_t global;
		enum call_verdict verdict;
		uint16_t status;
	} rows[] = {
		{ __LINE__, { .on_overload = CALL_POLICY_CONT }, 0, CALLV_CONT, 0 },
		{ __LINE__, { .on_overload = CALL_POLICY_DENY }, 0, CALLV_DENY, 0 },
		{ __LINE__, { .on_overload = CALL_POLICY_STATUS, .overload_status = 429 }, 0,
			CALLV_ERROR, 429 },
		{ __LINE__, { 0 }, CALL_POLICY_DENY, CALLV_DENY, 0 },
		{ __LINE__, { .on_overload = CALL_POLICY_CONT }, CALL_POLICY_DENY, CALLV_CONT, 0 },
	};

	for (uint32_t i = 0; i < NSLOTS; i++)
		start(new_stream(0), &plain);
	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		struct prog_call c = { .fn = 3, .kind = 'a', .priv = &rows[i].rule };
		w.model.global.lua_on_overload = rows[i].global;
		assert_int_equal(start(new_stream(0), &c),
			rows[i].verdict == CALLV_CONT ? ACT_CONT : ACT_DONE);
		if (w.result.verdict != rows[i].verdict || w.result.status != rows[i].status)
			fail_msg("row at line %d: verdict %d %d", rows[i].line, w.result.verdict,
				w.result.status);
	}
	assert_int_equal(w.lc->calls_out, NSLOTS);
	assert_int_equal(w.fn[3].overloads, SL_ARRAY_SIZE(rows));
	assert_int_equal(w.fn[3].waits, 0);
	/* Who waits is counted as that, and for its own function; its number is without the bit. */
	struct prog_call patient = { .fn = 4 | CALL_FN_PER_THREAD, .kind = 'a' };
	w.model.global.lua_on_overload = CALL_POLICY_WAIT;
	assert_int_equal(start(new_stream(0), &patient), ACT_SUSPEND);
	assert_int_equal(w.fn[4].waits, 1);
	assert_int_equal(w.fn[4].overloads, 0);
	assert_int_equal(w.fn[3].overloads, SL_ARRAY_SIZE(rows));
}

/* ms after the deadline of a call. */
static void
late(struct stream *s, uint32_t ms)
{
	lcore_set_clock(w.lc, (uint64_t)(s->call_exp + ms) * 1000, 0);
	call_deadline(w.lc, s);
}

static void
test_deadline(void **state sl_unused)
{
	static const struct call_rule deny = { .deadline_ms = 250,
		.on_overload = CALL_POLICY_DENY };
	const struct prog_call guarded = { .fn = 3, .kind = 'a', .priv = &deny };
	struct stream *running, *guard, *waiting;
	struct call_slot *slot, *again;
	uint32_t seq, first;

	running = new_stream(0);
	start(running, &plain);
	guard = new_stream(0);
	start(guard, &guarded);
	assert_int_equal(guard->call_exp, w.lc->now + 250);
	for (uint32_t i = 2; i < NSLOTS; i++)
		start(new_stream(0), &plain);
	waiting = new_stream(0);
	start(waiting, &plain);
	slot = take();
	assert_int_equal(slot->deadline_us, w.lc->now_us + CALL_DEADLINE_MS * 1000);
	first = slot->seq;
	for (uint32_t i = 1; i < NSLOTS; i++)
		take();
	/* never started: 503, and its place in the queue is gone */
	late(waiting, 2);
	assert_int_equal(w.result.verdict, CALLV_ERROR);
	assert_int_equal(w.result.status, 503);
	assert_int_equal(taken(&again, NULL), XMSG_NONE);
	/* started: the same, and the script is told */
	late(running, 20);
	assert_int_equal(w.result.status, 503);
	assert_int_equal(taken(&again, &seq), XMSG_CALL_CANCEL);
	assert_ptr_equal(again, slot);
	assert_int_equal(seq, first);
	late(guard, 30000);
	assert_int_equal(w.result.verdict, CALLV_DENY);
	assert_int_equal(stat(STAT_LUA_DEADLINE), 3);
	assert_int_equal(w.fn[plain.fn].late_2ms, 1);
	assert_int_equal(w.fn[plain.fn].late_20ms, 1);
	assert_int_equal(w.fn[plain.fn].later, 1);
	assert_int_equal(w.fn[plain.fn].overloads, 3);
	assert_int_equal(w.fn[plain.fn].waits, 1);
	/* its verdict comes too late, also if the stream calls again meanwhile */
	assert_int_equal(w.lc->calls_out, NSLOTS);
	w.ntold = 0;
	slot->act = 5;
	call_add_write(slot, CW_REQ_SET_HDR, VAR_TXN, SL_STR("Late"),
		&(struct sample){ .type = T_STR, .s = SL_STR("x") });
	done(slot, CALL_OK);
	assert_int_equal(w.ntold, 0);
	assert_int_equal(stat(STAT_LUA_LATE), 1);
	assert_null(http_hdr_get(&running->req, SL_STR("late")).p);
	start(running, &plain);
	assert_ptr_equal(running->call.slot, slot); // the slot serves on
	assert_int_equal(running->call.seq, first + 1);
}

/* The stream's number was given to another one while the script ran. */
static void
test_stale(void **state sl_unused)
{
	struct stream *s = new_stream(0), *other;
	struct call_slot *slot, *cancel;

	start(s, &plain);
	slot = take();
	call_cancel(w.lc, s);
	assert_int_equal(taken(&cancel, NULL), XMSG_CALL_CANCEL);
	pool_free(&w.streams, s);
	other = new_stream(0);
	assert_ptr_equal(other, s);
	call_add_write(slot, CW_REQ_DEL_HDR, VAR_TXN, SL_STR("Host"), NULL);
	done(slot, CALL_OK);
	assert_int_equal(w.ntold, 0);
	assert_int_equal(stat(STAT_LUA_LATE), 1);
	assert_non_null(http_hdr_get(&other->req, SL_STR("host")).p);
	assert_int_equal(w.lc->calls_out, 0);
}

static void
test_writes(void **state sl_unused)
{
	struct stream *s = new_stream(0);
	struct call_slot *slot;
	struct sample v;

	start(s, &plain);
	slot = take();
	v = str("2");
	call_add_write(slot, CW_REQ_ADD_HDR, VAR_TXN, SL_STR("A"), &v);
	v = str("new");
	call_add_write(slot, CW_REQ_SET_HDR, VAR_TXN, SL_STR("Host"), &v);
	v = str("/q");
	call_add_write(slot, CW_REQ_PATH, VAR_TXN, SL_STR(""), &v);
	v = str("x=1");
	call_add_write(slot, CW_REQ_QUERY, VAR_TXN, SL_STR(""), &v);
	v = str("PUT");
	call_add_write(slot, CW_REQ_METHOD, VAR_TXN, SL_STR(""), &v);
	v = str("val");
	call_add_write(slot, CW_SET_VAR, VAR_TXN, SL_STR("n"), &v);
	call_add_write(slot, CW_SET_VAR, VAR_REQ, SL_STR("gone"), &v);
	call_add_write(slot, CW_UNSET_VAR, VAR_REQ, SL_STR("gone"), NULL);
	call_add_write(slot, CW_RES_SET_HDR, VAR_TXN, SL_STR("B"), &v); // no response: no effect
	slot->act = 0;
	done(slot, CALL_ERROR); // what was done before the error stays, as in HAProxy
	assert_int_equal(w.result.verdict, CALLV_CONT);
	memset(slot->data, 'Z', CALL_DATA); // nothing may point there now
	assert_int_equal(http_hdr_count_values(&s->req, SL_STR("a")), 2);
	assert_true(sl_str_eq(http_hdr_get(&s->req, SL_STR("host")), SL_STR("new")));
	assert_true(sl_str_eq(http_str(&s->req, s->req.uri), SL_STR("/q?x=1")));
	assert_int_equal(s->req.meth, HTTP_PUT);
	assert_true(sl_str_eq(var_get(&s->vars, VAR_TXN, SL_STR("n"))->s, SL_STR("val")));
	assert_null(var_get(&s->vars, VAR_REQ, SL_STR("gone")));
	assert_int_equal(stat(STAT_LUA_ERRORS), 1);
	/* what does not take effect as a whole is no verdict of the script's */
	start(s, &plain);
	slot = take();
	call_add_write(slot, CW_REQ_PUT_HDR, (enum var_scope)200, SL_STR(""), &v);
	slot->act = 0;
	done(slot, CALL_OK);
	assert_int_equal(w.result.verdict, CALLV_ERROR);
	assert_int_equal(w.result.status, 503);
	assert_int_equal(stat(STAT_LUA_ERRORS), 2);
}

/* What finds no room is a matter of overload, if the call fails by it. */
static void
test_full(void **state sl_unused)
{
	static const enum call_end ends[] = { CALL_ERROR, CALL_EXHAUSTED };
	struct stream *s = new_stream(0);
	struct call_slot *slot;

	for (size_t i = 0; i < SL_ARRAY_SIZE(ends); i++) {
		start(s, &plain);
		slot = take();
		while (call_alloc(slot, 1000) != NULL) {
		}
		slot->act = 0;
		done(slot, ends[i]);
		assert_int_equal(w.result.verdict, CALLV_ERROR);
		assert_int_equal(w.result.status, 503);
		assert_int_equal(w.fn[plain.fn].overloads, i + 1);
		/* the script has caught the error */
		start(s, &plain);
		slot = take();
		assert_null(call_alloc(slot, CALL_DATA));
		slot->act = 5;
		done(slot, CALL_OK);
		assert_int_equal(w.result.verdict, CALLV_DENY);
		/* the next call has room */
		start(s, &plain);
		slot = take();
		slot->act = 0;
		done(slot, ends[i]);
		assert_int_equal(w.result.verdict, CALLV_CONT);
		assert_int_equal(w.fn[plain.fn].overloads, i + 1);
	}
}

/* A slot has room for what HAProxy's converters may make, and for all that the script is given, twice. */
static void
test_room(void **state sl_unused)
{
	static char text[12288];
	struct sample v = { .type = T_STR };
	struct call_slot *slot;
	uint32_t blocks = 0, n = 0;

	for (uint32_t pad = 5; pad < HTTP_MAX_HEAD - 100; pad += 128) {
		struct stream *s = new_stream(pad);
		assert_int_equal(start(s, &plain), ACT_SUSPEND);
		slot = take();
		assert_int_equal(slot->block != NULL, pad > 6100);
		assert_non_null(call_alloc(slot, sl_max(2 * pad, 16384u + 32)));
		done(slot, CALL_OK);
		pool_free(&w.streams, s);
	}
	for (v.s = sl_str_make(text, 1000); v.s.len < sizeof(text) - 200; v.s.len += 100, n++) {
		struct stream *s = new_stream(0);
		assert_int_equal(stream_set_var(s, VAR_REQ, SL_STR("v"), &v), 0);
		assert_int_equal(start(s, &plain), ACT_SUSPEND);
		slot = take();
		blocks += slot->block != NULL;
		assert_non_null(call_alloc(slot, sl_max(2 * v.s.len, 16384u + 32)));
		done(slot, CALL_OK);
		pool_free(&w.streams, s);
	}
	assert_in_range(blocks, n / 3, 2 * n / 3); // who needs one
}

static bool
conv_copy(const struct txn_view *v sl_unused, struct sample *s, const struct arg *args sl_unused,
	struct arena *mem, uintptr_t priv sl_unused)
{
	s->s = arena_str(mem, s->s);
	return s->s.p != NULL;
}

static void
ask(struct call_slot *slot)
{
	static const struct conv_row row = { .fn = conv_copy, .in = T_STR, .out = T_STR };
	struct xmsg m = { .w = { XMSG_CALL_ASK, (uintptr_t)slot } };
	struct call_slot *told = NULL;

	slot->ask = CALL_ASK_CONV;
	slot->ask_row = &row;
	px_script_message(w.lc, 0, &m);
	assert_int_equal(taken(&told, NULL), XMSG_CALL_TOLD);
	assert_ptr_equal(told, slot);
}

/* A question for which there is no room, and one before which a write was lost. */
static void
test_ask_full(void **state sl_unused)
{
	static char text[CALL_DATA];
	struct stream *s = new_stream(0);
	struct sample v = str("v");
	struct call_slot *slot;

	for (int i = 0; i < 2; i++) {
		start(s, &plain);
		slot = take();
		s->arena.fail_in = i == 0; // of the worker, or of the slot
		slot->ask_value = str("AB");
		if (i == 1)
			slot->ask_value.s = sl_str_make(text, sizeof(text));
		ask(slot);
		assert_int_equal(slot->ask_rc, i == 0 ? -ENOMEM : -ENOSPC);
		done(slot, CALL_ERROR);
		assert_int_equal(w.result.status, 503);
		assert_int_equal(w.fn[plain.fn].overloads, i + 1);
	}
	/* whatever the script makes of it */
	for (int act = 0; act <= 2; act += 2) {
		start(s, &plain);
		slot = take();
		call_add_write(slot, CW_REQ_PUT_HDR, (enum var_scope)200, SL_STR(""), &v);
		call_add_write(slot, CW_REQ_SET_HDR, VAR_TXN, SL_STR("Behind"), &v);
		slot->ask_value = str("AB");
		ask(slot);
		assert_int_equal(slot->ask_rc, -EINVAL);
		call_add_write(slot, CW_REQ_SET_HDR, VAR_TXN, SL_STR("Behind"), &v);
		w.ntold = 0;
		slot->act = act; // CONTINUE, YIELD
		done(slot, CALL_OK);
		assert_int_equal(w.ntold, 1);
		assert_int_equal(w.result.verdict, CALLV_ERROR);
		assert_int_equal(w.result.status, 503);
		assert_false(s->call.again);
		assert_null(http_hdr_get(&s->req, SL_STR("behind")).p);
	}
}

static void
test_verdicts(void **state sl_unused)
{
	static const struct call_rule deny = { .on_error = CALL_POLICY_DENY };
	static const struct call_rule st = { .on_error = CALL_POLICY_STATUS, .error_status = 418 };
	static const struct {
		int line;
		const struct call_rule *rule;
		enum call_end end;
		int32_t act;
		bool res;
		enum call_verdict verdict;
		uint16_t status;
	} rows[] = {
		{ __LINE__, NULL, CALL_OK, 0, false, CALLV_CONT, 0 },
		{ __LINE__, NULL, CALL_OK, 1, false, CALLV_STOP, 0 },
		{ __LINE__, NULL, CALL_OK, 3, false, CALLV_ERROR, 0 },
		{ __LINE__, NULL, CALL_OK, 4, false, CALLV_STOP, 0 },
		{ __LINE__, NULL, CALL_OK, 5, false, CALLV_DENY, 0 },
		{ __LINE__, NULL, CALL_OK, 6, false, CALLV_ABORT, 0 },
		{ __LINE__, NULL, CALL_OK, 7, false, CALLV_ERROR, 400 },
		{ __LINE__, NULL, CALL_OK, 7, true, CALLV_ERROR, 502 },
		{ __LINE__, NULL, CALL_OK, 99, false, CALLV_CONT, 0 },
		{ __LINE__, NULL, CALL_OK, -1, false, CALLV_CONT, 0 },
		{ __LINE__, NULL, CALL_ERROR, 5, false, CALLV_CONT, 0 },
		{ __LINE__, NULL, CALL_EXHAUSTED, 5, false, CALLV_CONT, 0 },
		{ __LINE__, &deny, CALL_OK, 0, false, CALLV_CONT, 0 },
		{ __LINE__, &deny, CALL_ERROR, 0, false, CALLV_DENY, 0 },
		{ __LINE__, &deny, CALL_EXHAUSTED, 0, false, CALLV_DENY, 0 },
		{ __LINE__, &st, CALL_EXHAUSTED, 0, false, CALLV_ERROR, 418 },
	};

	for (size_t i = 0; i < SL_ARRAY_SIZE(rows); i++) {
		struct prog_call c = { .fn = 1, .kind = 'a', .priv = rows[i].rule };
		struct stream *s = new_stream(0);
		if (rows[i].res)
			add_response(s, 0);
		start(s, &c);
		struct call_slot *slot = take();
		slot->act = rows[i].act;
		done(slot, rows[i].end);
		if (w.told != s || w.result.verdict != rows[i].verdict ||
			w.result.status != rows[i].status)
			fail_msg("row at line %d: verdict %d %d", rows[i].line, w.result.verdict,
				w.result.status);
		pool_free(&w.streams, s);
	}
}

static void
test_values(void **state sl_unused)
{
	static const struct prog_call fetch = {
		.fn = 1, .kind = 'f', .nargs = 1, .args = { { "one", 3 } }
	};
	static const struct prog_call conv = { .fn = 1, .kind = 'c' };
	struct stream *s = new_stream(0);
	struct sample in = { .type = T_SINT, .i = 12 }, out;
	struct call_slot *slot;

	start(s, &fetch);
	slot = take();
	assert_int_equal(slot->nargs, 1);
	assert_true(sl_str_eq(slot->args[0], SL_STR("one")));
	slot->value = (struct sample){ .type = T_STR, .s = call_str(slot, SL_STR("back")) };
	done(slot, CALL_OK);
	memset(slot->data, 'Z', CALL_DATA);
	assert_true(sl_str_eq(w.value.s, SL_STR("back")));
	/* nothing returned, an error: no value */
	for (int i = 0; i < 2; i++) {
		start(s, &fetch);
		slot = take();
		slot->value.type = T_ANY;
		done(slot, i == 0 ? CALL_OK : CALL_ERROR);
		assert_int_equal(w.result.verdict, CALLV_CONT);
		assert_null(w.result.value);
	}
	/* a converter gets text */
	assert_int_equal(call_start(s, &conv, &in, &out), ACT_SUSPEND);
	slot = take();
	assert_int_equal(slot->input.type, T_STR);
	assert_true(sl_str_eq(slot->input.s, SL_STR("12")));
	slot->value = (struct sample){ .type = T_STR, .s = call_str(slot, SL_STR("abc")) };
	/* the arena refuses the copy */
	s->arena.fail_in = 1;
	done(slot, CALL_OK);
	assert_int_equal(w.result.verdict, CALLV_ERROR);
}

static void
test_snapshot(void **state sl_unused)
{
	struct stream *s = new_stream(0);
	struct sample v = str("val");
	struct call_slot *slot;
	char name[8];

	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "v%d", i);
		assert_int_equal(stream_set_var(s, VAR_TXN, sl_str_c(name), &v), 0);
	}
	s->view.unique = 77;
	start(s, &plain);
	slot = take();
	s->req.base[0] = 'Z'; // the copy is its own
	assert_int_equal(slot->fn, 3);
	assert_int_equal(slot->point, EVAL_HTTP_REQ);
	assert_null(slot->view.stream);
	assert_null(slot->view.res);
	assert_int_equal(slot->view.unique, 77);
	assert_true(sl_str_eq(http_str(&slot->req, slot->req.method), SL_STR("GET")));
	assert_true(sl_str_eq(http_hdr_get(slot->view.req, SL_STR("host")), SL_STR("h")));
	assert_int_equal(http_hdr_set(&slot->req, SL_STR("Host"), SL_STR("other")), 0);
	assert_true(sl_str_eq(http_hdr_get(&s->req, SL_STR("host")), SL_STR("h")));
	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "v%d", i);
		const struct sample *c = var_get(slot->view.vars, VAR_TXN, sl_str_c(name));
		assert_true(sl_str_eq(c->s, SL_STR("val")));
		assert_true((const uint8_t *)c->s.p >= slot->data &&
			(const uint8_t *)c->s.p < slot->data + CALL_DATA);
	}
	done(slot, CALL_OK);
	add_response(s, 0);
	start(s, &plain);
	slot = take();
	assert_int_equal(slot->point, EVAL_HTTP_RES);
	assert_int_equal(slot->view.res->status, 200);
}

static void
set_vars(struct stream *s, int n, const struct sample *v)
{
	char name[16];

	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "v%d", i);
		assert_int_equal(stream_set_var(s, VAR_REQ, sl_str_c(name), v), 0);
	}
}

/*
 * Both heads of a response rule fit whatever they are, and leave room to write; what is too much are
 * variables. Every allocation of the snapshot is the first that does not fit, once.
 */
static void
test_large(void **state sl_unused)
{
	static const struct call_rule deny = { .on_overload = CALL_POLICY_DENY };
	static char text[CALL_ROOM - 4096], more[3000];
	const struct prog_call c = { .fn = 3, .kind = 'a', .priv = &deny };
	struct sample v = str("0123456789"), room = { .type = T_STR };
	uint32_t blocks, refused = 0;
	struct stream *s;
	struct call_slot *slot;

	room.s = sl_str_make(text, sizeof(text));
	for (uint32_t head = 2000; head <= 8000; head += 6000) {
		s = new_stream(head);
		blocks = 0;
		set_vars(s, 20, &v);
		for (uint32_t pad = 5; pad < HTTP_MAX_HEAD - 100; pad += 8) {
			add_response(s, pad);
			assert_int_equal(start(s, &c), ACT_SUSPEND);
			slot = take();
			blocks += slot->block != NULL;
			assert_true(http_hdr_get(slot->view.res, SL_STR("b")).len == 1);
			assert_true(http_hdr_get(slot->view.req, SL_STR("host")).len == 1);
			call_add_write(slot, CW_RES_SET_HDR, VAR_TXN, SL_STR("B"), &v);
			assert_int_equal(call_add_write(slot, CW_SET_VAR, VAR_TXN, SL_STR("w"), &room), 0);
			done(slot, CALL_OK);
			assert_null(slot->block);
			stream_unset_var(s, VAR_TXN, SL_STR("w"));
		}
		// only who needs one has one
		assert_true(blocks > 100 && (head > 2000 || blocks < 1900));
	}
	assert_true(sl_str_eq(http_hdr_get(&s->res, SL_STR("b")), v.s));
	s = new_stream(HTTP_MAX_HEAD - 100);
	set_vars(s, 20, &v);
	add_response(s, HTTP_MAX_HEAD - 100);
	assert_int_equal(start(s, &c), ACT_SUSPEND);
	done(take(), CALL_OK);
	v.s = sl_str_make(more, 1);
	for (uint32_t len = 1; len < sizeof(more); len += 3) {
		v.s.len = len;
		set_vars(s, 20, &v);
		if (start(s, &c) == ACT_SUSPEND) {
			assert_int_equal(refused, 0);
			done(take(), CALL_OK);
		} else {
			assert_int_equal(w.result.verdict, CALLV_DENY);
			refused++;
		}
		assert_int_equal(w.lc->calls_out, 0);
	}
	assert_true(refused > 100);
	assert_int_equal(stat(STAT_LUA_ERRORS), refused);
	for (uint32_t i = 0; i < NSLOTS; i++)
		assert_false(px_call_slot(w.lc, 0, i)->busy);
	/* too many variables */
	s = new_stream(0);
	v = str("x");
	set_vars(s, CALL_MAX_VARS + 1, &v);
	assert_int_equal(start(s, &c), ACT_DONE);
	/* whoever sends it must not switch a script off, whatever is to become of errors */
	assert_int_equal(start(s, &plain), ACT_DONE);
	assert_int_equal(w.result.verdict, CALLV_ERROR);
	assert_int_equal(w.result.status, 503);
}

/* Who needs a block and finds none waits as who finds no slot, and keeps its place. */
static void
test_blocks(void **state sl_unused)
{
	struct px_spec spec = { .nscripts = 1, .call_slots = 16 };
	struct call_slot *slot[4];
	struct stream *big[6], *small;

	call_detach(w.lc);
	assert_int_equal(call_attach(w.lc, &spec), 0);
	for (int i = 0; i < 6; i++) {
		big[i] = new_stream(13000);
		add_response(big[i], 13000);
		assert_int_equal(start(big[i], &plain), ACT_SUSPEND);
	}
	for (int i = 0; i < 4; i++)
		slot[i] = take();
	small = new_stream(0);
	assert_int_equal(start(small, &plain), ACT_SUSPEND);
	assert_int_equal(stat(STAT_LUA_CALLS), 5); // it needs no block: those who do hold it up not
	assert_int_equal(stat(STAT_LUA_NO_SLOT), 2);
	struct call_slot *mine = take();
	assert_ptr_equal(stream_lookup(w.lc, mine->stream), small);
	done(slot[0], CALL_OK);
	assert_ptr_equal(stream_lookup(w.lc, take()->stream), big[4]);
	assert_true(big[5]->call.queued);
	done(mine, CALL_OK); // frees a slot, but no block
	assert_true(big[5]->call.queued);
	done(slot[1], CALL_OK);
	assert_ptr_equal(stream_lookup(w.lc, take()->stream), big[5]);
	assert_int_equal(stat(STAT_LUA_ERRORS), 0);
}

/* Blocks are the worker's: one that one script thread's call gives back serves who waits for another's. */
static void
test_blocks_of_others(void **state sl_unused)
{
	struct px_spec spec = { .nscripts = 2, .call_slots = 16 };
	struct prog_call spread = { .fn = 4 | CALL_FN_PER_THREAD, .kind = 'a' };
	static struct xmsg ring[64];
	struct call_slot *slot[4];
	struct stream *big[5];

	w.lc->nscripts = 2;
	xring_init(&w.lc->script[1].from, ring, 64);
	call_detach(w.lc);
	assert_int_equal(call_attach(w.lc, &spec), 0);
	for (int i = 0; i < 5; i++) {
		big[i] = new_stream(13000);
		add_response(big[i], 13000);
		big[i]->unique = 1;
		assert_int_equal(start(big[i], i < 4 ? &plain : &spread), ACT_SUSPEND);
		if (i < 4)
			slot[i] = take();
	}
	assert_true(big[4]->call.queued);
	done(slot[2], CALL_OK);
	assert_false(big[4]->call.queued);
	assert_int_equal(stat(STAT_LUA_CALLS), 5);
}

/* The slot's bump memory. */
static void
test_memory(void **state sl_unused)
{
	struct call_slot *slot = px_call_slot(w.lc, 0, 0);
	struct sample big = { .type = T_STR };
	static char text[CALL_DATA];
	struct call_arena a;
	uint32_t n = 0;

	slot->used = 0;
	assert_null(call_alloc(slot, CALL_DATA + 1));
	assert_null(call_alloc(slot, UINT32_MAX));
	assert_non_null(call_alloc(slot, CALL_DATA));
	assert_null(call_alloc(slot, 1));
	slot->used = 0;
	call_arena_init(&a, slot);
	while (arena_alloc(&a.arena, 100) != NULL)
		n++;
	assert_true(n > 150);
	assert_true(a.arena.failed);
	/* a write that does not fit leaves nothing behind */
	slot->used = 0;
	slot->first = slot->last = NULL;
	big.s = sl_str_make(text, CALL_DATA - 200);
	assert_int_equal(call_add_write(slot, CW_SET_VAR, VAR_TXN, SL_STR("a"), &big), 0);
	assert_int_equal(call_add_write(slot, CW_SET_VAR, VAR_TXN, SL_STR("b"), &big), -ENOSPC);
	assert_ptr_equal(slot->first, slot->last);
	assert_null(slot->first->next);
}

static void
test_no_threads(void **state sl_unused)
{
	struct px_spec none = { .nscripts = 0, .call_slots = NSLOTS };
	struct px_spec many = { .nscripts = 1, .call_slots = CALL_MAX_SLOTS + 1 };

	call_detach(w.lc);
	assert_int_equal(call_attach(w.lc, &many), -EINVAL);
	assert_int_equal(call_attach(w.lc, &none), 0);
	assert_int_equal(start(new_stream(0), &plain), ACT_CONT);
	assert_int_equal(w.result.verdict, CALLV_CONT);
	assert_int_equal(stat(STAT_LUA_ERRORS), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_brim, setup, teardown),
		cmocka_unit_test_setup_teardown(test_overload, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deadline, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stale, setup, teardown),
		cmocka_unit_test_setup_teardown(test_writes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ask_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_verdicts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_snapshot, setup, teardown),
		cmocka_unit_test_setup_teardown(test_large, setup, teardown),
		cmocka_unit_test_setup_teardown(test_blocks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_blocks_of_others, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_threads, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
