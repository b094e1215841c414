// SPDX-License-Identifier: BSD-3-Clause
/* Call slots from the worker's side: services, the questions of scripts, and script threads that are stuck. */
#include "call_env.h"

static void
ask(struct call_slot *slot)
{
	struct xmsg m = { .w = { XMSG_CALL_ASK, (uintptr_t)slot } };

	px_script_message(w.lc, 0, &m);
}

/* ---- questions ---- */

static bool
live_fetch(const struct txn_view *v, const struct arg *a, struct sample *out, struct arena *mem,
	uintptr_t priv sl_unused)
{
	if (v->stream == NULL || a[0].type != ARG_STR)
		return false;
	out->type = T_STR;
	out->s = arena_str(mem, http_hdr_get(v->req, a[0].s));
	return out->s.p != NULL;
}

static void
test_ask(void **state sl_unused)
{
	static const struct fetch_row row = { "live", live_fetch, .where = WHERE_OWNER };
	struct arg args[2] = { { .type = ARG_STR, .s = SL_STR("Host") }, { .type = ARG_END } };
	struct stream *s = new_stream(0);
	struct sample v = str("new");
	struct call_slot *slot, *told;
	uint32_t seq;

	start(s, &plain);
	slot = take();
	call_add_write(slot, CW_REQ_SET_HDR, VAR_TXN, SL_STR("Host"), &v);
	slot->ask = CALL_ASK_FETCH;
	slot->ask_row = &row;
	slot->ask_args = args;
	ask(slot);
	assert_int_equal(taken(&told, &seq), XMSG_CALL_TOLD);
	assert_ptr_equal(told, slot);
	assert_int_equal(seq, slot->seq);
	assert_int_equal(slot->ask_rc, 0);
	assert_true(sl_str_eq(slot->ask_value.s, SL_STR("new"))); // what the script wrote is there
	assert_true((uint8_t *)(uintptr_t)slot->ask_value.s.p >= slot->data);
	assert_null(slot->first);
	s->arena.fail_in = 1;
	ask(slot);
	assert_int_equal(taken(&told, NULL), XMSG_CALL_TOLD);
	assert_int_equal(slot->ask_rc, -ENOMEM);
	/* the stream gives up: the question is answered all the same */
	call_deadline(w.lc, s);
	assert_int_equal(taken(&told, NULL), XMSG_CALL_CANCEL);
	ask(slot);
	assert_int_equal(taken(&told, NULL), XMSG_CALL_TOLD);
	assert_int_equal(slot->ask_rc, -ECANCELED);
	done(slot, CALL_CANCELLED);
	assert_int_equal(w.lc->calls_out, 0);
	assert_int_equal(stat(STAT_LUA_LATE), 1);
}

/* ---- a script thread is stuck ---- */

/* The script thread is stuck: its successor is `to`, with what it needs; -1: there is none. */
static void
moved(int16_t to, struct call_spare *sp)
{
	struct xmsg m = { .w = { XMSG_SCRIPT_MOVED, 0, (uint64_t)(int64_t)to, (uintptr_t)sp } };

	call_moved(w.lc, &m);
}

/* What it had taken ends by on-error, what it had not and what waits goes to the successor. */
static void
test_moved(void **state sl_unused)
{
	static const struct call_rule deny = { .on_error = CALL_POLICY_DENY };
	const struct prog_call c = { .fn = 3, .kind = 'a', .priv = &deny };
	static struct xmsg ring[2][64];
	struct stream *s[NSLOTS + 2];
	struct call_slot *slot[NSLOTS], *late;

	xring_init(&w.lc->script[1].to, ring[0], 64);
	xring_init(&w.lc->script[1].from, ring[1], 64);
	for (uint32_t i = 0; i < SL_ARRAY_SIZE(s); i++) {
		s[i] = new_stream(0);
		start(s[i], &c);
	}
	for (uint32_t i = 0; i < NSLOTS; i++) {
		slot[i] = take();
		atomic_store(&slot[i]->taken, i < 2);
	}
	call_cancel(w.lc, s[1]); // its request has gone: nobody is told
	moved(1, call_spare_new(0, 1, NSLOTS, -1));
	assert_int_equal(w.ntold, 1);
	assert_ptr_equal(w.told, s[0]);
	assert_int_equal(w.result.verdict, CALLV_DENY);
	assert_int_equal(w.lc->nscripts, 2);
	assert_int_equal(w.lc->calls_out, NSLOTS);
	/* what the old one says now is nobody's */
	done(slot[2], CALL_OK);
	assert_int_equal(w.ntold, 1);
	for (uint32_t i = 0; i < NSLOTS; i++) { // in the order in which they came
		struct xmsg m;
		assert_true(xring_pop(&w.lc->script[1].from, &m));
		late = (struct call_slot *)(uintptr_t)m.w[1];
		assert_int_equal(late->script, 1);
		assert_ptr_equal(stream_lookup(w.lc, late->stream), s[2 + i]);
		m.w[0] = XMSG_CALL_DONE;
		late->end = CALL_OK;
		px_script_message(w.lc, 1, &m);
		assert_ptr_equal(w.told, s[2 + i]);
	}
	assert_int_equal(w.ntold, 1 + NSLOTS);
	assert_int_equal(w.lc->calls_out, 0);
	/* nobody takes over: policies answer at once, also those that wait */
	for (uint32_t i = 0; i < NSLOTS + 1; i++)
		start(s[i], &c);
	w.ntold = 0;
	moved(-1, NULL);
	assert_int_equal(w.ntold, NSLOTS + 1);
	assert_int_equal(w.lc->calls_out, 0);
	assert_int_equal(w.result.status, 503);
	assert_int_equal(start(s[0], &c), ACT_DONE);
	assert_int_equal(w.result.status, 503);
}

