// SPDX-License-Identifier: BSD-3-Clause
/*
 * Helpers of core: dates of HTTP, addresses, facts of the process.
 *
 * Runs on: script threads, and the loader.
 * Follows: HAProxy 2.6 (http_date and its three forms, RFC 9110 5.6.7); addresses are numbers only,
 * names are not resolved.
 */
#include <unistd.h>

#include "lua/api/api.h"

/* ---- dates ---- */

struct date {
	int64_t year;
	int mon, day, hour, min, sec;
};

/* A text that is read from the front; p == NULL: did not fit. */
struct scan {
	const char *p, *end;
};

static void
expect(struct scan *s, const char *word)
{
	size_t n = strlen(word);

	if (s->p == NULL || (size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
		s->p = NULL;
	else
		s->p += n;
}

/* `n` digits, the first of which may be a blank. */
static int
digits(struct scan *s, int n, bool blank)
{
	int v = 0;

	for (int i = 0; i < n && s->p != NULL; i++) {
		char c = s->p < s->end ? *s->p : '\0';
		if (c == ' ' && blank && i == 0) {
			s->p++;
		} else if (c >= '0' && c <= '9') {
			v = v * 10 + c - '0';
			s->p++;
		} else {
			s->p = NULL;
		}
	}
	return v;
}

static int
one_of(struct scan *s, const char *const *words, int n)
{
	for (int i = 0; i < n && s->p != NULL; i++) {
		size_t len = strlen(words[i]);
		if ((size_t)(s->end - s->p) >= len && memcmp(s->p, words[i], len) == 0) {
			s->p += len;
			return i;
		}
	}
	s->p = NULL;
	return -1;
}

static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
static const char *const weekdays[] = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday",
	"Friday", "Saturday" };
static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep",
	"Oct", "Nov", "Dec" };