/* ---- services ---- */

static const struct prog_call service = { .fn = 3, .kind = 's' };

/* Where other calls continue, a service answers 500, or 503. */
static void
test_service_policies(void **state sl_unused)
{
	struct stream *s = new_stream(0);
	struct call_slot *slot;

	w.model.global.lua_on_error = w.model.global.lua_on_overload = CALL_POLICY_CONT;
	s->flags |= ST_F_SERVICE;
	start(s, &service);
	slot = take();
	assert_int_equal(slot->kind, 's');
	assert_int_equal(call_error_status(s), 500);
	call_deadline(w.lc, s);
	assert_int_equal(w.result.verdict, CALLV_ERROR);
	assert_int_equal(w.result.status, 503);
	w.model.global.lua_on_error = CALL_POLICY_DENY;
	assert_int_equal(call_error_status(s), 403);
	w.model.global.lua_on_error = CALL_POLICY_STATUS;
	w.model.global.lua_error_status = 429;
	assert_int_equal(call_error_status(s), 429);
	done(slot, CALL_OK);
}

/* Behind its head the service has its slot, and another call of the stream another. */
static void
test_service_slot(void **state sl_unused)
{
	static struct xmsg ring[2][64];
	struct stream *s = new_stream(0);
	struct call_slot *slot, *other, *told;
	struct sample v = str("set");

	s->flags |= ST_F_SERVICE;
	start(s, &service);
	slot = take();
	slot->ask = CALL_ASK_HEAD;
	ask(slot);
	assert_int_equal(w.svc_asks, 1);
	w.served = s;
	w.svc_slot = slot;
	s->call.slot = NULL;
	start(s, &plain); // a rule on the response
	other = take();
	call_add_write(slot, CW_SET_VAR, VAR_TXN, SL_STR("v"), &v);
	slot->ask = CALL_ASK_SEND;
	ask(slot);
	assert_int_equal(w.svc_asks, 2);
	assert_true(sl_str_eq(var_get(&s->vars, VAR_TXN, SL_STR("v"))->s, SL_STR("set")));
	done(slot, CALL_EXHAUSTED);
	assert_int_equal(w.svc_ends, 1);
	assert_int_equal(w.svc_end, CALL_EXHAUSTED);
	assert_int_equal(stat(STAT_LUA_ERRORS), 1);
	assert_int_equal(w.ntold, 0);
	done(other, CALL_OK);
	assert_int_equal(w.ntold, 1);
	assert_int_equal(w.lc->calls_out, 0);
	/* one that is dropped while its question waits is answered first */
	start(s, &service);
	slot = take();
	slot->asked = true;
	call_drop(w.lc, slot, slot->seq);
	assert_int_equal(taken(&told, NULL), XMSG_CALL_TOLD);
	assert_int_equal(slot->ask_rc, -ECANCELED);
	assert_int_equal(taken(&told, NULL), XMSG_CALL_CANCEL);
	s->call.slot = NULL;
	done(slot, CALL_CANCELLED);
	assert_int_equal(w.svc_ends, 1);
	/* and one whose thread is stuck has failed */
	xring_init(&w.lc->script[1].to, ring[0], 64);
	xring_init(&w.lc->script[1].from, ring[1], 64);
	start(s, &service);
	slot = take();
	atomic_store(&slot->taken, true);
	w.svc_slot = slot;
	s->call.slot = NULL;
	moved(1, call_spare_new(0, 1, NSLOTS, -1));
	assert_int_equal(w.svc_ends, 2);
	assert_int_equal(w.svc_end, CALL_ERROR);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ask, setup, teardown),
		cmocka_unit_test_setup_teardown(test_moved, setup, teardown),
		cmocka_unit_test_setup_teardown(test_service_policies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_service_slot, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