static void
scan_time(struct scan *s, struct date *d)
{
	d->hour = digits(s, 2, false);
	expect(s, ":");
	d->min = digits(s, 2, false);
	expect(s, ":");
	d->sec = digits(s, 2, false);
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
static bool
scan_imf(struct scan s, struct date *d)
{
	one_of(&s, days, 7);
	expect(&s, ", ");
	d->day = digits(&s, 2, false);
	expect(&s, " ");
	d->mon = one_of(&s, months, 12) + 1;
	expect(&s, " ");
	d->year = digits(&s, 4, false);
	expect(&s, " ");
	scan_time(&s, d);
	expect(&s, " GMT");
	return s.p != NULL;
}

/* "Sunday, 06-Nov-94 08:49:37 GMT"; years below 70 are of this century. */
static bool
scan_rfc850(struct scan s, struct date *d)
{
	one_of(&s, weekdays, 7);
	expect(&s, ", ");
	d->day = digits(&s, 2, false);
	expect(&s, "-");
	d->mon = one_of(&s, months, 12) + 1;
	expect(&s, "-");
	d->year = digits(&s, 2, false);
	d->year += d->year < 70 ? 2000 : 1900;
	expect(&s, " ");
	scan_time(&s, d);
	expect(&s, " GMT");
	return s.p != NULL;
}

/* "Sun Nov  6 08:49:37 1994" */
static bool
scan_asctime(struct scan s, struct date *d)
{
	one_of(&s, days, 7);
	expect(&s, " ");
	d->mon = one_of(&s, months, 12) + 1;
	expect(&s, " ");
	d->day = digits(&s, 2, true);
	expect(&s, " ");
	scan_time(&s, d);
	expect(&s, " ");
	d->year = digits(&s, 4, false);
	return s.p != NULL;
}

/* Days since the epoch of a civil date (H. Hinnant's algorithm). */
static int64_t
epoch_days(int64_t y, int m, int d)
{
	y -= m <= 2;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t yoe = y - era * 400;
	int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;

	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static bool
is_date(const struct date *d)
{
	static const int len[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (d->year % 4 == 0 && d->year % 100 != 0) || d->year % 400 == 0;

	return d->mon >= 1 && d->mon <= 12 && d->day >= 1 &&
		d->day <= len[d->mon - 1] + (d->mon == 2 && leap) && d->hour < 24 && d->min < 60 &&
		d->sec <= 60;
}

/* Upvalue: which forms, a bit each. */
static int
l_date(lua_State *L)
{
	static bool (*const forms[])(struct scan s, struct date *d) = { scan_imf, scan_rfc850,
		scan_asctime };
	lua_Integer want = lua_tointeger(L, lua_upvalueindex(1));
	struct sl_str text = api_check_str(L, 1);
	struct scan s = { text.p, text.p + text.len };
	struct date d;

	for (int i = 0; i < 3; i++) {
		if ((want >> i & 1) == 0 || !forms[i](s, &d) || !is_date(&d))
			continue;
		lua_pushinteger(L,
			epoch_days(d.year, d.mon, d.day) * 86400 + d.hour * 3600 + d.min * 60 +
				d.sec);
		return 1;
	}
	lua_pushnil(L);
	return 1;
}

/* ---- addresses ---- */

#define ADDRESS "sl.address"

struct address {
	struct ip_addr ip;
	uint64_t mask[2];
};

static int
l_core_parse_addr(lua_State *L)
{
	struct sl_str text = api_check_str(L, 1);
	struct address a;

	if (text.len == 0 || expr_net_parse(text, &a.ip, a.mask) < 0) {
		lua_pushnil(L);
		return 1;
	}
	struct address *out = lua_newuserdata(L, sizeof(*out));
	*out = a;
	luaL_setmetatable(L, ADDRESS);
	return 1;
}

/* Do two networks overlap? Of different families they do not, as in HAProxy. */
static int
l_core_match_addr(lua_State *L)
{
	const struct address *a = luaL_testudata(L, 1, ADDRESS);
	const struct address *b = luaL_testudata(L, 2, ADDRESS);
	bool same = a != NULL && b != NULL && a->ip.family == b->ip.family;

	for (int i = 0; i < 2 && same; i++)
		same = ((a->ip.q[i] ^ b->ip.q[i]) & a->mask[i] & b->mask[i]) == 0;
	lua_pushboolean(L, same);
	return 1;
}

/* ---- the process ---- */

/* HAProxy changes the priority of the task; here each call has its turn, so there is nothing to do. */
static int
l_core_set_nice(lua_State *L)
{
	api_nargs(L, 1, "set_nice");
	luaL_checkinteger(L, 1);
	return 0;
}

static void
put_int(lua_State *L, const char *key, lua_Integer v)
{
	lua_pushinteger(L, v);
	lua_setfield(L, -2, key);
}

/* The fields of "show info" that a script thread knows without asking anybody. */
static int
l_core_get_info(lua_State *L)
{
	const struct script_spec *run = script_running();
	const struct global_conf *g = script_conf(L);
	uint64_t conns = 0, streams = 0, reqs = 0, cum = 0;

	for (uint16_t i = 0; run != NULL && i < run->nlcores; i++) {
		conns += counter_get(&run->lc[i]->gauge_conns);
		cum += counter_get(&run->lc[i]->stat[STAT_TCP_ACCEPTS]);
		streams += counter_get(&run->lc[i]->gauge_streams);
		reqs += counter_get(&run->lc[i]->stat[STAT_H1_REQUESTS]);
	}
	lua_newtable(L);
	lua_pushliteral(L, "sluice");
	lua_setfield(L, -2, "Name");
	lua_pushliteral(L, SL_VERSION);
	lua_setfield(L, -2, "Version");
	lua_pushlstring(L, g->node.len != 0 ? g->node.p : "", g->node.len);
	lua_setfield(L, -2, "node");
	put_int(L, "Pid", getpid());
	put_int(L, "Process_num", 1);
	put_int(L, "Nbproc", 1);
	put_int(L, "Nbthread", g->nbthread);
	put_int(L, "Maxconn", g->maxconn);
	put_int(L, "CurrConns", (lua_Integer)conns);
	put_int(L, "CurrStreams", (lua_Integer)streams);
	put_int(L, "CumConns", (lua_Integer)cum);
	put_int(L, "CumReq", (lua_Integer)reqs);
	return 1;
}

static const luaL_Reg functions[] = {
	{ "parse_addr", l_core_parse_addr },
	{ "match_addr", l_core_match_addr },
	{ "set_nice", l_core_set_nice },
	{ "get_info", l_core_get_info },
	{ NULL, NULL },
};

static void
open_help(lua_State *L)
{
	static const struct {
		const char *name;
		lua_Integer forms;
	} dates[] = { { "http_date", 7 }, { "imf_date", 1 }, { "rfc850_date", 2 },
		{ "asctime_date", 4 } };

	luaL_newmetatable(L, ADDRESS);
	lua_pop(L, 1);
	api_core(L, functions);
	lua_getglobal(L, "core");
	for (size_t i = 0; i < SL_ARRAY_SIZE(dates); i++) {
		lua_pushinteger(L, dates[i].forms);
		lua_pushcclosure(L, l_date, 1);
		lua_setfield(L, -2, dates[i].name);
	}
	lua_pop(L, 1);
}

SL_LUA_API({ "core.help", open_help, "dates, addresses, facts of the process" });
